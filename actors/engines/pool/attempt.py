"""What one engine is given for one request: a sink that stands between it and the client's.

Until the first byte it can still be replaced by another engine's; from then on the engine pushes
into the client's sink directly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from actors.engines.contract import COMMENTS_AFTER, Chunk, Context
from actors.engines.pool.member import Member
from actors.supervision.cancellation import CancellationToken

if TYPE_CHECKING:
    from actors.engines.pool.exchange import Exchange

__all__ = ["Attempt"]

_NEVER: Final = math.inf
_HELD: Final = 16
"""Comments that are held back at most; they come every few seconds, and tell a client nothing."""


class Push(Protocol):
    """``Sink.push`` as a function."""

    def __call__(self, chunk: Chunk, tokens: int = 1) -> None: ...


class HasRoom(Protocol):
    """``Sink.has_room`` as a function."""

    def __call__(self, when_room: Callable[[], object]) -> bool: ...


class Attempt:
    """The sink of one attempt; its engine's for good once it has *won*.

    It wins with its first token, with its second chunk that is no comment (as the service counts
    the beginning of an answer), or by ending well. What came before is held back, so that an
    instance that dies after telling its role can still be replaced; of many comments the first.
    A request that waits for ``COMMENTS_AFTER`` gets its comments at once: they say nothing, so that
    another instance may still answer.

    PERF: ``push`` is an attribute, not a method: after the first chunk it *is* the push of the
    client's sink.
    """

    __slots__ = (
        "_held",
        "_spoken",
        "context",
        "due",
        "ended",
        "exchange",
        "has_room",
        "hedge",
        "member",
        "push",
        "started",
        "token",
    )

    def __init__(
        self, exchange: Exchange, member: Member, now: float, *, hedge: bool, alone: bool
    ) -> None:
        self.exchange = exchange
        self.hedge = hedge
        """It was started beside another one that had not answered yet."""
        self.due = _NEVER
        """When it will have been silent for too long; see ``watch``."""
        self._held: list[tuple[Chunk, int]] | None = None
        self._spoken = False
        self.member = member
        # PERF: only an attempt that may be stopped alone needs a token of its own.
        context = exchange.context
        self.token: Final = context.token if alone else CancellationToken()
        self.context: Final = (
            context
            if alone
            else Context(
                context.request_id, self.token, context.deadline, context.session, context.headers
            )
        )
        self.started = now
        self.ended = False
        """Its member was given back; guarded by the exchange's lock."""
        self.push: Push = self._push_early
        self.has_room: HasRoom = exchange.sink.has_room

    def _push_early(self, chunk: Chunk, tokens: int = 1) -> None:
        exchange = self.exchange
        if exchange.winner is not self:
            if tokens <= 0 and self._hold(chunk):
                return
            if not exchange.win(self):
                return
            if self._held:
                self._flush()
            self.push = exchange.pusher(self)
        elif exchange.over:
            return
        self.push(chunk, tokens)

    def answer(self, body: bytes) -> None:
        """The whole answer of this attempt."""
        exchange = self.exchange
        if (exchange.winner is self or exchange.win(self)) and exchange.end(self, None):
            exchange.sink.answer(body)

    def finish(self) -> None:
        """This attempt has pushed everything."""
        exchange = self.exchange
        if exchange.winner is self or exchange.win(self):
            if self._held:
                self._flush()
            if exchange.end(self, None):
                exchange.sink.finish()

    def fail(self, error: BaseException) -> None:
        """This attempt failed: another one may take over, if this one has not won."""
        exchange = self.exchange
        if exchange.winner is not self:
            exchange.failed(self, error)
        elif exchange.end(self, error):
            exchange.sink.fail(error)

    def retire(self) -> None:
        """It is over, and its member is somebody's to give back: what it pushes is ignored.

        PERF: bound methods on their own object are cycles, left to the garbage collector.
        """
        self.ended = True
        self.push = _ignore
        self.has_room = self.exchange.sink.has_room

    def expire(self, error: BaseException) -> None:
        """It was silent for too long: as if it had failed, and told to stop."""
        self.fail(error)
        self.token.cancel()

    def _hold(self, chunk: Chunk) -> bool:
        """Hold ``chunk`` back, unless the answer has begun with it."""
        held = self._held
        if held is None:
            held = self._held = []
        if isinstance(chunk, bytes) and chunk.startswith(b":"):
            exchange = self.exchange
            if exchange.pool.clock.monotonic() - exchange.began >= COMMENTS_AFTER:
                exchange.sink.push(chunk, 0)
            elif len(held) < _HELD:
                held.append((chunk, 0))
            return True
        if self._spoken:
            return False
        self._spoken = True
        held.append((chunk, 0))
        return True

    def _flush(self) -> None:
        held, self._held = self._held, None
        for chunk, tokens in held or ():
            self.exchange.sink.push(chunk, tokens)


def _ignore(chunk: Chunk, tokens: int = 1) -> None:
    """What an attempt that is over pushes into."""
