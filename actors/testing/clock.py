"""A clock that moves only when it is advanced."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

from actors.supervision.clock import Ready, Timer

__all__ = ["FakeClock"]

POLL_SECONDS: Final = 0.005
"""Real seconds between two checks of a waiting thread: what it waits for does not know of this
clock, and this clock not of it."""
TIMEOUT: Final = 10.0
"""Real seconds that a thread waits for a clock that is not advanced; then the test has failed."""


class _Entry:
    """One timer of a fake clock."""

    def __init__(self, due: float, number: int, callback: Callable[[], object]) -> None:
        self.key = (due, number)
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        """Take it back."""
        self.cancelled = True


class FakeClock:
    """A :class:`~actors.supervision.Clock` for tests: pass it to ``Supervisor.start(clock=…)``.

    Timers run on the thread that calls :meth:`advance`, in the order in which they are due. A
    thread that waits with a timeout (an ask, a start, a shutdown) waits until its condition holds
    or the clock was advanced beyond the timeout.
    """

    def __init__(self, now: float = 1000.0) -> None:
        self._now = now
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._entries: list[_Entry] = []
        self._deadlines: list[float] = []
        self._closed = False

    @property
    def pending(self) -> int:
        """How many timers are due later."""
        with self._changed:
            return self._count()

    @property
    def waiting(self) -> int:
        """How many threads wait for something with a deadline that has not come."""
        with self._changed:
            return self._count_waiting()

    def monotonic(self) -> float:
        """Seconds, changed by :meth:`advance` only."""
        return self._now

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        """Call ``callback()`` when the clock was advanced by ``delay`` seconds."""
        with self._changed:
            entry = _Entry(self._now + delay, next(self._numbers), callback)
            if not self._closed:
                self._entries.append(entry)
                self._changed.notify_all()
        return entry

    def wait(self, ready: Ready, timeout: float | None) -> bool:
        """Wait until ``ready``, or until the clock was advanced by ``timeout`` seconds.

        Raises ``TimeoutError`` if neither has happened within ten real seconds.
        """
        if timeout is None or timeout <= 0:
            return ready(timeout)
        deadline, give_up_at = self._now + timeout, time.monotonic() + TIMEOUT
        with self._waits(deadline):
            while not ready(POLL_SECONDS):
                if self._now >= deadline:
                    return ready(0.0)
                if time.monotonic() > give_up_at:
                    raise TimeoutError(f"the clock was not advanced to {deadline:g}")
        return True

    def close(self) -> None:
        """Drop every timer; later ones never run."""
        with self._changed:
            self._closed = True
            self._entries.clear()

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass and run what falls due, at the time it falls due.

        Raises ``ValueError`` for less than 0: time never goes back.
        """
        if not seconds >= 0:
            raise ValueError(f"advance by {seconds!r} seconds: time never goes back")
        end = self._now + seconds
        while (entry := self._next_until(end)) is not None:
            self._now = entry.key[0]
            entry.callback()
        self._now = end

    def wait_for_timers(self, count: int, timeout: float = 5.0) -> None:
        """Wait, in real seconds, until at least ``count`` timers are pending.

        Raises ``TimeoutError``. For tests in which another thread sets the timer.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._count() >= count, timeout):
                raise TimeoutError(f"{self._count()} timers are pending, not {count}")

    def wait_for_waiting(self, count: int, timeout: float = 5.0) -> None:
        """Wait, in real seconds, until at least ``count`` threads wait with a deadline.

        Raises ``TimeoutError``. For tests that let a start, a shutdown or an ask of another thread
        time out: advance the clock when it waits, and not before.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._count_waiting() >= count, timeout):
                raise TimeoutError(f"{self._count_waiting()} threads are waiting, not {count}")

    @contextmanager
    def _waits(self, deadline: float) -> Generator[None]:
        """Count the calling thread among the waiting."""
        with self._changed:
            self._deadlines.append(deadline)
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._deadlines.remove(deadline)

    def _count_waiting(self) -> int:
        return sum(deadline > self._now for deadline in self._deadlines)

    def _count(self) -> int:
        return sum(not entry.cancelled for entry in self._entries)

    def _next_until(self, end: float) -> _Entry | None:
        with self._changed:
            due = [each for each in self._entries if not each.cancelled and each.key[0] <= end]
            if not due:
                return None
            entry = min(due, key=lambda each: each.key)
            self._entries.remove(entry)
            return entry
