"""Timeouts, which nearly never expire, and timers, which mostly do.

Every request has timeouts, and nearly none expires: they are a set that is swept at intervals, so
that starting, extending and ending one costs next to nothing. A timer is exact.

Not synchronised: all belong to the thread of their loop. Times are in seconds on the loop's clock.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from typing import Final, Protocol

__all__ = ["Deadline", "Timed", "TimeoutQueue", "TimerHandle", "Timers"]

SWEEP: Final = 0.05
"""Seconds between two sweeps, and so the most by which a timeout comes late."""

_COMPACT_ABOVE: Final = 64
"""A heap is compacted once more than this, and more than half of it, is cancelled."""


class Timed(Protocol):
    """What must be done in time. Equal to itself only."""

    due: float
    """When it is late. Any later time may be written at any moment, and puts it off; after an
    earlier one :meth:`TimeoutQueue.start` must be called again."""

    def timed_out(self) -> None:
        """It is late, and no longer timed; it may be started again. Must not block."""
        ...


class TimeoutQueue:
    """What is timed. Each is late once: never before its ``due``, and soon after it (``SWEEP``)."""

    def __init__(self) -> None:
        self.timed: Final[set[Timed]] = set()
        """What is timed; ``discard`` ends that."""
        self.sweep_at = math.inf
        """When to :meth:`sweep`: until then nothing is late."""
        self._not_before = -math.inf

    def start(self, timed: Timed) -> None:
        """Time ``timed``, by its ``due``; again after an earlier one was written."""
        self.timed.add(timed)
        if timed.due < self.sweep_at:
            self.sweep_at = max(timed.due, self._not_before)

    def sweep(self, now: float) -> list[Timed]:
        """What is late now. All of it is still timed: the caller ends that, one by one.

        So an error or a hung thread in between loses none of the others: as long as something
        was late, the next sweep comes soon.
        """
        timed = [*self.timed]
        late = [each for each in timed if each.due <= now]
        self.sweep_at = self._not_before = now + SWEEP
        if not late:
            soonest = min([each.due for each in timed], default=math.inf)
            self.sweep_at = max(soonest, self._not_before)
        return late


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
        self._timer: TimerHandle | None = timers.add(self.expires, self._fired)

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
        self._callback = _nothing  # PERF: the callee mostly holds the deadline: a cycle
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
