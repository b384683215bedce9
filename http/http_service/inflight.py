"""Which requests are being answered now: what a drain waits for, names, and cuts in the end."""

from __future__ import annotations

from typing import Final, Protocol

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
    """The set of running requests; thread-safe, as each step is one operation of a set."""

    def __init__(self) -> None:
        self.running: Final[set[Running]] = set()
        """PERF: a request adds and discards itself."""
        self.closed = False
        """Whether :meth:`cut_all` ended it all: nothing may begin any more."""

    def __len__(self) -> int:
        return len(self.running)

    def cut_all(self, error: BaseException) -> list[Running]:
        """End every running request with ``error``, let none begin; return those cut."""
        self.closed = True
        cut = [*self.running.copy()]
        for request in cut:
            request.cut(error)
        return cut
