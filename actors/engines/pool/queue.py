"""Requests that wait for room at an instance: by priority, then first come first served.

Each waits for a bounded time: a low priority is refused at the latest then, and never forgotten.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from actors.engines.errors import EngineBusy, EngineError, EngineUnavailable
from actors.engines.pool.clock import Pending
from actors.engines.pool.events import Waited
from actors.engines.pool.instance import Instance

if TYPE_CHECKING:
    from actors.engines.pool.pool_state import PoolState
    from actors.engines.pool.request import PoolRequest

__all__ = [
    "MAX_WAITING",
    "QUEUE_TIMEOUT",
    "Queue",
    "Waiter",
    "WaitingRoom",
    "busy",
    "nobody",
    "not_up_yet",
]

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


_RETRY_AFTER: Final = 1
"""Seconds that a client waits before it asks again for a model that is full or has no instance."""


class WaitingRoom:
    """Those who wait at one pool; its lock guards ``queue``, too."""

    __slots__ = ("_again", "_pool", "_queue", "_serving", "_wake_at")

    def __init__(self, pool: PoolState, queue: Queue) -> None:
        self._pool = pool
        self._queue = queue
        self._serving = self._again = False
        self._wake_at = math.inf

    def __len__(self) -> int:
        return len(self._queue)

    def join(self, request: PoolRequest, now: float) -> Waiter | None:
        """Let ``request`` wait, unless it is full. Call under the lock, then :meth:`wait`."""
        return self._queue.join(request, now)

    def wait(self, waiter: Waiter) -> None:
        """Let the clock take ``waiter`` out in the end; tell the one whose place it took."""
        request = waiter.request
        displaced, waiter.displaced = waiter.displaced, None
        if displaced is not None:
            self._waited(displaced, "displaced")
            displaced.request.give_up(displaced.request.last_error or busy(self._pool.model))
        waiter.timer = self._pool.clock.call_later(
            self._queue.timeout, lambda: self.time_out(request, busy(self._pool.model))
        )
        if request.over:  # its client left while it joined
            self.leave(request)
        self._plan_wake()

    def refuse(self) -> EngineError:
        """It is full: what a client is told."""
        self._pool.listener.waited(Waited(self._pool.model, 0.0, "full"))
        return busy(self._pool.model)

    def leave(self, request: PoolRequest) -> None:
        """``request`` is over: it waits no more."""
        with self._pool.lock:
            waiter = self._queue.leave(request)
        if waiter is not None:
            self._waited(waiter, "left")

    def time_out(self, request: PoolRequest, error: EngineError) -> None:
        """``request`` has waited its time: its last failure is told, or else ``error``."""
        with self._pool.lock:
            waiter = self._queue.leave(request)
        if waiter is not None:
            self._waited(waiter, "expired")
            request.give_up(request.last_error or error)

    def instances_changed(self) -> None:
        """Serve those who wait; tell them at once if there is nobody left to wait for."""
        if not self._queue:
            return
        with self._pool.lock:
            hopeless = [] if self._pool.selector.serving else [each.request for each in self._queue]
        for request in hopeless:
            self.time_out(request, nobody(self._pool.model))
        self.serve()

    def serve(self) -> None:
        """Give room that came to those who wait.

        NOTE: an engine may end a request while it is started here, which calls this again: the
        inner call leaves the work to the outer one, or a queue would be as deep as the stack.
        """
        with self._pool.lock:
            self._again = True
            if self._serving:
                return
            self._serving = True
        try:
            while self._serve_one():
                pass
        except BaseException:
            self._serving = False
            raise
        self._plan_wake()

    def _serve_one(self) -> bool:
        """Serve one, if that can be; False, and no more serving, once nothing is left to do."""
        with self._pool.lock:
            served = self._next_served()
            if served is None and not self._again:
                self._serving = False
                return False
            self._again = False
        if served is not None:
            waiter, instance = served
            self._waited(waiter, "served")
            waiter.request.ask(instance)
        return True

    def _next_served(self) -> tuple[Waiter, Instance] | None:
        now = self._pool.clock.monotonic()
        for waiter in self._queue:
            tried = waiter.request.tried
            instance = self._pool.selector.acquire(now, waiter.request.key, tried)
            if instance is not None:
                self._queue.leave(waiter.request)
                return waiter, instance
            if not tried:
                return None
        return None

    def _plan_wake(self) -> None:
        """Come back when somebody's time out is over, if anybody waits for that."""
        with self._pool.lock:
            wake = self._pool.selector.next_wake
            if wake is None or not self._queue or wake >= self._wake_at:
                return
            self._wake_at = wake
        self._later(wake, self._woken)

    def _woken(self) -> None:
        self._wake_at = math.inf
        self.serve()

    def _later(self, when: float, call: Callable[[], object]) -> None:
        self._pool.clock.call_later(max(when - self._pool.clock.monotonic(), 0.0), call)

    def _waited(self, waiter: Waiter, outcome: str) -> None:
        if waiter.timer is not None:
            waiter.timer.cancel()
        seconds = self._pool.clock.monotonic() - waiter.since
        self._pool.listener.waited(Waited(self._pool.model, seconds, outcome))


def nobody(model: str) -> EngineError:
    """What a client is told of a model that has no instance."""
    return EngineUnavailable(
        f"no instance serves {model!r} just now", status=503, retry_after=_RETRY_AFTER
    )


def not_up_yet(model: str) -> EngineError:
    """What a client is told of a model that is announced, and whose servers are not up yet."""
    return EngineUnavailable(
        f"no instance of {model!r} has answered yet; try again soon",
        status=503,
        retry_after=_RETRY_AFTER,
    )


def busy(model: str) -> EngineError:
    """What a client is told of a model all of whose instances are full."""
    return EngineBusy(
        f"every instance of {model!r} is busy; try again soon", retry_after=_RETRY_AFTER
    )
