"""Full jitter: wait a random time below a bound that doubles with each failure in a row."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Final

__all__ = ["FullJitter"]

_MAX_DOUBLINGS: Final = 16
"""Keeps the power small; every bound is capped long before."""


@dataclass(slots=True)
class FullJitter:
    """Delays in seconds, uniform in ``[0, min(cap, first * 2**failures)]``.

    A thousand front-ends that lost the same etcd come back spread over time (AWS Architecture
    Blog, "Exponential Backoff And Jitter").
    """

    first: float = 0.2
    cap: float = 5.0
    rng: random.Random = field(default_factory=random.Random)
    failures: int = 0

    def next(self) -> float:
        """The delay after one more failure."""
        bound = min(self.cap, self.first * 2 ** min(self.failures, _MAX_DOUBLINGS))
        self.failures += 1
        return self.rng.uniform(0.0, bound)

    def reset(self) -> None:
        """The work went well again: begin with short delays."""
        self.failures = 0
