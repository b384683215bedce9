"""Runs one scenario: the only place where faults are injected, and healed in any case."""

from __future__ import annotations

import random
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from actors.testing.faults import Fault, FaultUnavailable
from tests.faults.evidence import Evidence, Mark, Sample, Vitals
from tests.faults.invariants import SPARE_THREADS
from tests.faults.judge import Verdict, judge, skipped
from tests.faults.scenario import Scenario

__all__ = ["FAILED_RUN", "Timing", "observe", "run_scenario"]

FAILED_RUN: Final = "the run itself failed"
"""How a verdict begins that tells of the suite, not of the system."""
LOOK: Final = 0.1
"""Seconds between two samples."""
CALM: Final = 0.5
"""Seconds of nothing but right answers that count as the steady state."""
CONTROL: Final = 1.5
"""Seconds that a control run looks on where the fault would be on."""
SETTLED: Final = 0.02
REST: Final = 13.0
"""Seconds for what closes with delay: the server sweeps every five, idle threads end after ten."""


@dataclass(frozen=True, slots=True)
class Timing:
    """When things happen in a run, in seconds since its load began: the schedule of one scenario.

    ``inject`` and ``heal`` are replayed as they were; ``seed`` seeds the fault's own choices.
    """

    inject: float
    heal: float
    seed: int

    def short(self) -> Timing:
        """The same for the run without the fault, where nothing needs its time."""
        return Timing(self.inject, min(self.heal, self.inject + CONTROL), self.seed)

    @classmethod
    def drawn(cls, scenario: Scenario, seed: int, duration: float | None = None) -> Timing:
        """Drawn from ``seed``, a different one for each scenario."""
        own = random.Random(f"{seed}/{scenario.key}")
        inject = 0.6 + own.random() * 0.4
        seconds = scenario.seconds if duration is None else duration
        return cls(round(inject, 3), round(inject + seconds, 3), own.randrange(1 << 30))


def run_scenario(
    scenario: Scenario,
    timing: Timing,
    *,
    control: bool = True,
    stage: Callable[[float], Any] | None = None,
    heard: Callable[[str], None] = lambda _phase: None,
) -> Verdict:
    """Without the fault first (``control``), then with it; judged."""
    try:
        without = None
        if control:
            heard("control")
            without = observe(scenario, timing.short(), control=True, stage=stage)
        heard("fault")
        return judge(scenario, observe(scenario, timing, stage=stage), without)
    except FaultUnavailable as unavailable:
        return skipped(scenario, unavailable.reason)
    except Exception as error:  # noqa: BLE001  # a run that fails is a broken promise, too
        traceback.print_exc()
        return Verdict(scenario, "broke", (f"{FAILED_RUN}: {error!r}"[:500],))


def observe(
    scenario: Scenario,
    timing: Timing,
    *,
    control: bool = False,
    stage: Callable[[float], Any] | None = None,
) -> Evidence:
    """One run: start, steady state, inject, look on, heal, steady state again, end."""
    base = time.monotonic()
    with (stage or scenario.stage)(base) as world:
        fault: Fault = scenario.fault(world, random.Random(timing.seed))
        return _Run(scenario, timing, world, fault, control=control).run(base)


def _unrested(before: Vitals, after: Vitals) -> bool:
    """Whether something is left that may still go away by itself."""
    more = after.threads > before.threads + SPARE_THREADS
    return more or after.files > before.files or after.inflight > 0


class _Run:
    """One run while it goes on."""

    def __init__(
        self, scenario: Scenario, timing: Timing, world: Any, fault: Fault, *, control: bool
    ) -> None:
        self._scenario, self._timing = scenario, timing
        self._world, self._fault, self._control = world, fault, control
        self._pause = threading.Event()
        self._samples: list[Sample] = []
        self._marks: list[Mark] = []

    def run(self, base: float) -> Evidence:
        _scenario, world, load = self._scenario, self._world, self._world.load
        begun = time.monotonic() - base
        if load is not None:
            load.start()
        try:
            self._look_until(base, begun + self._timing.inject)
            before = world.vitals()
            world.injecting()
            injected = time.monotonic() - base
            if not self._control:
                self._fault.inject()
                self._marks.append(Mark(injected, f"inject {self._fault.name}"))
            self._look_until(base, injected + self._timing.heal - self._timing.inject)
        finally:
            self._fault.heal()
        healed = time.monotonic() - base
        if not self._control:
            self._marks.append(Mark(healed, f"heal {self._fault.name}"))
        steady = self._settle(base)
        recovered = time.monotonic() - base
        requests = load.stop() if load is not None else ()
        after = self._vitals_at_rest(before)
        noted = dict(getattr(self._fault, "facts", {})) if not self._control else {}
        inside = world.marks()
        facts = {**world.finish(), **noted}
        marks = sorted([*self._marks, *inside], key=lambda mark: mark.at)
        return Evidence(
            control=self._control,
            deadline=world.deadline,
            injected_at=injected,
            healed_at=healed,
            ended_at=recovered,
            steady=steady,
            recovery=recovered - healed,
            requests=requests,
            marks=tuple(marks),
            samples=tuple(self._samples),
            before=before,
            after=after,
            facts=facts,
        )

    def _vitals_at_rest(self, before: Vitals) -> Vitals:
        """What is left once sweepers had their time: they come round every few seconds."""
        limit = time.monotonic() + REST
        after: Vitals = self._world.vitals()
        while _unrested(before, after) and time.monotonic() < limit:
            self._pause.wait(LOOK)
            after = self._world.vitals()
        return after

    def _look_until(self, base: float, moment: float) -> None:
        """Sample the world until ``moment``, relative to ``base``."""
        while (now := time.monotonic() - base) < moment:
            self._samples.append(Sample(now, self._world.sample()))
            left = moment - (time.monotonic() - base)
            if left > 0:
                self._pause.wait(min(LOOK, left))

    def _settle(self, base: float) -> bool:
        """Wait for the steady state; whether it came within the scenario's patience."""
        limit = time.monotonic() + self._scenario.patience
        healed = time.monotonic()
        while time.monotonic() < limit:
            self._samples.append(Sample(time.monotonic() - base, self._world.sample()))
            if self._calm(healed) and (self._world.over or self._scenario.settle(self._world)):
                return True
            self._pause.wait(SETTLED)
        return False

    def _calm(self, healed: float) -> bool:
        load = self._world.load
        if load is None or self._world.over:
            return True
        if time.monotonic() < healed + CALM:
            return False
        recent = load.recent(CALM)
        return bool(recent) and all(each.ok for each in recent)
