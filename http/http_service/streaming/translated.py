"""Responses in another API's shape: the chunks of a chat completion, translated on their way out.

What the engine's side sees is an exchange like any other; what the client's side takes is what a
:class:`DialectWriter` makes of it. An engine that speaks the other API itself pushes ``Native``
bytes, which pass as they are. A request that is not translated has none of this.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from actors.engines.contract import Chunk
from actors.engines.dialect import Native, ReadEvents
from actors.engines.errors import EngineUnavailable
from actors.engines.lenient_json import DICT, Undecodable, decode, encode
from actors.engines.pool import PoolRequest, State
from http_service.errors import ErrorReply, Headers, reply_for
from http_service.streaming.stream_exchange import StreamExchange
from http_service.streaming.unary_exchange import UnaryExchange

__all__ = ["DialectWriter", "TranslatedStream", "TranslatedUnary"]

_STARTED = State.STARTED

_COUNT: Final = b'"output_tokens"'
"""What a dialect calls its count of output tokens."""

_UNREADABLE = "The engine's response is not a JSON object."


class DialectWriter(Protocol):
    """Writes one response in the shape of one API; pure, see ``http_service.dialects``.

    What it raises for a chunk ends the request, as an engine's own failure does.
    """

    def begin(self) -> bytes:
        """The events before the first output."""
        ...

    def write(self, chunk: Chunk) -> bytes:
        """The events of one chunk, which may be none."""
        ...

    def end(self) -> bytes:
        """The events that complete the response."""
        ...

    def passed(self, native: bytes) -> None:
        """Events, or a whole response, that an engine wrote in this API and the client gets."""
        ...

    def fail(self, reply: ErrorReply) -> bytes:
        """The events that end a response which can't be completed, also a native one."""
        ...

    def document(self, completion: Mapping[str, Any]) -> Mapping[str, Any]:
        """The whole response for a whole chat completion."""
        ...

    def error_document(self, reply: ErrorReply) -> bytes:
        """The body of an HTTP error."""
        ...

    @property
    def completion_tokens(self) -> int | None:
        """The engine's own count of output tokens, if a chunk or a native event carried one."""
        ...


class TranslatedStream(StreamExchange):
    """A streamed response that a writer translates, chunk by chunk."""

    __slots__ = ("_completion", "_native", "_translating", "_translation_headers", "_writer")

    def translate(self, writer: DialectWriter, headers: Headers = ()) -> None:
        """Have ``writer`` write it, with ``headers``, but for a native one's. Called once."""
        self._writer = writer
        self._translation_headers = headers
        self._translating = False
        self._native: Native | None = None
        """The last events that passed as they were."""
        self._completion = b""

    def push(self, chunk: Chunk, tokens: int = 1, *, admitted: bool = False) -> None:
        """Take one chunk; ignored once the stream has ended."""
        if not admitted and (self.state is not _STARTED or not self.first_live):
            PoolRequest.push(self, chunk, tokens)
            return
        if self.finished:
            return
        if isinstance(chunk, Native):
            # PERF: the writer sees the first ones, those that may count, and the last ones of a
            # stream that fails; nothing stands in the others that it looks for.
            if self._native is None or chunk.rfind(_COUNT) >= 0:
                self._writer.passed(chunk)
            self._native = chunk
            StreamExchange.push(self, chunk, tokens, admitted=True)
            return
        try:
            events = self._writer.write(chunk)
        except Exception as error:  # noqa: BLE001  # an engine's malformed chunk must not kill its thread
            self.terminate(error)
            return
        if not events:
            # NOTE: a comment is a sign of life for the client as well; it is one in every dialect.
            if isinstance(chunk, bytes) and chunk.startswith(b":"):
                super().push(chunk, 0, admitted=True)
            elif tokens > 0:
                self._tokens += tokens
            return
        if not self._translating:
            self._translating = True
            events = self._writer.begin() + events
        # PERF: what the writer wrote holds nothing to look for: a translation's usage is its own.
        super().push(ReadEvents(events), tokens, admitted=True)

    def own_headers(self) -> Headers:
        """What is to be said of a translation."""
        return self._translation_headers if self._native is None else ()

    def _head(self) -> bytes:
        self._headers += self.own_headers()
        return super()._head()

    def deliver_end(self) -> None:
        """The stream is complete, if it says anything at all."""
        try:
            if self._native is None:  # else the last event that passed has completed it
                begin = b"" if self._translating else self._writer.begin()
                self._completion = begin + self._writer.end()
        except Exception as error:  # noqa: BLE001  # see push
            self.deliver_error(error)
            return
        used = self._writer.completion_tokens
        if used is not None:
            self.guard.record_usage(used)
        super().deliver_end()

    def _last_events(self, error: BaseException | None) -> bytes:
        if error is None:
            return self._completion
        if self._native is not None:
            self._writer.passed(self._native)
        return self._writer.fail(reply_for(error))

    def _error_body(self, reply: ErrorReply) -> bytes:
        return self._writer.error_document(reply)


class TranslatedUnary(UnaryExchange):
    """A unary response that a writer translates when it is complete."""

    __slots__ = ("_native", "_translation_headers", "_writer")

    def translate(self, writer: DialectWriter, headers: Headers = ()) -> None:
        """Have ``writer`` write it, with ``headers``, but for a native one's. Called once."""
        self._writer = writer
        self._translation_headers = headers
        self._native = False

    def own_headers(self) -> Headers:
        """What is to be said of a translation."""
        return () if self._native else self._translation_headers

    def take(self) -> bytes:
        """The response in the writer's shape. Raises what makes it impossible."""
        body = super().take()
        self._native = isinstance(body, Native)
        if self.connection is not None:
            self._headers += self.own_headers()
        if isinstance(body, Native):
            self._writer.passed(body)
            used = self._writer.completion_tokens
            if used is not None:
                self.guard.usage = used
            return body
        try:
            completion = decode(body)
        except Undecodable as error:
            raise EngineUnavailable(_UNREADABLE) from error
        if not isinstance(completion, DICT):
            raise EngineUnavailable(_UNREADABLE)
        return encode(self._writer.document(completion))

    def _error_body(self, reply: ErrorReply) -> bytes:
        return self._writer.error_document(reply)
