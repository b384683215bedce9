"""What is to happen when: a heap of timers, and deadlines that are put off without touching it.

Not synchronised: timers belong to the thread of their loop. Times are in seconds on the loop's
clock.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from typing import Final

__all__ = ["Deadline", "Timer", "Timers"]

_COMPACT_ABOVE: Final = 64
"""A heap is swept once more than this, and more than half of it, is cancelled."""


class Timer:
    """One call at one time; :meth:`cancel` takes it back."""

    __slots__ = ("_timers", "callback", "when")

    def __init__(self, timers: Timers, when: float, callback: Callable[[], object]) -> None:
        self._timers = timers
        self.when = when
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        """Never call it; nothing if it was called or cancelled before. O(1)."""
        if self.callback is not None:
            self.callback = None
            self._timers.note_cancelled()


class Timers:
    """Timers in the order of their times; those of one time in the order they were made."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._made = 0
        self._cancelled = 0
        self.soonest = math.inf
        """No timer is due before this; there may be none then, either."""

    def __len__(self) -> int:
        return len(self._heap) - self._cancelled

    def add(self, when: float, callback: Callable[[], object]) -> Timer:
        """Have ``callback()`` due at ``when``."""
        timer = Timer(self, when, callback)
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
        self.next_at()
        return callback

    def note_cancelled(self) -> None:
        """A timer in the heap was cancelled; sweep the heap when most of it is."""
        self._cancelled += 1
        if self._cancelled > _COMPACT_ABOVE and 2 * self._cancelled > len(self._heap):
            self._heap = [each for each in self._heap if each[2].callback is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0


class Deadline:
    """Calls ``expired()`` once, unless it is put off or cancelled in time.

    PERF: :meth:`extend` is two stores: a stream puts its deadline off with each token. The timer
    underneath finds out when it fires, and waits for the rest.
    """

    __slots__ = ("_callback", "_clock", "_timer", "_timers", "expires")

    def __init__(
        self,
        timers: Timers,
        clock: Callable[[], float],
        seconds: float,
        expired: Callable[[], object],
    ) -> None:
        self._timers = timers
        self._clock = clock
        self._callback: Callable[[], object] = expired
        self.expires = clock() + seconds
        self._timer: Timer | None = timers.add(self.expires, self._fired)

    def extend(self, seconds: float) -> None:
        """Expire ``seconds`` from now instead: later for nothing, earlier for one more timer."""
        self.expires = self._clock() + seconds
        timer = self._timer
        if timer is not None and self.expires < timer.when:
            timer.cancel()
            self._timer = self._timers.add(self.expires, self._fired)

    def cancel(self) -> None:
        """Never expire. Idempotent."""
        timer, self._timer = self._timer, None
        self._callback = _nothing  # PERF: whoever is to be told mostly holds the deadline: a cycle
        if timer is not None:
            timer.cancel()

    def _fired(self) -> None:
        if self.expires > self._clock():
            self._timer = self._timers.add(self.expires, self._fired)
        else:
            self._timer = None
            self._callback()


def _nothing() -> None:
    """What a cancelled deadline calls."""
