"""The response of a kind that does not generate: one document, as the engine gives it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from actors.engines.contract import Chunk
from actors.engines.error_object import is_error
from actors.engines.errors import EngineUnavailable
from actors.engines.lenient_json import encode
from actors.engines.refusals import error_of_object
from http_service.streaming.unary_exchange import NO_DOCUMENT, UnaryExchange

__all__ = ["DocumentExchange", "Reshape"]

Reshape: TypeAlias = Callable[[bytes], bytes]
"""Makes what a client asked for of an engine's document; raises ``EngineUnavailable``."""


class DocumentExchange(UnaryExchange):
    """An exchange that one document ends: a push engine's bytes, or the ``dict`` of a generator."""

    __slots__ = ("_document", "_reshape")

    def reshape_with(self, reshape: Reshape | None) -> None:
        """Have ``reshape`` look at the document. Called once, after :meth:`prepare`."""
        self._reshape = reshape
        self._document = b""

    def deliver(self, chunk: Chunk, tokens: int) -> None:
        """The one document of a generator engine."""
        del tokens
        self.last_activity = self.clock()
        try:
            self._document = _written(chunk, first=not self._document)
        except Exception as error:  # noqa: BLE001  # an engine's malformed answer must not kill its thread
            self.terminate(error)

    def deliver_end(self) -> None:
        """The generator has ended: its document is the response."""
        if self._document:
            self.deliver_answer(self._document)
        else:
            self.deliver_error(EngineUnavailable(NO_DOCUMENT))

    def take(self) -> bytes:
        """The response, once. Raises what makes it impossible."""
        body = super().take()
        return body if self._reshape is None else self._reshape(body)


def _written(chunk: Chunk, *, first: bool) -> bytes:
    if not isinstance(chunk, dict) or not first:
        raise EngineUnavailable(NO_DOCUMENT)
    if is_error(chunk):
        raise error_of_object(chunk, who="the engine")
    return encode(chunk)
