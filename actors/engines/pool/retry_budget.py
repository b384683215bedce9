"""The retry budget: failures may cost a bounded share of extra work, however many there are. Pure.

Without it, an outage of a model with three tries a request is answered with three times the load
(the amplification that Finagle's and gRPC's budgets were made against). A retry that finds an
instance which answers amplifies nothing: it is paid back. So the budget is spent by what fails
everywhere, and while one instance is well no request is refused its retry for the sake of it.
"""

from __future__ import annotations

from typing import Final

__all__ = ["BURST", "FLOOR", "RATIO", "RetryBudget"]

RATIO: Final = 0.2
"""Retries for each request, in the long run (Finagle's default): at most 20 % more work."""

FLOOR: Final = 10.0
"""Retries a second that are free (Finagle's): at a low rate a ratio alone would allow none."""

BURST: Final = 100.0
"""Retries that may be saved up: enough for the requests in flight at an instance that dies."""


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
