"""From evidence to a verdict; pure.

Everything is judged by what was seen from the injection on (:meth:`Evidence.from_injection`), in
the control run from the moment at which the fault would have been injected. A figure that has to
look at the time before states its reason in ``before``; no invariant does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tests.faults.evidence import Evidence
from tests.faults.scenario import Scenario

__all__ = ["Outcome", "Verdict", "judge", "judge_control", "skipped"]

Outcome = Literal["held", "broke", "skipped"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one scenario: ``broken`` are sentences, ``figures`` name to value.

    ``unseen`` are the names of invariants that could not be judged: nothing showed either way.
    """

    scenario: Scenario
    outcome: Outcome
    broken: tuple[str, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict[str, float])
    reason: str = ""
    evidence: Evidence | None = None
    control: Evidence | None = None
    unseen: tuple[str, ...] = ()

    @property
    def promises(self) -> tuple[str, ...]:
        """What was judged, by name; then what was not, said so."""
        judged = [i.name for i in self.scenario.invariants if i.name not in self.unseen]
        return (*judged, *(f"not seen from here: {name}" for name in self.unseen))


def judge(scenario: Scenario, evidence: Evidence, control: Evidence | None = None) -> Verdict:
    """Held if every invariant does, and the control run (if there was one) shows nothing."""
    seen = evidence.from_injection()
    broken = _broken(scenario, seen)
    if control is not None:
        broken += judge_control(scenario, control)
    figures = {each.name: each.of(evidence if each.before else seen) for each in scenario.figures}
    return Verdict(
        scenario,
        "broke" if broken else "held",
        tuple(broken),
        figures,
        evidence=evidence,
        control=control,
        unseen=tuple(each.name for each in scenario.invariants if not each.evident(seen)),
    )


def judge_control(scenario: Scenario, control: Evidence) -> list[str]:
    """Without the fault every invariant holds, and the first figure is 0."""
    seen = control.from_injection()
    broken = [f"control: {how}" for how in _broken(scenario, seen)]
    first = scenario.figures[0]
    if (found := first.of(control if first.before else seen)) != 0:
        broken.append(f"control: {first.name} is {found:g} {first.unit}, not 0")
    return broken


def _broken(scenario: Scenario, seen: Evidence) -> list[str]:
    """A sentence for each invariant that does not hold."""
    return [
        f"{invariant.name}: {how}"
        for invariant in scenario.invariants
        if (how := invariant.check(seen)) is not None
    ]


def skipped(scenario: Scenario, reason: str) -> Verdict:
    """The fault could not be injected here: neither held nor broke."""
    return Verdict(scenario, "skipped", reason=reason)
