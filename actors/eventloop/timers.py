"""Timers, which are exact. For timeouts that nearly never expire see ``loop``.

Not synchronised: all belong to the thread of their loop. Times are in seconds on the loop's clock.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from typing import Final

__all__ = ["TimerHandle", "Timers"]

_COMPACT_ABOVE: Final = 64
"""A heap is compacted once more than this, and more than half of it, is cancelled."""


class TimerHandle:
    """One call at one time, unless :meth:`cancel` comes first."""

    __slots__ = ("_timers", "callback", "when")

    def __init__(self, timers: Timers, when: float, callback: Callable[[], object]) -> None:
        self._timers = timers
        self.when = when
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        """Never call it; does nothing if it was called or cancelled before. O(1)."""
        if self.callback is not None:
            self.callback = None
            self._timers.note_cancelled()


class Timers:
    """Timers in the order of their times; those of one time in the order they were made."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, TimerHandle]] = []
        self._made = 0
        self._cancelled = 0
        self.soonest = math.inf
        """No timer is due before this. One that was there may be gone: :meth:`next_at` looks."""

    def __len__(self) -> int:
        return len(self._heap) - self._cancelled

    def add(self, when: float, callback: Callable[[], object]) -> TimerHandle:
        """Have ``callback()`` due at ``when``."""
        timer = TimerHandle(self, when, callback)
        self._made += 1
        self.soonest = min(self.soonest, when)
        heapq.heappush(self._heap, (when, self._made, timer))
        return timer

    def next_at(self) -> float | None:
        """When the next timer is due, ``None`` if there is none."""
        heap = self._heap
        while heap and heap[0][2].callback is None:
            heapq.heappop(heap)
            self._cancelled -= 1
        self.soonest = heap[0][0] if heap else math.inf
        return heap[0][0] if heap else None

    def pop_due(self, now: float) -> Callable[[], object] | None:
        """Take the next callback that is due at ``now``, ``None`` if none is."""
        when = self.next_at()
        if when is None or when > now:
            return None
        timer = heapq.heappop(self._heap)[2]
        callback, timer.callback = timer.callback, None
        return callback

    def note_cancelled(self) -> None:
        """A timer in the heap was cancelled; sweep the heap when most of it is."""
        self._cancelled += 1
        if self._cancelled > _COMPACT_ABOVE and 2 * self._cancelled > len(self._heap):
            self._heap = [each for each in self._heap if each[2].callback is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0
