"""Stands in for the pool's own request until that is there."""

from __future__ import annotations

from collections.abc import Callable

from actors.engines.contract import Chunk, Context, Engine, EngineRequest

__all__ = ["PoolRequest"]


class PoolRequest:
    """See ``actors.engines.pool.request``."""

    __slots__ = ("context", "request")

    def __init__(self, request: EngineRequest, context: Context) -> None:
        self.request = request
        self.context = context

    def ask(self, engine: Engine) -> None:
        """Have ``engine`` answer."""
        engine.start(self.request, self, self.context)

    def push(self, chunk: Chunk, tokens: int = 1) -> None:
        """See ``Sink``."""
        self.deliver(chunk, tokens)

    def has_room(self, when_room: Callable[[], object]) -> bool:
        """See ``Sink``."""
        return self.room(when_room)

    def answer(self, body: bytes) -> None:
        """See ``Sink``."""
        self.deliver_answer(body)

    def finish(self) -> None:
        """See ``Sink``."""
        self.deliver_end()

    def fail(self, error: BaseException) -> None:
        """See ``Sink``."""
        self.deliver_error(error)

    def abort(self, error: BaseException, *, tell: bool) -> None:
        """End it from the client's side."""
        if tell:
            self.deliver_error(error)
        self.context.cancel()

    def deliver(self, chunk: Chunk, tokens: int) -> None:
        """To be provided."""
        raise NotImplementedError

    def deliver_answer(self, body: bytes) -> None:
        """To be provided."""
        raise NotImplementedError

    def deliver_end(self) -> None:
        """To be provided."""
        raise NotImplementedError

    def deliver_error(self, error: BaseException) -> None:
        """To be provided."""
        raise NotImplementedError

    def room(self, when_room: Callable[[], object]) -> bool:
        """To be provided."""
        raise NotImplementedError
