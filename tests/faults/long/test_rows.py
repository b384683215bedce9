"""The shows in miniature: the same programs, seconds instead of minutes.

Every promise is kept but those of speed, which are no business of a test.

``killed_workers`` needs the weights and a minute, and is no part of this: run the command.
"""

from __future__ import annotations

import pytest

from tests.faults.long import balance, etcd_away, hedging, soak
from tests.faults.long.report import Report, Settings


@pytest.fixture
def report() -> Report:
    return Report()


def test_nobody_sees_that_etcd_is_killed(report: Report) -> None:
    etcd_away.run(report, Settings(seconds=3.0), ways=("killed",))
    assert report.exit_code == 0, report.broken


def test_eight_instances_share_by_turns_also_while_all_of_them_are_new(report: Report) -> None:
    balance.run(report, Settings(seconds=2.0), warm=0.0)
    # Weights are on their way up yet, and of speed a test says nothing.
    ignored = ("weights: each", "least_loaded's p99")
    assert not [each for each in report.broken if not each.startswith(ignored)]
    assert report.figures["turns: farthest from its share"] <= balance.MOST


def test_a_second_instance_is_asked_beside_a_slow_one(report: Report) -> None:
    hedging.run(report, Settings(seconds=4.0))
    assert not [each for each in report.broken if "p99" not in each]
    assert report.figures["hedges won"] > 0


def test_a_soak_in_miniature_is_sampled_and_loses_nothing(report: Report) -> None:
    samples, outcome = soak.soak(report, 2_000)
    assert outcome.done == 2_000
    assert [each.requests for each in samples] == sorted(each.requests for each in samples)
    assert all(each.rss and each.threads and each.descriptors for each in samples)
