"""A latch: something that happens once, and that any thread may wait for."""

from __future__ import annotations

import threading
from _thread import allocate_lock

__all__ = ["Latch"]


class Latch:
    """Closed until :meth:`set` was called, and open ever after. Any thread.

    PERF: two raw locks. An ``Event`` does the same and is a kilobyte, one for each idle actor.
    """

    __slots__ = ("_gate", "_once")

    def __init__(self) -> None:
        self._once = allocate_lock()
        self._gate = allocate_lock()
        self._gate.acquire()

    def set(self) -> None:
        """Let everybody pass, now and later. Idempotent."""
        if self._once.acquire(blocking=False):
            self._gate.release()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait so long (``None``: for ever) for the latch to open; tell whether it is."""
        patience = -1.0 if seconds is None else min(max(0.0, seconds), threading.TIMEOUT_MAX)
        if not self._gate.acquire(timeout=patience):
            return False
        self._gate.release()
        return True
