"""Seconds of chaos, from a fixed seed; and that a broken watch loop does not pass it.

The ten minutes are ``make chaos``.
"""

from __future__ import annotations

import pytest

from tests.faults.long.chaos import Outcome, Recovery, play, show
from tests.faults.long.etcd_faults import FAULTS
from tests.faults.long.report import Report
from tests.faults.long.sabotage import SABOTAGES

SEED = 20261124


@pytest.mark.timeout(300)
def test_a_row_of_faults_leaves_the_registry_equal_to_etcd() -> None:
    outcome = play(15.0, SEED, longest=2.0)
    assert outcome.failures == []
    assert len(outcome.recoveries) >= 4, "faults were played"
    assert outcome.resyncs >= 1, "and they hurt"
    assert outcome.writes > 200
    assert outcome.drops > 20


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("sabotage", "says"), [("no-snapshot", "registry and etcd differ"), ("panic", "models left")]
)
def test_a_broken_watch_loop_is_caught(sabotage: str, says: str) -> None:
    outcome = play(
        6.0,
        SEED,
        longest=2.0,
        faults=["network cut", "network cut, compaction"],
        make_source=SABOTAGES[sabotage],
        deadline=5.0,
    )
    assert says in " ".join(outcome.failures)


def test_a_change_that_never_arrives_fails_the_run() -> None:
    """The source is never told where etcd is."""
    with pytest.raises(AssertionError, match="the steady models"):
        play(1.0, SEED, make_source=lambda _: SABOTAGES["panic"]("127.0.0.1:1"), start_within=1.0)


def test_every_fault_can_be_chosen_by_its_name() -> None:
    assert len(FAULTS) == 6


def test_an_outcome_is_stated_with_its_recoveries_and_a_failure_breaks_the_promise() -> None:
    report = Report(lambda _line: None)
    show(report, Outcome(7, [Recovery("network cut", 0.25), Recovery("network cut", 0.75)]))
    assert report.figures["network cut: median"] == 500
    assert report.exit_code == 0
    show(report, Outcome(7, failures=["registry and etcd differ in 1: ['a']"]))
    assert report.broken == ["registry and etcd differ in 1: ['a']"]
