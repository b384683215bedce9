"""The attempts of one request beside its first one, and what a request needs for them.

A request is the sink of the first instance that it asks; each further one, and one whose silences
are bounded, has an attempt of its own, which can be stopped alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from actors.engines.contract import COMMENTS_AFTER, Chunk
from actors.engines.pool.instance import Instance
from actors.engines.pool.request_state import State

if TYPE_CHECKING:
    from actors.engines.pool.request import PoolRequest, Side

__all__ = ["AnswerReceiver", "Attempt", "LaterAttempts", "TimedAttempt", "hold"]

_STARTED: Final = State.STARTED

_HELD: Final = 16
"""Comments that are held back at most; they come every few seconds, and tell a client nothing."""


class AnswerReceiver:
    """Takes the one answer of a request, from whichever attempt gives it; subclasses say how."""

    __slots__ = ()

    def deliver(self, chunk: Chunk, tokens: int) -> None:
        """One chunk of the answer."""
        raise NotImplementedError

    def deliver_answer(self, body: bytes) -> None:
        """The whole unary answer, and its end."""
        raise NotImplementedError

    def deliver_end(self) -> None:
        """The answer is complete."""
        raise NotImplementedError

    def deliver_error(self, error: BaseException) -> None:
        """There is no answer, or no more of it."""
        raise NotImplementedError

    def room(self, when_room: Callable[[], object]) -> bool:
        """Whether the client keeps up; see ``Sink.has_room``."""
        raise NotImplementedError


class LaterAttempts:
    """What a request needs beside its first attempt: made at the first failure, hedge or move."""

    __slots__ = ("hedged", "last_error", "running", "tried")

    def __init__(self, first: Instance) -> None:
        self.tried = [first]
        self.running: list[Attempt] = []
        """The live attempts that have a sink of their own."""
        self.hedged = False
        self.last_error: BaseException | None = None


class Attempt:
    """The sink of an attempt that is not the first one; it can be stopped alone."""

    __slots__ = (
        "_request", "began", "context", "first_live", "hedged", "held", "instance",
    )  # fmt: skip

    def __init__(
        self, request: PoolRequest, instance: Instance, now: float, *, hedge: bool
    ) -> None:
        self._request: Final = request
        self.instance = instance
        self.context = request.context.again()
        self.began = now
        self.hedged = hedge
        """It was asked beside another one that had not begun to answer."""
        self.first_live = True
        """What it pushes is wanted; named as in the request, which stands for its first attempt."""
        self.held: list[tuple[Chunk, int]] | None = None

    def push(self, chunk: Chunk, tokens: int = 1) -> None:
        """One chunk of its instance's."""
        request = self._request
        if request.state is not _STARTED:
            if tokens <= 0 and hold(request, self, chunk):
                return
            if not request.start_with(self):
                return
        if self.first_live:
            if request.transcript is not None:
                request.transcript.add(chunk, tokens)
            request.deliver(chunk, tokens)

    def has_room(self, when_room: Callable[[], object]) -> bool:
        """Whether the client keeps up."""
        return self._request.room(when_room)

    def answer(self, body: bytes) -> None:
        """The whole answer of this attempt."""
        if self._request.end_with(self):
            self._request.deliver_answer(body)

    def finish(self) -> None:
        """This attempt has pushed everything."""
        request = self._request
        if (self.held is None or request.start_with(self)) and request.end_with(self):
            request.deliver_end()

    def fail(self, error: BaseException) -> None:
        """This attempt failed: another one may take over, if the answer has not started."""
        request = self._request
        if request.state is not _STARTED:
            request.fail_early(self, error)
        elif request.end_with(self, error):
            request.end_badly(self, error)


class TimedAttempt(Attempt):
    """An attempt, also the first one, whose silences are bounded by the pool: see ``watch``."""

    __slots__ = ()

    def push(self, chunk: Chunk, tokens: int = 1) -> None:
        """One chunk: the next one is due later."""
        timer = self._request.timer
        if timer is not None:
            timer.heard(self)
        super().push(chunk, tokens)

    def has_room(self, when_room: Callable[[], object]) -> bool:
        """Whether the client keeps up: an engine that has to wait for it is not silent."""
        timer = self._request.timer
        if timer is None:
            return self._request.room(when_room)
        due = timer.pause(self)

        def go_on() -> None:
            timer.resume(self)
            when_room()

        if not self._request.room(go_on):
            return False
        timer.resume(self, due)
        return True


def hold(request: PoolRequest, side: Side, chunk: Chunk) -> bool:
    """Hold ``chunk`` of ``side`` back, unless the answer starts with it."""
    if not side.first_live:
        return True
    held = side.held
    if held is None:
        held = side.held = []
    if isinstance(chunk, bytes) and chunk.startswith(b":"):
        if request.pool.clock.monotonic() - request.began >= COMMENTS_AFTER:
            request.deliver(chunk, 0)
        elif len(held) < _HELD:
            held.append((chunk, 0))
        return True
    # The second chunk that is no comment starts the answer.
    if any(not (isinstance(one, bytes) and one.startswith(b":")) for one, _ in held):
        return False
    held.append((chunk, 0))
    return True
