"""The bounds of the histograms' buckets, in seconds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

__all__ = ["DURATION", "INTER_TOKEN", "are_bounds"]

# fmt: off
DURATION: Final = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0
)
"""From a small answer to the longest silence that is accepted of an engine."""

INTER_TOKEN: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0
)
"""From a small model on a fast machine to a large one on a busy machine."""
# fmt: on

MOST: Final = 64
"""Buckets of one histogram: each is a time series for each model."""


def are_bounds(bounds: Sequence[object]) -> bool:
    """Whether these can be a histogram's bounds: 1 to 64 rising numbers above 0."""
    numbers = [each for each in bounds if type(each) is int or type(each) is float]
    rising = all(before < after for before, after in pairwise([0.0, *numbers, math.inf]))
    return rising and len(numbers) == len(bounds) and 1 <= len(bounds) <= MOST
