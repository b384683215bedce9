"""Histogram buckets as Dynamo computes them, so that dashboards and comparisons carry over."""

from __future__ import annotations

import math
from typing import Final

__all__ = ["DURATION", "INTER_TOKEN", "TIME_TO_FIRST_TOKEN", "log_spaced"]

SIGNIFICANT: Final = 2
"""Digits a bucket's bound is rounded to: enough to read, few enough to remember."""


def log_spaced(low: float, high: float, count: int) -> tuple[float, ...]:
    """``count`` bounds from 0 to ``high``, the second and later spaced evenly in the logarithm.

    ``b0 = 0`` and ``b_i = low * (high / low) ** (i / (count - 1))``, rounded to two significant
    digits; neighbours that rounding made equal are told once.
    """
    step = (math.log(high) - math.log(low)) / (count - 1)
    bounds = [0.0, *(_rounded(math.exp(math.log(low) + step * i)) for i in range(1, count))]
    return tuple(dict.fromkeys(bounds))


def _rounded(value: float) -> float:
    digits = SIGNIFICANT - 1 - math.floor(math.log10(value))
    return round(value, digits)


DURATION: Final = log_spaced(1, 512, 10)
TIME_TO_FIRST_TOKEN: Final = log_spaced(0.001, 480, 18)
INTER_TOKEN: Final = log_spaced(0.001, 2, 13)
