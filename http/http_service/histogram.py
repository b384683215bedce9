"""A histogram for the request path: several observations of one value in one step.

PERF: a chunk that carries sixty tokens makes sixty equal observations; prometheus-client's own
histogram takes a microsecond for each, and a lock.
"""

from __future__ import annotations

from bisect import bisect_left

__all__ = ["Histogram"]


class Histogram:
    """What was observed, by buckets: up to each of ``bounds``, and above them. Not synchronised."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """Observations in each bucket alone."""
        self.total = 0.0
        """Their sum."""

    def observe(self, value: float, count: int = 1) -> None:
        """``count`` observations of ``value``; a bucket's bound belongs to it."""
        self.counts[bisect_left(self.bounds, value)] += count
        self.total += value * count
