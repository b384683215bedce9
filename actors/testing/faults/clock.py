"""Faults of time: the wall clock is set, or all of time stood still."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from actors.testing.faults.fault import Fault
from actors.testing.faults.patch import Patch

__all__ = ["ClockJump", "Stall"]


class ClockJump(Fault):
    """``time.time()`` of this process jumps by ``seconds``, either way; put back on healing.

    Imitates NTP after a long outage, or an administrator. ``time.monotonic()`` goes on, and so
    must every timeout. ``happened`` counts who looked at the clock.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds=seconds)
        self._seconds = seconds
        self._patch = Patch(time, "time", self._jumped)

    def _inject(self) -> None:
        self._patch.put()

    def _heal(self) -> None:
        self._patch.remove()

    def _jumped(self, real: Callable[[], float]) -> float:
        self.happened += 1
        return real() + self._seconds


class _Advancing(Protocol):
    def advance(self, seconds: float) -> None: ...


class Stall(Fault):
    """On a ``FakeClock``, ``seconds`` pass at once: every timer within them falls due together.

    Imitates a virtual machine that was migrated, or a laptop that slept.
    """

    def __init__(self, clock: _Advancing, seconds: float) -> None:
        super().__init__(seconds=seconds)
        self._clock, self._seconds = clock, seconds

    def _inject(self) -> None:
        self._clock.advance(self._seconds)
        self.happened += 1
