"""What a run leaves behind, and questions to it: pure, so any verdict can be recomputed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from tests.support.stats import quantile

__all__ = ["OK", "Evidence", "Mark", "Request", "Sample", "Vitals"]

OK = "ok"


@dataclass(frozen=True, slots=True)
class Request:
    """One request: when it was due, how long it took, and how it ended.

    ``outcome`` is ``ok``, ``status 503``, ``refused``, ``cut``, ``late`` (nothing within the
    deadline) or ``wrong: …`` (an answer of a form it may not have). Seconds since the run began.
    """

    at: float
    took: float
    target: str
    outcome: str

    @property
    def ok(self) -> bool:
        """Whether the answer was right in every byte."""
        return self.outcome == OK

    @property
    def end(self) -> float:
        """When it was over."""
        return self.at + self.took


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened: a restart, an injection. Seconds since the run began."""

    at: float
    what: str


@dataclass(frozen=True, slots=True)
class Sample:
    """What could be seen from outside at one moment."""

    at: float
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Vitals:
    """What must be the same after a fault as before it."""

    threads: int = 0
    files: int = 0
    actors: int = 0
    inflight: int = 0
    memory: int = 0
    """Resident bytes."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One run of one scenario, with the fault or (``control``) without it."""

    control: bool = False
    deadline: float = 10.0
    """Seconds within which every request must have ended, one way or another."""
    injected_at: float = math.inf
    healed_at: float = math.inf
    ended_at: float = 0.0
    steady: bool = True
    """Whether the system came back to its steady state after the fault."""
    recovery: float = 0.0
    """Seconds that took."""
    requests: tuple[Request, ...] = ()
    marks: tuple[Mark, ...] = ()
    samples: tuple[Sample, ...] = ()
    found: Sample | None = None
    """In :meth:`from_injection`: the last sample before the injection, to compare with."""
    before: Vitals = field(default_factory=Vitals)
    after: Vitals = field(default_factory=Vitals)
    facts: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def from_injection(self) -> Evidence:
        """What can be the fault's doing; all of it where no injection was noted.

        Requests that were under way at the injection belong to it: the fault met them. Marks and
        samples from before do not; the last sample before is kept as ``found``.
        """
        since = self.injected_at
        if math.isinf(since):
            return self
        earlier = [sample for sample in self.samples if sample.at < since]
        return replace(
            self,
            requests=tuple(r for r in self.requests if r.end >= since),
            marks=tuple(m for m in self.marks if m.at >= since),
            samples=tuple(s for s in self.samples if s.at >= since),
            found=earlier[-1] if earlier else None,
        )

    def fact(self, name: str, default: Any = 0) -> Any:
        """What the fault or the world noted under ``name``."""
        return self.facts.get(name, default)

    def count(self, what: str) -> int:
        """How many marks begin with ``what``."""
        return sum(mark.what.startswith(what) for mark in self.marks)

    def first(self, what: str) -> float | None:
        """When the first such mark was made after the injection."""
        return next(
            (m.at for m in self.marks if m.what.startswith(what) and m.at >= self.injected_at),
            None,
        )

    def since_injection(self, what: str) -> float:
        """Milliseconds from the injection to the first such mark; 0 if there was none."""
        moment = self.first(what)
        return 0.0 if moment is None else (moment - self.injected_at) * 1000.0

    def failed(self, chosen: Callable[[Request], bool] | None = None) -> list[Request]:
        """The requests that did not end well, of those chosen."""
        return [r for r in self.requests if not r.ok and (chosen is None or chosen(r))]

    def availability(self) -> float:
        """Percent of the requests that were answered right."""
        if not self.requests:
            return 100.0
        return 100.0 * (1.0 - len(self.failed()) / len(self.requests))

    def outage(self) -> float:
        """The longest time in seconds in which requests were due and every one of them failed."""
        longest, since = 0.0, None
        for request in sorted(self.requests, key=lambda each: each.at):
            if request.ok:
                since = None
            else:
                since = request.at if since is None else since
                longest = max(longest, request.end - since)
        return longest

    def percentile(self, percent: float, *, during: bool = True) -> float:
        """Milliseconds that the right answers took, within the fault's window or outside of it."""
        inside = (self.injected_at, min(self.healed_at, self.ended_at))
        times = [
            r.took for r in self.requests if r.ok and (inside[0] <= r.at <= inside[1]) is during
        ]
        return quantile(times, percent / 100.0) * 1000.0 if times else 0.0
