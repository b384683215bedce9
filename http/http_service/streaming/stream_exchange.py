"""A streamed response: chunks in, server-sent events out, in order."""

from __future__ import annotations

import logging
from _thread import get_ident
from collections.abc import Callable
from typing import ClassVar, Final

import orjson

from actors.engines.contract import Chunk, EngineRequest
from actors.engines.dialect import ReadEvents
from actors.engines.errors import EngineTimeout, EngineUnavailable
from actors.engines.pool import State
from http_service.errors import ClientGone, ErrorType, reply_for
from http_service.streaming.exchange import (
    DEADLINE_PASSED,
    STALL_SECONDS,
    UNSENT_LIMIT,
    Exchange,
    response_head,
)
from http_service.streaming.sse import (
    COMMENT,
    DONE,
    EVENT_ENDS,
    PROMPT_TOKENS,
    USAGE,
    encode,
    error_event,
    event_of,
)

__all__ = ["ROOM_BYTES", "StreamExchange"]

_log: Final = logging.getLogger("http_service.exchange")

# PERF: looked up for each chunk.
_STARTED: Final = State.STARTED

ROOM_BYTES: Final = 64 * 1024
"""Bytes that may wait for a client, beyond the kernel's buffers, before its engine has to wait:
several hundred tokens, so that no engine is paused for a hiccup."""


