"""The shows in miniature: the same programs, seconds instead of minutes.

Every promise is kept but those of speed, which are not a test's business.

``killed_workers`` needs the weights and a minute, and is not part of this: run the command.
"""

from __future__ import annotations

import pytest

from tests.faults.long import balance, etcd_away, failing, frozen, hedging, soak
from tests.faults.long.hosted_model import CASES, compare
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


@pytest.fixture
def test_nobody_sees_a_failure_while_one_instance_is_well(report: Report) -> None:
    failing.run(report, Settings(seconds=8.0))
    assert report.exit_code == 0, report.broken
    assert report.figures["retries"] > 0
    assert report.figures["ejections"] > 0


def test_a_stopped_worker_is_ejected_and_comes_back(report: Report) -> None:
    frozen.run(report, Settings(seconds=3.0))
    # How fast the others are is a figure of the show: a test shares its cores.
    assert not [each for each in report.broken if "p99" not in each]
    assert report.figures["ejected after"] > 0


@pytest.mark.model
def test_each_field_is_that_of_llamas_own_answer() -> None:
    rows = compare()
    assert {row.case for row in rows} == {*CASES}
    assert [row for row in rows if not row.equal and not row.why] == []
