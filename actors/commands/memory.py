"""Keeps Python's garbage collector from looking at all that lives, again and again.

A full collection looks at every object there is: with five thousand models 0.3 million, which takes
0.1 s, and until it ends nothing else happens. Nearly all of them live on, so nothing is found.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

__all__ = ["APART", "GROWTH", "Settled", "settle_memory"]

GROWTH: Final = 1.5
"""How many times as much as after the last look at everything there must be for another one."""

APART: Final = 600.0
"""Seconds between two of them at least: each may stop everything for 0.1 s or more."""


def settle_memory() -> None:
    """Take what is here now, and what outlives a full collection from now on, out of its sight."""
    gc.collect()
    gc.freeze()
    gc.callbacks.append(Settled())


class Settled:
    """Has a full collection look at what is new since the last one; a callback of :mod:`gc`.

    Once memory has grown by half since it last looked at everything, and some minutes have passed,
    it does so again: objects that only point at each other, and came to that long after they were
    made, are found late, but they are found. ``blocks`` tells how much memory is in use, in any
    unit; ``clock`` tells seconds.
    """

    def __init__(
        self,
        blocks: Callable[[], int] = sys.getallocatedblocks,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._blocks = blocks
        self._clock = clock
        self._everything = False
        self._put_off()

    def __call__(self, phase: str, info: Mapping[str, Any]) -> None:
        """A collection starts, or stops."""
        if info["generation"] != 2:
            return
        if phase == "start":
            late = self._clock() >= self._not_before
            self._everything = late and self._blocks() >= self._enough
            if self._everything:
                gc.unfreeze()
            return
        gc.freeze()
        if self._everything:
            self._put_off()

    def _put_off(self) -> None:
        self._not_before = self._clock() + APART
        self._enough = self._blocks() * GROWTH
