"""Which request bodies are taken in, and how many bytes of them are held at once.

Without a bound on all of them together, each within its own limit, twenty uploads are a gigabyte.
A body that came in one piece with its head is not counted: it is no longer than one read.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Final, Protocol

__all__ = ["Holder", "Intake"]


class Holder(Protocol):
    """A request; ``reserved`` is what it holds of the budget, in bytes, and only written here."""

    reserved: int


class Intake:
    """Takes bodies in while all that are held stay within ``limit`` bytes; any thread.

    ``reads_body(method, path, headers)`` is whether the application reads a request's body, and
    ``None`` while that is not known; headers are named as in WSGI's environment.

    What counts is what came, not what was announced: else a few heads would keep everybody out.
    """

    def __init__(
        self, reads_body: Callable[[str, str, Mapping[str, str]], bool | None], limit: int
    ) -> None:
        self.reads_body: Final = reads_body
        self._limit = limit
        self._lock = threading.Lock()
        self.held = 0

    def has_room(self, size: int) -> bool:
        """Whether a body of ``size`` bytes could be held now."""
        return self.held + size <= self._limit

    def reserve(self, holder: Holder, size: int) -> bool:
        """Whether ``holder`` may hold ``size`` bytes more; if so, they count until released."""
        with self._lock:
            if self.held + size > self._limit:
                return False
            self.held += size
            holder.reserved += size
            return True

    def release(self, holder: Holder) -> None:
        """``holder`` holds nothing any more. Idempotent."""
        with self._lock:
            self.held -= holder.reserved
            holder.reserved = 0
