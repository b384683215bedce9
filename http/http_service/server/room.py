"""Back-pressure between one client and one engine: a door with at most one that waits at it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

__all__ = ["ROOM_BYTES", "Room"]

ROOM_BYTES: Final = 64 * 1024
"""Bytes that may wait for a slow client beyond the kernel's own buffers before its engine is told:
several hundred tokens, so that an engine is never paused for a hiccup."""


class Room:
    """Whether a producer may go on; closed while its client does not keep up. Thread-safe."""

    __slots__ = ("_closed", "_lock", "_waiting")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._closed = False
        self._waiting: Callable[[], object] | None = None

    def has(self, size: int, when_room: Callable[[], object]) -> bool:
        """Whether there is room beside ``size`` bytes that wait; else ``when_room`` is kept."""
        # PERF: one attribute load in the common case.
        if not self._closed or size < ROOM_BYTES:
            return True
        with self._lock:
            if not self._closed:
                return True
            self._waiting = when_room
            return False

    def close(self) -> None:
        """The client does not keep up."""
        self._closed = True

    def open(self) -> None:
        """There is room again: call whoever waits."""
        with self._lock:
            self._closed = False
            waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting()
