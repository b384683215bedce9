"""Random mixes, round after round, until an invariant breaks; then the shortest that breaks it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Final

from tests.faults.engine import Timing, run_scenario
from tests.faults.judge import Verdict
from tests.faults.mix import Step, drawn, mixed
from tests.faults.schedule import Run, Schedule
from tests.faults.shrink import shrunk

__all__ = ["ROUND", "campaign", "run_steps"]

ROUND: Final = 10.0
"""Seconds of faults in a round: each begins with a fresh service, so that it can be replayed."""
TRIES: Final = 16
"""Shorter schedules that are tried at most; each takes as long as a round."""

Say = Callable[[str], None]


def run_steps(steps: Sequence[Step], seconds: float, seed: int) -> Verdict:
    """One round: exactly these steps on a fresh service."""
    timing = Timing(1.0, 1.0 + seconds, seed)
    return run_scenario(mixed("campaign", steps, seconds), timing, control=False)


def campaign(
    seed: int,
    seconds: float,
    say: Say,
    run: Callable[[Sequence[Step], float, int], Verdict] = run_steps,
) -> tuple[list[Verdict], Schedule]:
    """Rounds for so many seconds; every verdict, and the schedule of the shortest that broke.

    If none broke, the schedule holds every round.
    """
    rng = random.Random(seed)
    verdicts: list[Verdict] = []
    runs: list[Run] = []
    end = time.monotonic() + seconds
    while not verdicts or time.monotonic() < end:
        steps, own = drawn(rng, ROUND), rng.randrange(1 << 30)
        verdict = run(steps, ROUND, own)
        verdicts.append(verdict)
        runs.append(Run("campaign", Timing(1.0, 1.0 + ROUND, own), steps))
        kinds = " ".join(step.kind for step in steps)
        say(f"round {len(verdicts):3}: {verdict.outcome}, {len(steps)} faults: {kinds}")
        if verdict.outcome == "broke":
            for how in verdict.broken:
                say(f"           {how}")
            return verdicts, Schedule(seed, (_shortest(runs[-1], verdict, say, run),))
    return verdicts, Schedule(seed, tuple(runs))


def _shortest(
    broken: Run,
    verdict: Verdict,
    say: Say,
    run: Callable[[Sequence[Step], float, int], Verdict],
) -> Run:
    """The shortest part found that breaks one of the same invariants."""
    names = {how.split(":")[0] for how in verdict.broken}

    def breaks(steps: Sequence[Step]) -> bool:
        again = run(steps, ROUND, broken.timing.seed)
        same = names & {how.split(":")[0] for how in again.broken}
        say(f"  {len(steps)} of them: {'breaks' if same else 'holds'}")
        return bool(same)

    steps, asked = shrunk(broken.steps or (), breaks, TRIES)
    say(f"shortest found in {asked} tries:")
    for step in steps:
        say(f"  at {step.at:5.2f} s for {step.seconds:4.2f} s: {step.kind}")
    return Run("campaign", broken.timing, tuple(steps))
