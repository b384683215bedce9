"""The retry budget: failures may cost a bounded share of extra work, however many there are. Pure.

Without it, an outage of a model with three tries a request is answered with three times the load
(the amplification that Finagle's and gRPC's budgets were made against). A retry that finds an
instance which answers amplifies nothing: it is paid back. So the budget is spent by what fails
everywhere, and while one instance is well no request is refused its retry for the sake of it.
"""

from __future__ import annotations

from typing import Final

__all__ = ["BURST", "FLOOR", "MIN_SAMPLES", "RATIO", "WINDOW_SIZE", "LatencyWindow", "RetryBudget"]

RATIO: Final = 0.2
"""Retries for each request, in the long run (Finagle's default): at most 20 % more work."""

FLOOR: Final = 10.0
"""Retries a second that are free (Finagle's): at a low rate a ratio alone would allow none."""

BURST: Final = 100.0
"""Retries that may be saved up: enough for the requests in flight at an instance that dies."""

WINDOW_SIZE: Final = 256
"""Times that are remembered: a percentile of the last minutes, not of the last week."""

MIN_SAMPLES: Final = 20
"""Times without which nothing is said: a p95 of fewer is a maximum."""

_EVERY: Final = 16
"""Observations between two sorts: a percentile moves slowly, and sorting is what costs."""


class RetryBudget:
    """A bucket of retries: each request puts in ``ratio``, each second ``floor``. Not synchronised.

    Invariant: in any span, retries that were not paid back
    <= ``burst + ratio * requests + floor * seconds``.
    """

    __slots__ = ("_at", "_burst", "_floor", "_ratio", "saved")

    def __init__(
        self, now: float, *, ratio: float = RATIO, floor: float = FLOOR, burst: float = BURST
    ) -> None:
        self._ratio = ratio
        self._floor = floor
        self._burst = burst
        self._at = now
        self.saved = burst
        """Retries that are left, a fraction included."""

    def asked(self) -> None:
        """A request came."""
        if self.saved < self._burst:  # PERF: for each request, and it is full most of the time
            self.saved = min(self._burst, self.saved + self._ratio)

    def take(self, now: float) -> bool:
        """Take one retry out at ``now``; False if there is none left."""
        self.saved = min(self.saved + (now - self._at) * self._floor, self._burst)
        self._at = now
        if self.saved < 1.0:
            return False
        self.saved -= 1.0
        return True

    def give_back(self) -> None:
        """A retry was answered: it was not in vain, and is free."""
        self.saved = min(self._burst, self.saved + 1.0)


class LatencyWindow:
    """The last ``WINDOW_SIZE`` times, in a ring. Not synchronised."""

    __slots__ = ("_percentiles", "_seen", "_times")

    def __init__(self) -> None:
        self._times: list[float] = []
        self._seen = 0
        self._percentiles: dict[float, float] = {}

    def observe(self, seconds: float) -> None:
        """A first token took ``seconds``."""
        if len(self._times) < WINDOW_SIZE:
            self._times.append(seconds)
        else:
            self._times[self._seen % WINDOW_SIZE] = seconds
        self._seen += 1
        if self._seen % _EVERY == 0:
            self._percentiles.clear()

    def percentile(self, percent: float) -> float | None:
        """The time that ``percent`` of the last ones did not exceed; ``None`` of too few."""
        if len(self._times) < MIN_SAMPLES:
            return None
        found = self._percentiles.get(percent)
        if found is None:
            ordered = sorted(self._times)
            found = ordered[min(int(len(ordered) * percent / 100), len(ordered) - 1)]
            self._percentiles[percent] = found
        return found
