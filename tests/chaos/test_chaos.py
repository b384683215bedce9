"""A minute of chaos, from a fixed seed; and that a broken watch loop does not pass it."""

from __future__ import annotations

import pytest

from tests.chaos.faults import FAULTS
from tests.chaos.run import run
from tests.chaos.sabotage import SABOTAGES

SEED = 20261124


@pytest.mark.timeout(300)
def test_a_minute_of_faults_leaves_the_registry_equal_to_etcd() -> None:
    report = run(45.0, SEED, longest=6.0)
    assert report.failures == []
    assert len(report.recoveries) >= 8, "faults were played"
    assert report.resyncs >= 3, "and they hurt"
    assert report.writes > 200
    assert report.drops > 20


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("sabotage", "says"), [("no-snapshot", "registry and etcd differ"), ("panic", "models left")]
)
def test_a_broken_watch_loop_is_caught(sabotage: str, says: str) -> None:
    report = run(
        6.0,
        SEED,
        longest=2.0,
        faults=["network cut", "network cut, compaction"],
        make_source=SABOTAGES[sabotage],
        deadline=5.0,
    )
    assert says in " ".join(report.failures)


def test_a_change_that_never_arrives_fails_the_run() -> None:
    """The source is never told where etcd is."""
    with pytest.raises(AssertionError, match="the steady models"):
        run(1.0, SEED, make_source=lambda _: SABOTAGES["panic"]("127.0.0.1:1"), start_within=1.0)


def test_every_fault_can_be_chosen_by_its_name() -> None:
    assert len(FAULTS) == 6
