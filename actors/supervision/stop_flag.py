"""Pykka's flag of an actor that takes no further message, as an attribute instead of a lock."""

from __future__ import annotations

import threading
from typing import Final

from actors.supervision.latch import Latch

__all__ = ["StopFlag"]


class StopFlag(threading.Event):
    """An ``Event`` without the lock that one holds while it wakes others.

    A finalizer that stops the same actor within ``set`` would wait for it forever.
    """

    def __init__(self) -> None:
        self.latch: Final = Latch()
        """Opened when the actor stops. PERF: ``latch.opened`` is no call."""

    def is_set(self) -> bool:
        """Whether the actor stops."""
        return self.latch.opened

    def set(self) -> None:
        """Stop for good."""
        self.latch.set()

    def clear(self) -> None:
        """Refused: an actor that has stopped stays so."""
        raise RuntimeError("an actor that has stopped can't go on: start another one")

    def wait(self, timeout: float | None = None) -> bool:
        """Wait so long for the stop; return whether it came."""
        return self.latch.wait(timeout)
