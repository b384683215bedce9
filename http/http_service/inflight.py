"""Which requests are being answered now: what a drain waits for, names, and cuts in the end."""

from __future__ import annotations

import threading
from typing import Protocol

__all__ = ["InflightRequests", "Running"]


class Running(Protocol):
    """One request that has not been answered in full; hashable by identity."""

    @property
    def request_id(self) -> str:
        """The client's name for it, or ours."""
        ...

    @property
    def model(self) -> str:
        """The name of the model that is asked."""
        ...

    def cut(self, error: BaseException) -> None:
        """End it with ``error``. Any thread; returns at once; nothing to an ended request."""
        ...


class InflightRequests:
    """The set of running requests; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[Running] = set()
        self.closed = False
        """Whether :meth:`cut_all` ended it all: nothing may begin any more."""

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
        """End every running request with ``error``, let none begin; return those cut."""
        self.closed = True
        with self._lock:
            cut = [*self._running]
        for request in cut:
            request.cut(error)
        return cut
