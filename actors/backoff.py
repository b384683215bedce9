"""Exponential backoff: one bound for every wait that grows with failures. Pure.

How chance spreads the waits around this bound is the caller's choice.
"""

from __future__ import annotations

from typing import Final

__all__ = ["doubling"]

_MOST_DOUBLINGS: Final = 60
"""2**60 times any delay is beyond any cap; more would overflow a float in the end."""


def doubling(first: float, cap: float, failures: int) -> float:
    """Seconds: ``first``, doubled for each of so many earlier ``failures``, at most ``cap``."""
    return min(cap, first * 2.0 ** min(failures, _MOST_DOUBLINGS))
