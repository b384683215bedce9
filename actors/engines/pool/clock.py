"""Time for a pool, injected: ``actors.testing.FakeClock`` in tests, the shared event loop else."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from actors.eventloop import EventLoop, TimerHandle, shared_loop

__all__ = ["Clock", "LoopClock", "Pending", "loop_clock"]

_SWEEP: Final = 256
"""Cancelled timers that are collected before the loop is woken to drop them: a wake-up each would
cost more than the request that the timer watched over."""


class Pending(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """Take it back; nothing if it was called already. Any thread."""
        ...


class Clock(Protocol):
    """What a pool needs of time; any thread."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""
        ...

    def call_later(self, delay: float, callback: Callable[[], object]) -> Pending:
        """Call ``callback()`` in ``delay`` seconds, on the clock's thread: it must not block."""
        ...


class _LoopTimer:
    """One timer on the loop, which may be cancelled before the loop has even heard of it."""

    __slots__ = ("_callback", "_clock", "timer")

    def __init__(self, clock: LoopClock, callback: Callable[[], object]) -> None:
        self._clock = clock
        self._callback: Callable[[], object] | None = callback
        self.timer: TimerHandle | None = None

    @property
    def wanted(self) -> bool:
        return self._callback is not None

    def fire(self) -> None:
        callback, self._callback, self.timer = self._callback, None, None
        if callback is not None:
            callback()

    def cancel(self) -> None:
        if self._callback is not None:
            self._callback = None
            self._clock.drop(self)


class LoopClock:
    """Timers on an event loop, set and cancelled from any thread."""

    def __init__(self, loop: EventLoop) -> None:
        self._loop = loop
        self._dropped: deque[_LoopTimer] = deque()
        self.monotonic: Final = loop.clock

    def call_later(self, delay: float, callback: Callable[[], object]) -> Pending:
        """See :class:`Clock`."""
        pending = _LoopTimer(self, callback)
        due = self.monotonic() + delay

        def set_timer() -> None:
            if not pending.wanted:
                return
            left = max(due - self.monotonic(), 0.0)
            pending.timer = self._loop.call_later(left, pending.fire)

        if self._loop.on_loop:
            set_timer()
        else:
            self._loop.call(set_timer)
        return pending

    def drop(self, pending: _LoopTimer) -> None:
        """``pending`` was cancelled; called by itself."""
        self._dropped.append(pending)
        if self._loop.on_loop:
            self._sweep()
        elif len(self._dropped) % _SWEEP == 0:
            self._loop.call(self._sweep)

    def _sweep(self) -> None:
        for _ in range(len(self._dropped)):
            pending = self._dropped.popleft()
            if pending.timer is not None:
                pending.timer.cancel()


def loop_clock() -> LoopClock:
    """The clock on the loop of this process."""
    return LoopClock(shared_loop())
