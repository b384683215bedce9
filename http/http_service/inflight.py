"""Which requests are being answered now: what a drain waits for, names, and cuts in the end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["InflightRequests", "Running"]


@dataclass(frozen=True, slots=True, eq=False)
class Running:
    """One request that has not been answered in full; ``cut`` ends it with an error.

    ``cut`` may be called from any thread, returns at once, and does nothing to an ended request.
    """

    request_id: str
    model: str
    cut: Callable[[BaseException], None]


class InflightRequests:
    """The set of running requests; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[Running] = set()

    def add(self, request: Running) -> None:
        """``request`` begins."""
        with self._lock:
            self._running.add(request)

    def discard(self, request: Running) -> None:
        """``request`` was answered, or nobody waits for it any more."""
        with self._lock:
            self._running.discard(request)

    def __len__(self) -> int:
        return len(self._running)

    def cut_all(self, error: BaseException) -> list[Running]:
        """End every running request with ``error``; return them."""
        with self._lock:
            cut = [*self._running]
        for request in cut:
            request.cut(error)
        return cut
