"""A request whose client is any sink and any context: what makes a pool an engine."""

from __future__ import annotations

from collections.abc import Callable

from actors.engines.contract import Chunk, Context, EngineRequest, Sink
from actors.engines.pool.request import PoolRequest
from actors.supervision.cancellation import Registration
from actors.supervision.errors import Cancelled

__all__ = ["SinkRequest"]


class SinkRequest(PoolRequest):
    """Forwards to ``sink``, and is aborted when ``context`` is cancelled.

    That context's token may belong to others: it is only listened to, and the first instance gets
    a context of its own.
    """

    __slots__ = ("_registration", "_sink")

    def __init__(self, request: EngineRequest, sink: Sink, context: Context) -> None:
        super().__init__(request, context.again())
        self._sink = sink
        self._registration: Registration | None = None

    def listen(self, context: Context) -> None:
        """Hear of the cancellation of ``context`` from now on, or at once."""
        registration = context.token.on_cancel(self._cancelled)
        self._registration = registration
        if self.over:  # meanwhile: whoever ended it found no registration
            registration.unregister()

    def deliver(self, chunk: Chunk, tokens: int) -> None:
        """To the sink."""
        self._sink.push(chunk, tokens)

    def deliver_answer(self, body: bytes) -> None:
        """To the sink."""
        self._unlisten()
        self._sink.answer(body)

    def deliver_end(self) -> None:
        """To the sink."""
        self._unlisten()
        self._sink.finish()

    def deliver_error(self, error: BaseException) -> None:
        """To the sink."""
        self._unlisten()
        self._sink.fail(error)

    def room(self, when_room: Callable[[], object]) -> bool:
        """The sink's."""
        return self._sink.has_room(when_room)

    def _cancelled(self) -> None:
        self.abort(Cancelled("the request was cancelled"), tell=True)

    def _unlisten(self) -> None:
        registration, self._registration = self._registration, None
        if registration is not None:
            registration.unregister()
