"""Time, injected: whatever in a tree waits or measures asks the tree's one clock.

That is every deadline of a child (start, shutdown, hang, backoff), and every timeout of an address.
Only the timeouts of the tree's own methods, such as ``tree.stop(timeout)``, are in real seconds:
they are for the program outside.

:class:`TimerThread` is the real one: monotonic, one daemon thread a tree, started by its first
timer. ``actors.testing.FakeClock`` is the other.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import logging
import threading
import time
from _thread import allocate_lock
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import TIMEOUT_MAX
from typing import Final, Protocol

__all__ = ["Clock", "Ready", "Timer", "TimerThread"]

_log = logging.getLogger("actors.supervision")

Callback = Callable[[], object]

Ready = Callable[[float | None], bool]
"""Blocks until a condition holds or so many real seconds passed (``None``: no limit); returns
whether it holds. An ``Event``'s ``wait`` is one."""


class Timer(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """Never run it; does nothing if it ran already. Any thread, idempotent."""
        ...


class Clock(Protocol):
    """What a tree needs of time."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        ...

    def call_later(self, delay: float, callback: Callback) -> Timer:
        """Call ``callback()`` in ``delay`` seconds, on the clock's thread: it must not block."""
        ...

    def wait(self, ready: Ready, timeout: float | None) -> bool:
        """Block until ``ready`` or for ``timeout`` seconds (``None``: no limit); return which."""
        ...

    def close(self) -> None:
        """Drop every timer and end the thread."""
        ...


class _Due:
    """One timer in the heap; cancelled ones are skipped when they come up."""

    __slots__ = ("callback", "due", "number")

    def __init__(self, due: float, number: int, callback: Callback) -> None:
        self.due = due
        self.number = number
        self.callback: Callback | None = callback

    def __lt__(self, other: _Due) -> bool:
        return (self.due, self.number) < (other.due, other.number)

    def cancel(self) -> None:
        self.callback = None


class TimerThread:
    """The real clock. ``threading.Timer`` would be a thread for each delay.

    No lock, which a finalizer could find taken by its own thread: timers go through a queue to the
    clock's thread, and only that one touches the heap.
    """

    def __init__(self, name: str = "clock") -> None:
        self.monotonic: Final = time.monotonic
        """A jump of the wall clock changes nothing. PERF: a method of ours would be one Python call
        for each message."""
        self._name = name
        self._set: SimpleQueue[_Due | None] = SimpleQueue()
        self._numbers = itertools.count()
        self._started = allocate_lock()
        self._closed = False

    def call_later(self, delay: float, callback: Callback) -> Timer:
        """See :class:`Clock`. After :meth:`close` the callback never runs.

        Raises ``RuntimeError`` if the clock's thread can't be started; a later call tries again.
        """
        timer = _Due(time.monotonic() + delay, next(self._numbers), callback)
        if not self._closed:
            self._start_thread()
            self._set.put(timer)
        return timer

    def wait(self, ready: Ready, timeout: float | None) -> bool:
        """See :class:`Clock`. Its seconds are the real ones, so ``ready`` does all the waiting."""
        return ready(timeout)

    def close(self) -> None:
        """Drop every timer and end the thread."""
        self._closed = True
        self._set.put(None)

    def _start_thread(self) -> None:
        if self._started.acquire(blocking=False):
            try:
                threading.Thread(target=self._run, name=self._name, daemon=True).start()
            except RuntimeError:  # no more threads
                self._started.release()
                raise

    def _run(self) -> None:
        heap: list[_Due] = []
        while not self._closed:
            wait = heap[0].due - time.monotonic() if heap else TIMEOUT_MAX
            if wait <= 0:
                self._call(heapq.heappop(heap))
                continue
            with contextlib.suppress(Empty):
                timer = self._set.get(timeout=min(wait, TIMEOUT_MAX))
                if timer is not None:
                    heapq.heappush(heap, timer)

    def _call(self, timer: _Due) -> None:
        callback = timer.callback
        if callback is not None:
            try:
                callback()
            except BaseException:  # noqa: BLE001  # foreign code; the other timers go on
                _log.exception("a timer's callback failed")
