"""The response of a kind that does not generate: one document, as the engine gives it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Final, TypeAlias

from actors.engines.contract import Chunk, with_model
from actors.engines.error_object import is_error
from actors.engines.errors import EngineUnavailable
from actors.engines.lenient_json import encode
from actors.engines.refusals import error_of_object
from http_service.streaming.unary_exchange import NO_DOCUMENT, UnaryExchange

__all__ = ["DocumentExchange", "Reshape", "written"]

Reshape: TypeAlias = Callable[[bytes], bytes]
"""Makes what a client asked for of an engine's document; raises ``EngineUnavailable``."""


INLINE_DOCUMENT: Final = 256 * 1024
"""Bytes of a document up to which it is looked at where it came, mostly on the event loop."""

_reshaping: Final = threading.Lock()
"""Held while a long document is rewritten: one at a time, so that one of them is in memory."""


class DocumentExchange(UnaryExchange):
    """An exchange that one document ends: a push engine's bytes, or the ``dict`` of a generator."""

    __slots__ = ("_asked_as", "_document", "_reshape")

    def reshape_with(self, reshape: Reshape | None) -> None:
        """Have ``reshape`` look at the document. Called once, after :meth:`prepare`."""
        self._reshape = reshape
        self._document = b""
        self._asked_as = ""

    def answer_as(self, model: str) -> None:
        """Have the document call its model so, where it says one name: the client's own."""
        self._asked_as = model

    def deliver(self, chunk: Chunk, tokens: int) -> None:
        """The one document of a generator engine."""
        del tokens
        self.last_activity = self.clock()
        try:
            self._document = written(chunk, first=not self._document)
        except Exception as error:  # noqa: BLE001  # an engine's malformed answer must not kill its thread
            self.terminate(error)

    def deliver_end(self) -> None:
        """The generator has ended: its document is the response."""
        if self._document:
            self.deliver_answer(self._document)
        else:
            self.deliver_error(EngineUnavailable(NO_DOCUMENT))

    def deliver_answer(self, body: bytes) -> None:
        """The document. A long one is looked at on a thread of its own."""
        if self._reshape is None:
            super().deliver_answer(body)
        elif len(body) <= INLINE_DOCUMENT:
            self._deliver_reshaped(body, self._reshape)
        else:
            work = partial(self._deliver_reshaped, body, self._reshape)
            threading.Thread(target=work, name="reshape", daemon=True).start()

    def _deliver_reshaped(self, body: bytes, reshape: Reshape) -> None:
        try:
            if len(body) <= INLINE_DOCUMENT:
                reshaped = reshape(body)
            else:
                with _reshaping:
                    reshaped = reshape(body)
        except Exception as error:  # noqa: BLE001  # an engine's malformed answer must not kill its thread
            self.deliver_error(error)
        else:
            super().deliver_answer(reshaped)

    def take(self) -> bytes:
        """The response, once."""
        body = super().take()
        return (with_model(body, self._asked_as) or body) if self._asked_as else body


def written(chunk: Chunk, *, first: bool) -> bytes:
    """The document of a generator engine, which must be its ``first`` chunk.

    Raises ``EngineUnavailable``, or the error that it is.
    """
    if not isinstance(chunk, dict) or not first:
        raise EngineUnavailable(NO_DOCUMENT)
    if is_error(chunk):
        raise error_of_object(chunk, who="the engine")
    return encode(chunk)
