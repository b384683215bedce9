"""The shows of instances that fail, in miniature: seconds instead of minutes."""

from __future__ import annotations

import pytest

from tests.faults.long import failing, frozen
from tests.faults.long.report import Report, Settings


@pytest.fixture
def report() -> Report:
    return Report()


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
