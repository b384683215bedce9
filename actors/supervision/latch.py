"""A latch: something that happens once, and that any thread may wait for."""

from __future__ import annotations

import threading
from _thread import allocate_lock

__all__ = ["Latch"]


class Latch:
    """Closed until :meth:`set` was called, and open ever after. Any thread.

    PERF: two raw locks. An ``Event`` does the same and is a kilobyte, one for each idle actor; and
    it holds a lock while it allocates, so a finalizer that sets it could wait for itself.
    """

    __slots__ = ("_gate", "_once", "opened")

    def __init__(self) -> None:
        self.opened = False
        """Whether :meth:`set` was called."""
        self._once = allocate_lock()
        self._gate = allocate_lock()
        self._gate.acquire()

    def set(self) -> None:
        """Let everybody pass, now and later. Idempotent."""
        if self._once.acquire(blocking=False):
            self.opened = True
            self._gate.release()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait so long (``None``: forever) for the latch to open; return whether it is."""
        if self.opened:  # a finalizer may come here while its own thread passes the gate below
            return True
        patience = -1.0 if seconds is None else min(max(0.0, seconds), threading.TIMEOUT_MAX)
        if not self._gate.acquire(timeout=patience):
            return self.opened
        self._gate.release()
        return True
