"""Where requests wait for room at an instance, and how room that comes finds them."""

from __future__ import annotations

import math
from _thread import LockType
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from actors.engines.errors import EngineBusy, EngineError, EngineUnavailable
from actors.engines.pool.clock import Clock
from actors.engines.pool.events import PoolListener, Waited
from actors.engines.pool.instance import Instance
from actors.engines.pool.queue import Queue, Waiter
from actors.engines.pool.selector import Selector

if TYPE_CHECKING:
    from actors.engines.pool.request import PoolRequest

__all__ = ["WaitingRoom", "busy", "nobody", "not_up_yet"]

_RETRY_AFTER: Final = 1
"""Seconds that a client waits before it asks again for a model that is full or has no instance."""


class WaitingRoom:
    """The queue of one pool; ``lock`` is the pool's and guards ``selector`` and ``queue``."""

    __slots__ = (
        "_again",
        "_clock",
        "_listener",
        "_lock",
        "_model",
        "_queue",
        "_selector",
        "_serving",
        "_wake_at",
    )

    def __init__(
        self,
        model: str,
        lock: LockType,
        selector: Selector,
        queue: Queue,
        clock: Clock,
        listener: PoolListener,
    ) -> None:
        self._model = model
        self._lock = lock
        self._selector = selector
        self._queue = queue
        self._clock = clock
        self._listener = listener
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
            displaced.request.give_up(displaced.request.last_error or busy(self._model))
        waiter.timer = self._clock.call_later(
            self._queue.timeout, lambda: self.time_out(request, busy(self._model))
        )
        if request.over:  # its client left while it joined
            self.leave(request)
        self._plan_wake()

    def refuse(self) -> EngineError:
        """It is full: what a client is told."""
        self._listener.waited(Waited(self._model, 0.0, "full"))
        return busy(self._model)

    def leave(self, request: PoolRequest) -> None:
        """``request`` is over: it waits no more."""
        with self._lock:
            waiter = self._queue.leave(request)
        if waiter is not None:
            self._waited(waiter, "left")

    def time_out(self, request: PoolRequest, error: EngineError) -> None:
        """``request`` has waited its time: its last failure is told, or else ``error``."""
        with self._lock:
            waiter = self._queue.leave(request)
        if waiter is not None:
            self._waited(waiter, "expired")
            request.give_up(request.last_error or error)

    def instances_changed(self) -> None:
        """Serve those who wait; tell them at once if there is nobody left to wait for."""
        if not self._queue:
            return
        with self._lock:
            hopeless = [] if self._selector.serving else [each.request for each in self._queue]
        for request in hopeless:
            self.time_out(request, nobody(self._model))
        self.serve()

    def serve(self) -> None:
        """Give room that came to those who wait.

        NOTE: an engine may end a request while it is started here, which calls this again: the
        inner call leaves the work to the outer one, or a queue would be as deep as the stack.
        """
        with self._lock:
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
        with self._lock:
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
        now = self._clock.monotonic()
        for waiter in self._queue:
            tried = waiter.request.tried
            instance = self._selector.acquire(now, waiter.request.key, tried)
            if instance is not None:
                self._queue.leave(waiter.request)
                return waiter, instance
            if not tried:
                return None
        return None

    def _plan_wake(self) -> None:
        """Come back when somebody's time out is over, if anybody waits for that."""
        with self._lock:
            wake = self._selector.next_wake
            if wake is None or not self._queue or wake >= self._wake_at:
                return
            self._wake_at = wake
        self._later(wake, self._woken)

    def _woken(self) -> None:
        self._wake_at = math.inf
        self.serve()

    def _later(self, when: float, call: Callable[[], object]) -> None:
        self._clock.call_later(max(when - self._clock.monotonic(), 0.0), call)

    def _waited(self, waiter: Waiter, outcome: str) -> None:
        if waiter.timer is not None:
            waiter.timer.cancel()
        seconds = self._clock.monotonic() - waiter.since
        self._listener.waited(Waited(self._model, seconds, outcome))


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
