"""Schedules: drawn from a seed, written, read, shrunk."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.faults.campaign import ROUND, campaign
from tests.faults.catalogue import SCENARIOS
from tests.faults.engine import Timing
from tests.faults.judge import Verdict
from tests.faults.mix import KINDS, Step, drawn, mixed
from tests.faults.schedule import BadSchedule, Run, Schedule, read_schedule
from tests.faults.shrink import shrunk


@given(st.integers(0, 1000), st.floats(2.0, 120.0))
def test_drawn_steps_fit_and_never_more_than_three_are_on_at_once(seed: int, length: float) -> None:
    steps = drawn(random.Random(seed), length)
    assert drawn(random.Random(seed), length) == steps
    for step in steps:
        assert 0 <= step.at < length
        assert step.at + step.seconds <= length + 0.01
        on = [s for s in steps if s.at <= step.at < s.at + s.seconds]
        assert len(on) <= 3
        resources = [KINDS[s.kind][0] for s in on]
        assert len(set(resources)) == len(resources)


def test_over_some_seeds_every_kind_of_fault_is_drawn() -> None:
    seen = {s.kind for seed in range(30) for s in drawn(random.Random(seed), 60.0)}
    assert seen == set(KINDS)


def test_timings_follow_from_the_seed_and_differ_between_scenarios() -> None:
    one, two = SCENARIOS[0], SCENARIOS[1]
    assert Timing.drawn(one, 7) == Timing.drawn(one, 7)
    assert Timing.drawn(one, 7) != Timing.drawn(one, 8)
    assert Timing.drawn(one, 7).seed != Timing.drawn(two, 7).seed
    assert Timing.drawn(one, 7, duration=9.0).heal == pytest.approx(
        Timing.drawn(one, 7).inject + 9.0
    )


def test_a_schedule_is_read_as_it_was_written(tmp_path: Path) -> None:
    steps = (Step(0.5, 1.25, "kill-registry"),)
    written = Schedule(
        7,
        (Run("hang", Timing(0.7, 1.9, 3)), Run("campaign", Timing(1.0, 11.0, 4), steps)),
    )
    path = tmp_path / "schedule.json"
    written.write(path)
    assert read_schedule(path) == written


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 9, "seed": 1, "runs": []}', "{no"])
def test_a_file_that_is_no_schedule_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(BadSchedule, match=r"x\.json"):
        read_schedule(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSchedule, match="can't read"):
        read_schedule(tmp_path / "none.json")


@given(st.sets(st.integers(0, 30), min_size=1, max_size=4), st.integers(31, 40))
def test_what_is_shrunk_is_the_guilty_and_nothing_else(guilty: set[int], size: int) -> None:
    found, _ = shrunk(range(size), lambda items: guilty <= set(items))
    assert set(found) == guilty
    assert list(found) == sorted(found)


def test_shrinking_stops_after_so_many_tries_and_still_breaks() -> None:
    asked: list[Sequence[int]] = []

    def breaks(items: Sequence[int]) -> bool:
        asked.append(items)
        return {3, 17} <= set(items)

    found, tries = shrunk(range(20), breaks, tries=4)
    assert tries == len(asked) == 4
    assert {3, 17} <= set(found)


def verdict(steps: Sequence[Step], guilty: str) -> Verdict:
    broke = any(step.kind == guilty for step in steps)
    told = ("it fell over: badly",) if broke else ()
    return Verdict(mixed("campaign", steps, ROUND), "broke" if broke else "held", told)


def test_a_campaign_stops_at_the_first_break_and_finds_the_one_guilty_step() -> None:
    said: list[str] = []

    def run(steps: Sequence[Step], seconds: float, seed: int) -> Verdict:
        return verdict(steps, "etcd-freeze")

    verdicts, schedule = campaign(5, 3600.0, said.append, run)
    assert [each.outcome for each in verdicts[:-1]] == ["held"] * (len(verdicts) - 1)
    assert verdicts[-1].outcome == "broke"
    (shortest,) = schedule.runs
    assert [step.kind for step in shortest.steps or ()] == ["etcd-freeze"]
    assert any("shortest" in line for line in said)


def test_a_campaign_that_breaks_nothing_writes_down_all_its_rounds() -> None:
    def run(steps: Sequence[Step], seconds: float, seed: int) -> Verdict:
        return verdict(steps, "never")

    verdicts, schedule = campaign(5, 0.001, lambda _line: None, run)
    assert len(schedule.runs) == len(verdicts) >= 1
