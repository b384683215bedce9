"""A response of any type: pieces in, the same bytes out, as they come.

Its head is written with the first piece, which says the type. What is complete by then has a
length. After that a failure can only be told in an event stream; any other response breaks off, so
that half a sound never looks like a whole one.
"""

from __future__ import annotations

from typing import Final

from actors.engines.contract import Chunk
from actors.engines.errors import EngineUnavailable
from actors.engines.media import OCTETS, Media
from actors.engines.pool import PoolRequest, State
from http_service.errors import reply_for
from http_service.streaming.document_exchange import written
from http_service.streaming.exchange import response_head
from http_service.streaming.sse import error_event
from http_service.streaming.stream_exchange import ROOM_BYTES, StreamExchange

__all__ = ["MediaExchange"]

_STARTED: Final = State.STARTED
_JSON: Final = "application/json"
_EVENTS: Final = "text/event-stream"

NO_MEDIA: Final = "The engine answered with something else than media or one JSON object."


class MediaExchange(StreamExchange):
    """An exchange that pieces of media answer, or one document."""

    __slots__ = ("content_type",)

    # The engine's side: any thread, never blocks.

    def prepare(self, *, include_usage: bool) -> None:
        """Take pieces from now on."""
        super().prepare(include_usage=include_usage)
        self.content_type = OCTETS

    def push(self, chunk: Chunk, tokens: int = 1, *, admitted: bool = False) -> None:
        """Take one piece, or the one document; ignored once the response has ended."""
        if not admitted and (self.state is not _STARTED or not self.first_live):
            PoolRequest.push(self, chunk, tokens)
            return
        if self.finished:
            return
        try:
            piece = self._piece_of(chunk)
        except Exception as error:  # noqa: BLE001  # an engine's malformed answer must not kill its thread
            self.terminate(error)
            return
        if self.started and not piece:  # which would be the end of a body in chunks
            return
        self.size += min(ROOM_BYTES, len(piece))
        self._events.append(piece)
        self.started = True
        self._schedule_flush()

    def deliver_answer(self, body: bytes) -> None:
        """The one document of a push engine."""
        with self.lock:
            if self.finished:
                return
            self.content_type = _JSON
            self._events.append(body)
            self.started = self.finished = True
        self._schedule_flush()

    def deliver_end(self) -> None:
        """The response is complete, if there was any."""
        if self.started:
            super().deliver_end()
        else:
            self.deliver_error(EngineUnavailable(NO_MEDIA))

    def _piece_of(self, chunk: Chunk) -> bytes:
        if isinstance(chunk, Media):
            if not self.started:
                self.content_type = chunk.content_type
                if self.has_events:
                    self.guard.request_type = "stream"
            return chunk
        if isinstance(chunk, dict) and not self.started:
            self.content_type = _JSON
            return written(chunk, first=True)
        raise EngineUnavailable(NO_MEDIA)

    # The client's side.

    @property
    def has_events(self) -> bool:
        """Whether it is an event stream."""
        return self.content_type.lower().startswith(_EVENTS)

    @property
    def breaks_off(self) -> bool:
        """Whether it ends with an error that its body can't tell."""
        return self.error is not None and not self.has_events

    def _last_events(self, error: BaseException | None) -> bytes:
        return b"" if error is None or self.breaks_off else error_event(reply_for(error))

    def _framed(self, data: bytes, *, finished: bool) -> bytes:
        whole = finished and not self.breaks_off
        if not self._head_sent and (data or finished):
            fields = [header for header in self._headers if header[0].lower() != "content-type"]
            self._headers = [*fields, ("content-type", self.content_type)]
            if whole:
                return self._whole(data)
        return super()._framed(data, finished=whole)

    def _whole(self, data: bytes) -> bytes:
        """The whole response, which is ready at once."""
        self._head_sent = True
        connection, version = self.connection, self._version
        self._headers.append(("content-length", str(len(data))))
        if self._close or version != "1.1" or (connection is not None and connection.draining):
            self._add_connection_header()
        return response_head(version, "200 OK", self._headers) + data

    def _finish(self) -> None:
        error = self.error
        if error is None or not self.breaks_off:
            super()._finish()
            return
        self.record_error(error)
        self._end(200, close=None)
