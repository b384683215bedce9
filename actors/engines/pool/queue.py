"""Requests that wait for room at an instance: by priority, then first come first served.

Each waits for a bounded time: a low priority is refused at the latest then, and never forgotten.
"""

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
    """One request in the queue, since when, and the timer that takes it out again.

    ``displaced`` is the one whose place it took, to be told so.
    """

    request: PoolRequest
    since: float
    timer: Pending | None = None
    displaced: Waiter | None = None


class Queue:
    """Invariant: a request is in it at most once, and no lane is empty. Not synchronised.

    A request that left is taken out at once, in constant time: no room is lost on it.
    """

    __slots__ = ("_lanes", "_size", "limit", "timeout")

    def __init__(self, limit: int = MAX_WAITING, timeout: float = QUEUE_TIMEOUT) -> None:
        self.limit: Final = limit
        self.timeout: Final = timeout
        # By priority, the highest one first. Nearly always there is one lane.
        self._lanes: dict[int, dict[PoolRequest, Waiter]] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Waiter]:
        """Those who wait, in the order in which they are served; of one moment."""
        return iter([waiter for lane in self._lanes.values() for waiter in lane.values()])

    def join(self, request: PoolRequest, now: float) -> Waiter | None:
        """Wait behind all of the same and of higher priorities; ``None`` if the queue is full.

        In a full queue the last one of the lowest priority makes room for a higher one.
        """
        priority = request.context.priority
        displaced: Waiter | None = None
        if self._size >= self.limit:
            lowest = next(reversed(self._lanes), priority)
            if lowest >= priority:
                return None
            displaced = self.leave(next(reversed(self._lanes[lowest])))
        if priority not in self._lanes:
            self._lanes[priority] = {}
            self._lanes = dict(sorted(self._lanes.items(), reverse=True))
        waiter = self._lanes[priority][request] = Waiter(request, now, displaced=displaced)
        self._size += 1
        return waiter

    def leave(self, request: PoolRequest) -> Waiter | None:
        """Wait no more; ``None`` for one that did not wait."""
        priority = request.context.priority
        lane = self._lanes.get(priority)
        waiter = None if lane is None else lane.pop(request, None)
        if waiter is not None:
            self._size -= 1
            if not lane:
                del self._lanes[priority]
        return waiter