class StreamExchange(Exchange):
    """An exchange whose response is written as it comes.

    A response has *started* with what the pool delivers first: a failure before that leaves no byte
    behind, and is an ordinary HTTP error; after it, one error event and ``[DONE]``.

    Chunks need no lock: an engine pushes one at a time, and what ends the stream is added when the
    last of them is taken. A count is written by one side only, or set right when more is taken.
    """

    __slots__ = (
        "_chunked", "_counted", "_end_taken", "_events", "_on_room", "_tokens", "include_usage",
        "size",
    )  # fmt: skip

    complete_only: ClassVar[bool] = False

    # The engine's side: any thread, never blocks.

    def prepare(self, *, include_usage: bool) -> None:
        """Take chunks from now on; ``include_usage``: the client wants its usage chunk."""
        self.include_usage = include_usage
        self.size = self._tokens = self._counted = 0
        """Bytes that wait to be taken; tokens that came; tokens that were counted."""
        self._events: list[bytes] = []
        self._on_room: Callable[[], object] | None = None
        self._chunked = self._end_taken = False

    def push(self, chunk: Chunk, tokens: int = 1, *, admitted: bool = False) -> None:
        """Take one chunk; ignored once the stream has ended.

        ``admitted``: the pool has decided that it belongs to the response.
        """
        if not admitted and (self.state is not _STARTED or not self.first_live):
            super().push(chunk, tokens)
            return
        # PERF: one call for what a relay pushes nearly always: a token, ready and without usage, is
        # never decoded. Usage (not `"usage":null`) is searched from the end, where it is.
        if isinstance(chunk, ReadEvents):
            if chunk.completion_tokens is not None:
                chunk = self._event_of(chunk)
        elif (
            not isinstance(chunk, bytes)
            or not chunk.endswith(EVENT_ENDS)
            or chunk[0] == COMMENT
            or chunk.rfind(USAGE) >= 0
        ):
            chunk = self._event_of(chunk)
        if not chunk or self.finished:
            return
        if tokens > 0:
            self._tokens += tokens
        # NOTE: an engine waits only after an event: a long one counts as what makes it wait.
        size = len(chunk)
        self.size += min(ROOM_BYTES, size)
        self._events.append(chunk)
        self.started = True
        # As :meth:`_schedule_flush`.
        if self._scheduled:
            return
        loop = self._loop
        if loop is not None and loop.thread == get_ident():
            self._scheduled = True
            loop.pending.append(self._flush)
        else:
            self._schedule_flush()

    def deliver(self, chunk: Chunk, tokens: int) -> None:
        """Take one chunk of the response."""
        self.push(chunk, tokens, admitted=True)

    def has_room(self, when_room: Callable[[], object]) -> bool:
        """Whether the client keeps up."""
        # PERF: no lock, and no call, while there is room.
        return self.size < ROOM_BYTES or self.room(when_room)

    def room(self, when_room: Callable[[], object]) -> bool:
        """Whether the client keeps up; see ``Sink``."""
        self._on_room = when_room
        if self.size >= ROOM_BYTES and not self.finished:
            return False
        # There is room since a moment: whichever of two threads takes the callback back acts on it.
        return self._taken_on_room() is not None

    def deliver_answer(self, body: bytes) -> None:
        """A whole response where a stream was asked for is the engine's mistake: it fails."""
        del body
        self.deliver_error(EngineUnavailable("The engine did not answer with a stream."))

    def deliver_end(self) -> None:
        """End the stream well: ``[DONE]``."""
        with self.lock:
            if self.finished:
                return
            self.started = self.finished = True
        self._schedule_flush()

    def deliver_error(self, error: BaseException) -> None:
        """End the stream badly: with an HTTP error if it has not started, else with an event."""
        with self.lock:
            if self.finished:
                return
            self.error = error
            self.finished = True
        self._resume_engine()
        self._schedule_flush()

    def _event_of(self, chunk: Chunk) -> bytes:
        """The event of ``chunk``, empty if the client gets nothing of it.

        Bytes that do not end an event end the stream instead: half an event would swallow the next
        one, and with it the end of the stream.
        """
        if isinstance(chunk, bytes):
            if not chunk.endswith(EVENT_ENDS):
                self.terminate(EngineUnavailable("The engine sent what is not an event."))
                return b""
        elif chunk.get("usage") is None:
            return b"data: %b\n\n" % orjson.dumps(chunk)
        self.last_activity = self.clock()
        if isinstance(chunk, ReadEvents):
            usage, dropped = chunk.completion_tokens, chunk.only_usage and not self.include_usage
            event = b"" if dropped else chunk
        else:
            event, _, usage = encode(chunk, include_usage=self.include_usage)
        if usage is not None:
            self.guard.record_usage(usage)
            said = chunk if isinstance(chunk, bytes) else event_of({"usage": chunk["usage"]})
            if (found := PROMPT_TOKENS(said)) is not None:
                self.guard.input_tokens = int(found[1])
        return event

    def _last_events(self, error: BaseException | None) -> bytes:
        return DONE if error is None else error_event(reply_for(error)) + DONE

    # The client's side.

    def take(self) -> bytes:
        """Every event that is ready, joined; an engine that waits for room may go on.

        PERF: tokens are counted, and signs of life noted, once for all that came since the last
        time.
        """
        finished = self.finished
        self.size = 0
        events = self._events
        if len(events) == 1:
            data = events.pop(0)
        else:
            taken = events[:]
            del events[: len(taken)]
            data = b"".join(taken)
        if data:
            self.last_activity = now = self.clock()
            total = self._tokens
            tokens = total - self._counted
            if tokens > 0:
                self._counted = total
                self.guard.record_tokens(tokens, now)
        if finished and not self._end_taken:
            self._end_taken = True
            data += self._last_events(self.error)
        if self._on_room is not None:
            self._resume_engine()
        return data

    def sent(self, unsent: int) -> None:
        """The socket took some of what was kept; ``unsent`` bytes are left."""
        if not self._congested:
            return
        if unsent:
            self._start_timeout(self.clock() + STALL_SECONDS)
            return
        self._congested = False
        self.last_activity = self.clock()
        self._start_timeout(self.last_activity + self._idle_timeout)
        self._schedule_flush()

    def close_books(self, status: int | None = None) -> None:
        """See ``Exchange``; what came is still counted, and the engine waits no longer."""
        self.finished = True
        if self._events:
            self.take()
        elif self._on_room is not None:
            self._resume_engine()
        super().close_books(status)

    def _resume_engine(self) -> None:
        on_room = self._taken_on_room()
        if on_room is not None:
            on_room()

    def _taken_on_room(self) -> Callable[[], object] | None:
        """What an engine that waits for room is called by; for one of those who ask at once."""
        with self.lock:
            on_room, self._on_room = self._on_room, None
        return on_room

    # Writing.

    def _flush(self) -> None:
        """Write what is ready, in one chunk."""
        self._scheduled = False
        if not self.started or self._congested or self._over:
            self._handle_unwritable()
            return
        # NOTE: first whether it has ended, then what there is: what comes in between is not lost.
        finished, events, connection = self.finished, self._events, self.connection
        try:
            if self._chunked and len(events) == 1 and not finished and self._on_room is None:
                # PERF: as :meth:`take`, without a call, for the next event of a running stream.
                self.size = 0
                data = events.pop(0)
                self.last_activity = now = self.clock()
                total = self._tokens
                if total > self._counted:
                    tokens, self._counted = total - self._counted, total
                    self.guard.record_tokens(tokens, now)
                data = b"%x\r\n%b\r\n" % (len(data), data)
            else:
                data = self._framed(self.take(), finished=finished)
            unsent = connection.send_now(data) if data and connection is not None else 0
        except ClientGone:
            self.client_left()
            return
        except Exception as error:  # noqa: BLE001  # what an engine pushed can't be written or counted
            self._abort_response(error)
            return
        if finished:
            self._finish()
        elif unsent:
            self._congested = True
            self._start_timeout(self.clock() + STALL_SECONDS)

    def _framed(self, data: bytes, *, finished: bool) -> bytes:
        """``data`` with the head, if it is the first, and with the end, if it is the last."""
        if not data and not finished:
            return b""
        head = b""
        if not self._head_sent:
            self._head_sent = True
            head = self._head()
        if not self._chunked:
            return head + data
        if data:
            head = b"%b%x\r\n%b\r\n" % (head, len(data), data)
        return head + b"0\r\n\r\n" if finished else head

    def _head(self) -> bytes:
        """The head of a good response: it is chunked, or ended by the close."""
        # PERF: once it has started no other instance is asked, and a stream may be held long: the
        # body, which may be of any length, is not kept beside it.
        if self.state is _STARTED:
            asked = self.request
            self.request = EngineRequest(asked.kind, asked.model, stream=True, parsed=None, raw=b"")
        headers, version = self._headers, self._version
        if version == "1.1":
            self._chunked = True
            headers.append(("transfer-encoding", "chunked"))
        else:
            self._close = True
        if self._close or (self.connection is not None and self.connection.draining):
            self._add_connection_header()
        return response_head(version, "200 OK", headers)

    def _finish(self) -> None:
        if self.error is None:
            self.guard.error_type = ErrorType.NONE
        else:
            self.record_error(self.error)
        self._end(200, close=self._close)

    def _handle_unwritable(self) -> None:
        """There is no response yet, or there will be none; or the client takes nothing."""
        if self._over:
            return
        if not self.started:
            if self.error is not None:
                self._send_error(self.error)
        elif self.size > UNSENT_LIMIT:
            self._drop("it does not keep up, and its engine does not wait")

    def timed_out(self) -> None:
        """See ``Exchange``; or a client that takes nothing of what is written."""
        if not self._congested:
            super().timed_out()
            return
        now = self.clock()
        deadline = self.context.deadline
        if deadline is not None and now >= deadline and not self.finished:
            self.terminate(EngineTimeout(DEADLINE_PASSED))
            self._start_timeout(now + STALL_SECONDS)
        else:
            self._drop(f"it took nothing for {STALL_SECONDS:g} seconds")

    def _drop(self, why: str) -> None:
        """Give up a client that does not read."""
        extra = {"request_id": self.context.request_id, "reason": why}
        _log.warning("a slow client was dropped", extra=extra)
        if self.connection is not None:
            self.connection.drop()
