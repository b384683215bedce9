"""Watches over one request's time: the parts of its answer, all of it, and when to hedge.

PERF: one timer a request, set only if there is something to watch. A token puts the deadline off
with one store; the timer finds that out when it fires, and waits for the rest.
"""

from __future__ import annotations

import math
from _thread import allocate_lock
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from actors.engines.contract import Chunk
from actors.engines.errors import EngineTimeout
from actors.engines.pool.clock import Pending
from actors.engines.pool.spec import Timeouts

if TYPE_CHECKING:
    from actors.engines.pool.attempt import Attempt, Push
    from actors.engines.pool.exchange import Exchange

__all__ = ["TRIAL_FIRST_BYTE", "Watch"]

TRIAL_FIRST_BYTE: Final = 10.0
"""Seconds for the first byte of a trial: whoever was out and hangs again costs a client no more,
because others are asked then."""


class Watch:
    """The clock of one exchange. Any thread; ``total_at`` and ``hedge_at`` are on the pool's clock.

    An attempt's own deadline is ``attempt.due``: for its first byte, then between two chunks.
    """

    __slots__ = ("_at", "_exchange", "_lock", "_timeouts", "_timer", "hedge_at", "total_at")

    def __init__(
        self,
        exchange: Exchange,
        timeouts: Timeouts,
        *,
        total_at: float = math.inf,
        hedge_at: float = math.inf,
    ) -> None:
        self._exchange = exchange
        self._timeouts = timeouts
        self.total_at = total_at
        self.hedge_at = hedge_at
        self._lock = allocate_lock()
        self._timer: Pending | None = None
        self._at = math.inf
        self._arm(min(total_at, hedge_at))

    def began(self, attempt: Attempt) -> None:
        """``attempt`` starts: its first byte is due, unless its engine sees to that itself."""
        member = attempt.member
        limit = None if member.keeps_time else self._timeouts.first_byte
        if member.trial:
            limit = min(limit or math.inf, TRIAL_FIRST_BYTE)
        if limit is not None:
            attempt.due = attempt.started + limit
            self._arm(attempt.due)

    def won(self, attempt: Attempt, push: Push) -> Push:
        """``attempt`` has begun to answer: what it pushes into from now on, instead of ``push``."""
        self.hedge_at = attempt.due = math.inf
        idle = self._timeouts.idle
        if idle is None or attempt.member.keeps_time:
            return push
        now = self._exchange.pool.clock.monotonic
        room = attempt.has_room

        def push_in_time(chunk: Chunk, tokens: int = 1) -> None:
            attempt.due = now() + idle
            push(chunk, tokens)

        def has_room(when_room: Callable[[], object]) -> bool:
            def go_on() -> None:
                attempt.due = now() + idle
                self._arm(attempt.due)
                when_room()

            # An engine that has to wait for the client is not silent.
            before, attempt.due = attempt.due, math.inf
            if not room(go_on):
                return False
            attempt.due = before
            return True

        attempt.has_room = has_room
        attempt.due = now() + idle
        self._arm(attempt.due)
        return push_in_time

    def close(self) -> None:
        """The exchange is over."""
        with self._lock:
            timer, self._timer, self._at = self._timer, None, -math.inf
        if timer is not None:
            timer.cancel()

    def _arm(self, at: float) -> None:
        """Look again at ``at``, if not sooner."""
        with self._lock:
            if at >= self._at:
                return
            old, self._at = self._timer, at
            clock = self._exchange.pool.clock
            self._timer = clock.call_later(max(at - clock.monotonic(), 0.0), self._look)
        if old is not None:
            old.cancel()

    def _look(self) -> None:
        """Do what is due, then wait for what is next. On the clock's thread."""
        exchange = self._exchange
        now = exchange.pool.clock.monotonic()
        with self._lock:
            if self._at > now:  # put off meanwhile by a later timer
                return
            self._at, self._timer = math.inf, None
        if now >= self.total_at:
            exchange.expire(EngineTimeout("the answer was not complete in the time allowed"))
            return
        for attempt in exchange.running:
            if attempt.due <= now:
                attempt.due = math.inf
                attempt.expire(EngineTimeout(self._why(attempt)))
        if now >= self.hedge_at:
            self.hedge_at = math.inf
            exchange.pool.hedge(exchange)
        if not exchange.over:
            waiting = (each.due for each in exchange.running)
            self._arm(min(self.total_at, self.hedge_at, *waiting))

    def _why(self, attempt: Attempt) -> str:
        begun = self._exchange.winner is attempt
        return "the engine fell silent" if begun else "the engine did not begin to answer in time"
