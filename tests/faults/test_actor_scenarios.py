"""The quick scenarios on the library alone, for real; `make faults` runs them all."""

from __future__ import annotations

import pytest

from tests.faults.catalogue import chosen
from tests.faults.engine import Timing, run_scenario
from tests.faults.scenario import Scenario

SEED = 6


@pytest.mark.parametrize("scenario", chosen("actors", quick=True), ids=lambda each: each.key)
def test_the_tree_survives(scenario: Scenario) -> None:
    verdict = run_scenario(scenario, Timing.drawn(scenario, SEED), control=False)
    assert verdict.outcome == "held", verdict.broken


def test_a_control_run_shows_nothing() -> None:
    (scenario,) = chosen("=raise-SystemExit")
    verdict = run_scenario(scenario, Timing.drawn(scenario, SEED))
    assert verdict.outcome == "held", verdict.broken
    assert verdict.control is not None
    assert verdict.control.control
