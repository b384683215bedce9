"""Requests that wait for room at an instance, first come first served, each with a deadline."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from actors.engines.pool.clock import Pending

if TYPE_CHECKING:
    from actors.engines.pool.request import PoolRequest

__all__ = ["MAX_WAITING", "QUEUE_TIMEOUT", "Queue", "Waiter"]

MAX_WAITING: Final = 256
"""Requests that wait at most: beyond that a client learns at once that it should come back."""

QUEUE_TIMEOUT: Final = 10.0
"""Seconds in the queue at most: with the answer still to come, users have given up by then."""


@dataclass(slots=True)
class Waiter:
    """One request in the queue, since when, and the timer that takes it out again."""

    request: PoolRequest
    since: float
    timer: Pending | None = None


class Queue:
    """Invariant: a request is in it at most once, and nothing is in it twice. Not synchronised.

    Whoever left is taken out at once, in constant time: the room that comes is not lost on them.
    """

    __slots__ = ("_waiters", "limit", "timeout")

    def __init__(self, limit: int = MAX_WAITING, timeout: float = QUEUE_TIMEOUT) -> None:
        self.limit: Final = limit
        self.timeout: Final = timeout
        self._waiters: dict[PoolRequest, Waiter] = {}

    def __len__(self) -> int:
        return len(self._waiters)

    def __iter__(self) -> Iterator[Waiter]:
        """Those who wait, who came first first; of one moment."""
        return iter([*self._waiters.values()])

    @property
    def full(self) -> bool:
        """Whether nobody else may wait."""
        return len(self._waiters) >= self.limit

    def join(self, request: PoolRequest, now: float) -> Waiter:
        """Wait, last."""
        waiter = self._waiters[request] = Waiter(request, now)
        return waiter

    def leave(self, request: PoolRequest) -> Waiter | None:
        """Wait no more; ``None`` for one that did not wait."""
        return self._waiters.pop(request, None)
