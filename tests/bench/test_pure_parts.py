"""The pure parts of ``make bench``: who a thread works for, the ratio, the tables, the requests."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.cases import CASES, Case
from tests.bench.disconnects import CASES as LEAVINGS
from tests.bench.disconnects import delays
from tests.bench.measure import Figures, Result
from tests.bench.peers.script import Script
from tests.bench.slowloris import KINDS
from tests.bench.subject import STOCK_THREADS
from tests.bench.table import lines, thread_lines
from tests.bench.threads import OTHERS, grouped, role_of
from tests.support.stats import Quantiles


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("http-io", "http loop"),
        ("stock-loop", "http loop"),
        ("waitress-13", "workers"),
        ("event-loop", "event loop"),
        ("bench-engine", "engine"),
        ("discovery/etcd", OTHERS),
        ("", OTHERS),
    ],
)
def test_a_thread_is_known_by_its_name(name: str, role: str) -> None:
    assert role_of(name) == role


def test_cpu_time_is_summed_by_role_and_a_new_thread_counts_whole() -> None:
    names = {1: "waitress-0", 2: "waitress-1", 3: "http-io"}
    spent = grouped({1: 1.0, 3: 5.0}, {1: 1.5, 2: 0.25, 3: 5.0, 4: 2.0}, names)
    assert spent == {"workers": 0.75, "http loop": 0.0, OTHERS: 2.0}


@given(st.dictionaries(st.integers(0, 9), st.floats(0, 1e3)))
def test_no_time_is_lost_between_the_roles(after: dict[int, float]) -> None:
    names = {number: ("waitress-x", "http-io", "other")[number % 3] for number in after}
    assert sum(grouped({}, after, names).values()) == pytest.approx(sum(after.values()))


def figures(cpu: float, **roles: float) -> Figures:
    return Figures(cpu, roles, Quantiles(1.0, 9.0), 1000.0, {})


def test_the_ratio_is_taken_within_a_round() -> None:
    result = Result(CASES[0], [figures(100), figures(300)], [figures(200), figures(400)])
    assert result.ratio == pytest.approx((0.5 + 0.75) / 2)


def test_without_stock_there_is_no_ratio() -> None:
    result = Result(CASES[0], [figures(100)])
    assert math.isnan(result.ratio)
    assert lines([result])[1].split()[-7:] == ["request", "100", "-", "-", "1", "9", "1,000"]


def test_a_failure_stands_in_the_table_with_its_side_and_reason() -> None:
    bad = Figures(1.0, {}, Quantiles(1.0, 1.0), 1.0, {"status 503": 2})
    text = lines([Result(CASES[0], [bad, bad], [bad])])[1]
    assert text.endswith("4: status 503; stock 2: status 503;")


def test_threads_that_do_next_to_nothing_are_left_out() -> None:
    result = Result(CASES[0], [figures(200, workers=150.0, others=0.5, engine=49.5)])
    assert thread_lines([result])[0].split(maxsplit=2)[2] == "engine 49.5, workers 150"


each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@each_case
def test_a_request_is_whole(case: Case) -> None:
    head, _, body = case.request.payload.partition(b"\r\n\r\n")
    if head.startswith(b"POST"):
        assert b"Content-Length: %d" % len(body) in head
        assert bool(json.loads(body).get("stream")) is case.request.stream


@each_case
def test_a_held_stream_is_asked_for_once_a_client_and_stock_gets_no_more_than_its_threads(
    case: Case,
) -> None:
    ours, stock = case.load(1.0), case.load(1.0, stock=True)
    if case.held:
        assert ours.requests == ours.connections
        assert stock.requests == stock.connections == STOCK_THREADS
    else:
        assert ours == stock


def test_cpu_is_divided_by_what_the_case_counts_and_never_by_nothing() -> None:
    by_token = next(case for case in CASES if case.unit == "token")
    assert by_token.units(done=3, marks=64) == 64
    assert CASES[0].units(done=3, marks=64) == 3
    assert CASES[0].units(done=0, marks=0) == 1


@given(
    tokens=st.integers(1, 9999),
    pace=st.integers(0, 999),
    silent=st.booleans(),
    tag=st.integers(0, 10**6),
    size=st.integers(0, 10**6),
)
def test_what_the_user_says_is_what_the_engine_finds(
    tokens: int, pace: int, silent: bool, tag: int, size: int
) -> None:
    script = Script(tokens, pace, silent, tag, size)
    assert Script.find(json.dumps({"messages": [{"content": script.text}]}).encode()) == script


def test_a_request_without_a_script_gets_one_token() -> None:
    assert Script.find(b'{"messages": []}') == Script(1)


def test_who_was_never_told_has_no_delay() -> None:
    assert delays({1: 10.0, 2: 20.0}, {1: 10.25, 3: 1.0}) == [0.25]


@pytest.mark.parametrize("case", LEAVINGS, ids=lambda case: case.name)
def test_a_leaving_client_is_known_by_its_tag(case: object) -> None:
    chosen = next(each for each in LEAVINGS if each is case)
    script = Script.find(chosen.request(77).payload)
    assert (script.tag, script.silent) == (77, chosen.silent)


def test_a_slow_client_never_completes_its_request() -> None:
    header, body, reader = KINDS
    assert b"\r\n\r\n" not in header.opening + header.drip * 100
    assert b"Content-Length: 100000" in body.opening
    assert reader.drip == b""
