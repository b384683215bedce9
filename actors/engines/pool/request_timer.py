"""Watches over one request's time: the parts of its answer, all of it, and when to hedge.

PERF: made only for a request that has something to watch, with one timer at a time. A token puts
its deadline off with one store; the timer finds that out when it fires, and waits for the rest.
"""

from __future__ import annotations

import math
from _thread import allocate_lock
from typing import TYPE_CHECKING, Final

from actors.engines.errors import EngineTimeout
from actors.engines.pool.clock import Pending
from actors.engines.pool.instance import Instance
from actors.engines.pool.request_state import State
from actors.engines.pool.spec import Timeouts

if TYPE_CHECKING:
    from actors.engines.pool.attempt import TimedAttempt
    from actors.engines.pool.request import PoolRequest, Side

__all__ = ["TRIAL_FIRST_BYTE", "RequestTimer"]

TRIAL_FIRST_BYTE: Final = 10.0
"""Seconds for the first byte of a trial: an instance that was out and hangs again costs a client no
more, because others are asked then."""


class RequestTimer:
    """The clock of one request. Any thread; all times are on the pool's clock."""

    __slots__ = ("_at", "_lock", "_request", "_timeouts", "_timer", "due", "hedge_at", "total_at")

    def __init__(
        self,
        request: PoolRequest,
        timeouts: Timeouts,
        *,
        total_at: float = math.inf,
        hedge_at: float = math.inf,
    ) -> None:
        self._request = request
        self._timeouts = timeouts
        self.total_at = total_at
        self.hedge_at = hedge_at
        self.due: Final[dict[Side, float]] = {}
        """When an attempt will have been silent for too long: its first byte, then any chunk.

        PERF: without the lock; each step is one of a dict's.
        """
        self._lock = allocate_lock()
        self._timer: Pending | None = None
        self._at = math.inf
        self._arm(min(total_at, hedge_at))

    def silence_at(self, instance: Instance) -> float | None:
        """Seconds that ``instance`` may be silent between two chunks, if its engine minds not."""
        return None if instance.enforces_timeouts else self._timeouts.idle

    def asked(self, side: Side, now: float) -> None:
        """``side`` begins: its first byte is due, unless its engine sees to that itself."""
        instance = side.instance
        limit = None if instance.enforces_timeouts else self._timeouts.first_byte
        if instance.trial:
            limit = min(limit or math.inf, TRIAL_FIRST_BYTE)
        if limit is not None and side.first_live:
            self.due[side] = now + limit
            self._arm(now + limit)

    def started(self, side: Side) -> None:
        """``side`` has begun to answer: no other is asked, and its first byte is there."""
        self.hedge_at = math.inf
        self.due.clear()
        idle = self.silence_at(side.instance)
        if idle is not None:
            at = self.due[side] = self._request.pool.clock.monotonic() + idle
            self._arm(at)

    def heard(self, attempt: TimedAttempt) -> None:
        """``attempt`` pushes: if it has started, its silence begins again."""
        if self._mind(attempt) and self._timeouts.idle is not None:
            self.due[attempt] = self._request.pool.clock.monotonic() + self._timeouts.idle

    def pause(self, attempt: TimedAttempt) -> float | None:
        """``attempt`` may have to wait for the client; when it is due otherwise."""
        return self.due.pop(attempt, None) if self._mind(attempt) else None

    def resume(self, attempt: TimedAttempt, due: float | None = None) -> None:
        """``attempt`` need not wait any more: it is ``due``, or its silence begins again."""
        if due is not None:
            self.due[attempt] = due
        elif self._mind(attempt) and self._timeouts.idle is not None:
            at = self.due[attempt] = self._request.pool.clock.monotonic() + self._timeouts.idle
            self._arm(at)

    def _mind(self, attempt: TimedAttempt) -> bool:
        """Whether ``attempt`` is the one that answers."""
        return attempt.first_live and self._request.state is State.STARTED

    def close(self) -> None:
        """The request is over."""
        with self._lock:
            timer, self._timer, self._at = self._timer, None, -math.inf
        self.due.clear()
        if timer is not None:
            timer.cancel()

    def _arm(self, at: float) -> None:
        """Look again at ``at``, if not sooner."""
        with self._lock:
            if at >= self._at:
                return
            old, self._at = self._timer, at
            clock = self._request.pool.clock
            self._timer = clock.call_later(max(at - clock.monotonic(), 0.0), self._look)
        if old is not None:
            old.cancel()

    def _look(self) -> None:
        """Do what is due, then wait for what is next. On the clock's thread."""
        request = self._request
        now = request.pool.clock.monotonic()
        with self._lock:
            if self._at > now:  # put off meanwhile by a later timer
                return
            self._at, self._timer = math.inf, None
        if now >= self.total_at:
            late = EngineTimeout("the answer was not complete in the time allowed")
            request.abort(late, tell=True)
            return
        for side, due in [*self.due.items()]:
            if due <= now:
                self.due.pop(side, None)
                request.time_out(side, EngineTimeout(self._why()))
        if now >= self.hedge_at:
            self.hedge_at = math.inf
            request.pool.hedge(request)
        if not request.over:
            self._arm(min(self.total_at, self.hedge_at, *self.due.values()))

    def _why(self) -> str:
        begun = self._request.state is State.STARTED
        return "the engine fell silent" if begun else "the engine did not begin to answer in time"
