"""Quantiles and medians: few, plain, and the same in benchmarks and faults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

__all__ = ["Quantiles", "middle", "quantile"]


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of ``values`` don't exceed; NaN for none."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    rank = max(1, -(-share * len(ordered) // 1))  # the ceiling
    return ordered[min(len(ordered), int(rank)) - 1]


def middle(values: Sequence[float]) -> float:
    """The median, of an even number the mean of the middle two; NaN for none."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Median and 99th percentile, both in the unit that they were made with."""

    p50: float
    p99: float

    @classmethod
    def of(cls, seconds: Sequence[float], scale: float = 1e3) -> Self:
        """Of times in seconds, in milliseconds unless ``scale`` says otherwise."""
        return cls(quantile(seconds, 0.5) * scale, quantile(seconds, 0.99) * scale)
