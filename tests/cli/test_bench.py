"""``bench``: what is measured, of any OpenAI-compatible server, and how failures are told."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.cli.bench import quantile, summary
from actors.cli.streamed import Answer
from tests.support.callboard import run_to_end
from tests.support.slow_upstream import SlowUpstream


def test_every_request_is_measured() -> None:
    with SlowUpstream(tokens=5, interval=0.002) as upstream:
        done = run_to_end(
            "bench", "m", "--url", upstream.url, "-n", "20", "-c", "4", "--output", "json"
        )
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert (found["requests"], found["failures"], found["tokens"]) == (20, {}, 100)
    for name in ("first_token", "gap", "duration", "tokens_per_second_of_a_request"):
        values = [found[name][each] for each in ("p50", "p90", "p99", "max")]
        assert values == sorted(values)
        assert values[0] > 0
    assert found["first_token"]["max"] <= found["duration"]["max"]


def test_for_people_it_is_a_table() -> None:
    with SlowUpstream(tokens=3) as upstream:
        done = run_to_end("bench", "m", "--url", upstream.url, "-n", "4", "-c", "16")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("m: 4 requests in ")
    assert lines[1].split() == ["p50", "p90", "p99", "max"]
    titles = [line.split("  ")[0] for line in lines[2:]]
    assert titles == ["first token", "gap", "duration", "tokens/s"]


def test_failures_are_counted_by_their_reason_and_exit_with_1() -> None:
    done = run_to_end("bench", "m", "--url", "http://127.0.0.1:1/v1", "-n", "3")
    assert done.returncode == 1
    assert "failed 3 times: no model server answers at http://127.0.0.1:1/v1" in done.stdout


@pytest.mark.parametrize("option", ["-c", "-n", "--max-tokens"])
def test_none_at_all_is_refused(option: str) -> None:
    done = run_to_end("bench", "m", option, "0")
    assert done.returncode == 2
    assert "give 1 or more" in done.stderr


def test_a_summary_counts_gaps_between_pieces_and_speed_after_the_first() -> None:
    answers = [Answer([1.0, 1.5, 2.0], 2.0, tokens=3), Answer([3.0], 3.0)]
    found = summary("m", answers, Counter({"x": 2}), 4.0)
    assert found["tokens"] == 4
    assert found["tokens_per_second"] == 1.0
    assert found["gap"] == {"p50": 0.5, "p90": 0.5, "p99": 0.5, "max": 0.5}
    assert found["first_token"]["p50"] == 1.0
    assert found["tokens_per_second_of_a_request"]["max"] == 2.0
    assert found["failures"] == {"x": 2}


@given(st.lists(st.floats(0, 100), min_size=1), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_a_quantile_is_a_value_that_the_share_does_not_exceed(
    values: list[float], share: float
) -> None:
    found = quantile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values)
    assert quantile([], share) is None
