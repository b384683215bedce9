"""Time, injected: whatever in a tree waits or measures asks the tree's one clock.

That is every deadline of a child (start, shutdown, hang, backoff), and every timeout of an address.
Only what the tree's own calls wait for, such as ``tree.stop(timeout)``, is real: it bounds the
patience of the program outside.

:class:`TimerThread` is the real one: monotonic, one daemon thread a tree, started by its first
timer. ``actors.testing.FakeClock`` is the other.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable
from threading import TIMEOUT_MAX
from typing import Protocol

__all__ = ["Clock", "Ready", "Timer", "TimerThread"]

_log = logging.getLogger("actors.supervision")

Callback = Callable[[], object]

Ready = Callable[[float | None], bool]
"""Blocks for so many real seconds (``None``: for ever) until something is so; tells whether it is.
An ``Event``'s ``wait`` is one."""


class Timer(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """Take it back; nothing happens if it ran already. Any thread, idempotent."""
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
        """Have the calling thread wait until ``ready``, ``timeout`` seconds at most (``None``: for
        ever); tell whether it came to pass."""
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
    """The real clock. ``threading.Timer`` would be a thread for each delay."""

    def __init__(self, name: str = "clock") -> None:
        self._name = name
        self._changed = threading.Condition()
        self._heap: list[_Due] = []
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None
        self._closed = False

    def monotonic(self) -> float:
        """``time.monotonic()``: a jump of the wall clock changes nothing."""
        return time.monotonic()

    def call_later(self, delay: float, callback: Callback) -> Timer:
        """See :class:`Clock`. After :meth:`close` the callback never runs.

        Raises ``RuntimeError`` if the clock's thread can't be started; a later call tries again.
        """
        timer = _Due(time.monotonic() + delay, next(self._numbers), callback)
        with self._changed:
            if self._closed:
                return timer
            heapq.heappush(self._heap, timer)
            if self._thread is None:
                thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # no more threads
                    self._heap.remove(timer)
                    raise
                self._thread = thread
            elif self._heap[0] is timer:
                self._changed.notify()
        return timer

    def wait(self, ready: Ready, timeout: float | None) -> bool:
        """See :class:`Clock`. Its seconds are the real ones, so ``ready`` does all the waiting."""
        return ready(timeout)

    def close(self) -> None:
        """Drop every timer and end the thread."""
        with self._changed:
            self._closed = True
            self._heap.clear()
            self._changed.notify()

    def _run(self) -> None:
        while (callback := self._next()) is not None:
            try:
                callback()
            except BaseException:  # noqa: BLE001  # foreign code; the other timers go on
                _log.exception("a timer's callback failed")

    def _next(self) -> Callback | None:
        """Wait for the next timer that is due; ``None`` once closed."""
        with self._changed:
            while not self._closed:
                wait = self._heap[0].due - time.monotonic() if self._heap else None
                if wait is not None and wait <= 0:
                    callback = heapq.heappop(self._heap).callback
                    if callback is not None:
                        return callback
                else:
                    self._changed.wait(None if wait is None else min(wait, TIMEOUT_MAX))
        return None
