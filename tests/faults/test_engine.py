"""The engine of the suite: heals in any case, skips what can't be injected, survives failures."""

from __future__ import annotations

import random
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from actors.testing.faults import Fault, FaultUnavailable
from tests.faults.catalogue import SCENARIOS
from tests.faults.engine import Timing, observe, run_scenario
from tests.faults.evidence import Mark, Request, Vitals
from tests.faults.invariants import Invariant
from tests.faults.scenario import Figure, Scenario

TIMING = Timing(0.01, 0.03, 1)


class World:
    """A world of which everything is known."""

    deadline = 1.0
    load = None
    over = False

    def __init__(self, log: list[str]) -> None:
        self.log = log

    def vitals(self) -> Vitals:
        self.log.append("vitals")
        return Vitals(threads=1)

    def injecting(self) -> None:
        self.log.append("injecting")

    def sample(self) -> Mapping[str, Any]:
        return {"models": ["a"]}

    def marks(self) -> list[Mark]:
        return [Mark(0.0, "restart a")]

    def finish(self) -> Mapping[str, Any]:
        self.log.append("finish")
        return {"exit_code": 0}


class Recorded(Fault):
    """Notes when it was injected and healed."""

    def __init__(self, log: list[str], error: BaseException | None = None) -> None:
        super().__init__()
        self._log, self._error = log, error
        self.facts = {"noted": 1}

    def _inject(self) -> None:
        self._log.append("inject")
        if self._error is not None:
            raise self._error

    def _heal(self) -> None:
        self._log.append("heal")


def scenario(log: list[str], error: BaseException | None = None, **more: Any) -> Scenario:
    @contextmanager
    def stage(_base: float) -> Generator[World]:
        try:
            yield World(log)
        finally:
            log.append("closed")

    def fault(_world: Any, _rng: random.Random) -> Fault:
        return Recorded(log, error)

    figure = Figure("noted", "", lambda e: e.fact("noted"))
    return replace(SCENARIOS[0], stage=stage, fault=fault, invariants=(), figures=(figure,), **more)


def never_settled(_world: Any) -> bool:
    return False


def test_a_run_injects_looks_on_heals_and_ends_in_that_order() -> None:
    log: list[str] = []
    evidence = observe(scenario(log), TIMING)
    assert log == ["vitals", "injecting", "inject", "heal", "vitals", "finish", "closed"]
    assert evidence.fact("noted") == 1
    assert evidence.fact("exit_code", None) == 0
    assert [mark.what for mark in evidence.marks] == [
        "restart a",
        "inject recorded",
        "heal recorded",
    ]
    assert evidence.steady
    assert evidence.samples


def test_the_control_run_injects_nothing_and_notes_nothing() -> None:
    log: list[str] = []
    verdict = run_scenario(scenario(log), TIMING)
    assert log.count("inject") == 1
    assert log.count("closed") == 2
    assert verdict.outcome == "held"
    assert verdict.control is not None
    assert verdict.control.fact("noted") == 0


def test_a_fault_that_cannot_be_injected_is_skipped_with_its_reason() -> None:
    log: list[str] = []
    verdict = run_scenario(scenario(log, FaultUnavailable("no permission")), TIMING)
    assert (verdict.outcome, verdict.reason) == ("skipped", "no permission")
    assert log[-1] == "closed"


def test_a_run_that_fails_is_a_broken_promise_and_the_suite_goes_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log: list[str] = []
    verdict = run_scenario(scenario(log, ZeroDivisionError("oops")), TIMING, control=False)
    assert verdict.outcome == "broke"
    assert "oops" in verdict.broken[0]
    assert log[-1] == "closed"
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_an_interrupt_heals_and_closes_before_it_goes_on() -> None:
    log: list[str] = []

    def interrupt(_world: Any) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_scenario(scenario(log, settle=interrupt), TIMING, control=False)
    assert log[-2:] == ["heal", "closed"]


def test_a_steady_state_that_does_not_come_back_is_noted() -> None:
    log: list[str] = []
    evidence = observe(scenario(log, settle=never_settled, patience=0.05), TIMING)
    assert not evidence.steady


def test_a_broken_invariant_is_told_with_its_name() -> None:
    log: list[str] = []
    never = Invariant("never", lambda _evidence: "of course not")
    verdict = run_scenario(replace(scenario(log), invariants=(never,)), TIMING, control=False)
    assert verdict.broken == ("never: of course not",)


def test_a_load_that_fails_is_no_steady_state() -> None:
    class Failing:
        def start(self) -> None:
            return

        def stop(self) -> tuple[Request, ...]:
            return ()

        def recent(self, seconds: float) -> list[Request]:
            return [Request(0.0, 0.1, "m", "cut")]

    log: list[str] = []
    made = scenario(log, patience=0.7)

    @contextmanager
    def stage(base: float) -> Generator[World]:
        with made.stage(base) as world:
            world.load = Failing()
            yield world

    assert not observe(made, TIMING, stage=stage).steady
