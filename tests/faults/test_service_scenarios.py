"""The quick scenarios on the whole service, for real; `make faults` runs them all."""

from __future__ import annotations

import pytest

from tests.faults.catalogue import chosen
from tests.faults.engine import Timing, run_scenario
from tests.faults.scenario import Scenario

SEED = 6
QUICK = [each for each in chosen("", quick=True) if each.family != "actors"]


@pytest.mark.parametrize("scenario", QUICK, ids=lambda each: each.key)
def test_the_service_survives(scenario: Scenario) -> None:
    verdict = run_scenario(scenario, Timing.drawn(scenario, SEED), control=False)
    assert verdict.outcome == "held", verdict.broken
