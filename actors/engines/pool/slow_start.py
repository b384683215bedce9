"""Slow start: a fresh or recovered instance gets its share bit by bit. Pure."""

from __future__ import annotations

from typing import Final

__all__ = ["LEAST", "STEP", "WINDOW", "share"]

WINDOW: Final = 10.0
"""Seconds from the first request to the full share: caches fill and compilers warm up in that."""

LEAST: Final = 0.1
"""The share at the beginning (Envoy's default): enough to warm up by, too little to fall over."""

STEP: Final = 0.5
"""Seconds between two looks at whoever warms up."""


def share(age: float) -> float:
    """The part of its weight that an instance ``age`` seconds old gets: in steps from ``LEAST``.

    Steps, so that instances that came together have the same: a least loaded policy would give
    nearly everything to the one that is a millisecond older.
    """
    return min(max(age // STEP * STEP / WINDOW, LEAST), 1.0)
