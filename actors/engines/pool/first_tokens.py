"""How long first tokens take in this pool, for hedging after a percentile of them. Pure."""

from __future__ import annotations

from typing import Final

__all__ = ["FirstTokens"]

KEPT: Final = 256
"""Times that are remembered: a percentile of the last minutes, not of the last week."""

ENOUGH: Final = 20
"""Times without which nothing is said: a p95 of fewer is a maximum."""

_EVERY: Final = 16
"""Observations between two sorts: a percentile moves slowly, and sorting is what costs."""


class FirstTokens:
    """The last ``KEPT`` times, in a ring. Not synchronised."""

    __slots__ = ("_percentiles", "_seen", "_times")

    def __init__(self) -> None:
        self._times: list[float] = []
        self._seen = 0
        self._percentiles: dict[float, float] = {}

    def observe(self, seconds: float) -> None:
        """A first token took ``seconds``."""
        if len(self._times) < KEPT:
            self._times.append(seconds)
        else:
            self._times[self._seen % KEPT] = seconds
        self._seen += 1
        if self._seen % _EVERY == 0:
            self._percentiles.clear()

    def percentile(self, percent: float) -> float | None:
        """The time that ``percent`` of the last ones did not exceed; ``None`` of too few."""
        if len(self._times) < ENOUGH:
            return None
        found = self._percentiles.get(percent)
        if found is None:
            ordered = sorted(self._times)
            found = ordered[min(int(len(ordered) * percent / 100), len(ordered) - 1)]
            self._percentiles[percent] = found
        return found
