"""One instance's circuit breaker: a table of transitions, and the counters it needs. Pure.

::

    CLOSED    harm up to LIMIT in a row      → OPEN, for a while
    OPEN      the while is over              → HALF_OPEN: one request as a trial
    OPEN      a probe succeeded              → CLOSED, on probation: one more harm opens it
    HALF_OPEN success                        → CLOSED
    HALF_OPEN harm                           → OPEN, for twice as long
    any       success                        → forgets the harm so far

Times are seconds on the pool's clock, handed in.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from actors.supervision.spec import doubling

__all__ = ["FIRST_WHILE", "LIMIT", "LONGEST_WHILE", "Breaker", "BreakerState"]

LIMIT: Final = 5
"""Points of harm in a row that open a breaker. A plain failure is one point, as in Envoy's outlier
detection (five consecutive 5xx); a refused connection is all five, because nobody listens there."""

FIRST_WHILE: Final = 1.0
"""Seconds out after the first opening: a worker that restarts is away for about that."""

LONGEST_WHILE: Final = 30.0
"""Seconds out at most: a worker that recovered gets its trial within half a minute."""


class BreakerState(StrEnum):
    """What a breaker lets through."""

    CLOSED = "closed"
    """Everything."""
    OPEN = "open"
    """Nothing, until its time is over."""
    HALF_OPEN = "half_open"
    """One trial."""


class Breaker:
    """Counts harm, and remembers how often it opened in a row. Not synchronised."""

    __slots__ = ("openings", "penalty", "state", "until")

    def __init__(self) -> None:
        self.state = BreakerState.CLOSED
        self.penalty = 0
        """Points in a row; a success sets them back."""
        self.openings = 0
        """How often it opened since it was last closed for good."""
        self.until = 0.0
        """Until when it is open."""

    def succeeded(self) -> bool:
        """Something went well; True if that closed the breaker."""
        self.penalty = self.openings = 0
        if self.state is BreakerState.CLOSED:
            return False
        self.state = BreakerState.CLOSED
        return True

    def probed(self) -> bool:
        """A probe went well; True if that closed the breaker.

        What answers probes may still fail requests, so it forgets nothing.
        """
        if self.state is BreakerState.CLOSED:
            return False
        self.state = BreakerState.CLOSED
        self.penalty = LIMIT - 1
        return True

    def failed(self, points: int, now: float, random_fn: float) -> bool:
        """Something failed with ``points`` of harm; True if that opened the breaker.

        ``random_fn`` in [0, 1) spreads the end, so that many gateways don't all try at once.
        """
        if not points or self.state is BreakerState.OPEN:
            return False
        self.penalty += points
        if self.state is BreakerState.CLOSED and self.penalty < LIMIT:
            return False
        self.state = BreakerState.OPEN
        self.until = now + while_out(self.openings, random_fn)
        self.openings += 1
        self.penalty = 0
        return True

    def due(self, now: float) -> bool:
        """Whether it is open and its time is over."""
        return self.state is BreakerState.OPEN and now >= self.until

    def try_again(self) -> None:
        """Let one trial through."""
        self.state = BreakerState.HALF_OPEN


def while_out(openings: int, random_fn: float) -> float:
    """Seconds out after ``openings`` earlier ones: doubling, bounded, and 20 % off by chance."""
    return doubling(FIRST_WHILE, LONGEST_WHILE, openings) * (0.8 + 0.2 * random_fn)
