"""A streamed response: chunks in, server-sent events out, in order.

Format: WHATWG HTML, section 9.2; ``[DONE]`` and the error event as OpenAI's clients read them.
"""

from __future__ import annotations

import re
from _thread import get_ident
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, NamedTuple, cast

import orjson

from actors.engines.contract import Chunk, EngineRequest
from actors.engines.errors import EngineUnavailable
from actors.engines.pool import State
from actors.engines.sse import data_of, read_event, split_events
from http_service.errors import ErrorReply, reply_for
from http_service.streaming.exchange import Exchange

__all__ = [
    "COMMENT",
    "DONE",
    "EVENT_ENDS",
    "ROOM_BYTES",
    "USAGE",
    "Frame",
    "StreamExchange",
    "encode",
    "error_event",
    "event_of",
    "usage_of_answer",
]

_STARTED: Final = State.STARTED

ROOM_BYTES: Final = 64 * 1024
"""Bytes that may wait for a client, beyond the kernel's buffers, before its engine is told to wait:
several hundred tokens, so that no engine is paused for a hiccup."""


class StreamExchange(Exchange):
    """An exchange whose answer is written as it comes.

    An answer has *begun* with what the pool delivers first: a failure before that leaves no byte
    behind, and is an ordinary HTTP error; after it, one error event and ``[DONE]``.
    """

    __slots__ = ("_frames", "_tokens", "_usage", "_waiting", "include_usage")

    whole: ClassVar[bool] = False

    # The engine's side: any thread, never blocks.

    def prepare(self, *, include_usage: bool) -> None:
        """Take chunks from now on; ``include_usage``: the client wants its usage chunk."""
        self.include_usage = include_usage
        self._frames: list[bytes] = []
        self._tokens = 0
        self._usage: int | None = None
        self._waiting: Callable[[], object] | None = None

    def push(self, chunk: Chunk, tokens: int = 1) -> None:
        """One chunk of the first instance's."""
        # PERF: what ``deliver`` does, for what a relay pushes nearly always, on the loop's thread.
        loop = self._loop
        if (
            self.state is not _STARTED
            or not self.first_live
            or loop is None
            or loop.thread != get_ident()
            or not isinstance(chunk, bytes)
            or not chunk.endswith(EVENT_ENDS)
            or chunk[0] == COMMENT
            or chunk.rfind(USAGE) >= 0
        ):
            super().push(chunk, tokens)
            return
        with self.lock:
            if self.ended:
                return
            self._frames.append(chunk)
            self.size += min(len(chunk), ROOM_BYTES)
            if tokens > 0:
                self._tokens += tokens
        if not self._scheduled:
            self._scheduled = True
            loop.pending.append(self._flush)

    def deliver(self, chunk: Chunk, tokens: int) -> None:
        """Take one chunk; ignored once the stream has ended."""
        # PERF: most chunks of a relay are tokens, ready and without usage; they are told from the
        # others right here. They are never decoded, and the `"usage":null` of some servers is no
        # reason to. Usage is searched from the end, where it is: a tenth of the time.
        if isinstance(chunk, bytes):
            if not chunk.endswith(EVENT_ENDS) or chunk[0] == COMMENT or chunk.rfind(USAGE) >= 0:
                chunk = self._look_into(chunk)
        elif chunk.get("usage") is None:
            chunk = b"data: %b\n\n" % orjson.dumps(chunk)
        else:
            chunk = self._look_into(chunk)
        with self.lock:
            if self.ended or not chunk:
                return
            self._frames.append(chunk)
            # NOTE: an engine is told to wait after an event, which may be of any length: it counts
            # as no more than what makes it wait.
            self.size += min(len(chunk), ROOM_BYTES)
            if tokens > 0:
                self._tokens += tokens
            self.begun = True
        loop = self._loop
        if loop is None:
            self._stir()
        elif not self._scheduled:
            self._scheduled = True
            if loop.thread == get_ident():
                loop.pending.append(self._flush)
            else:
                loop.call(self._flush)

    def has_room(self, when_room: Callable[[], object]) -> bool:
        """Whether the client keeps up."""
        # PERF: no lock, and no call, while there is room.
        return self.size < ROOM_BYTES or self.room(when_room)

    def room(self, when_room: Callable[[], object]) -> bool:
        """Whether the client keeps up; see ``Sink``."""
        with self.lock:
            if self.size < ROOM_BYTES or self.ended:
                return True
            self._waiting = when_room
            return False

    def deliver_answer(self, body: bytes) -> None:
        """A whole answer where a stream was asked for is the engine's mistake: it fails."""
        del body
        self.deliver_error(EngineUnavailable("The engine did not answer with a stream."))

    def deliver_end(self) -> None:
        """End the stream well: ``[DONE]``."""
        with self.lock:
            if self.ended:
                return
            self._frames.append(DONE)
            self.begun = self.ended = True
        self._stir()

    def deliver_error(self, error: BaseException) -> None:
        """End the stream badly: with an HTTP error if it has not begun, else with an event."""
        with self.lock:
            if self.ended:
                return
            self.error = error
            if self.begun:
                self._frames += (error_event(reply_for(error)), DONE)
            self.ended = True
        self._resume_engine()
        self._stir()

    def _look_into(self, chunk: Chunk) -> bytes:
        """The event of ``chunk``, empty if the client gets nothing of it.

        Bytes that do not end an event end the stream instead: half an event would swallow the next
        one, and with it the end of the stream.
        """
        if isinstance(chunk, bytes) and not chunk.endswith(EVENT_ENDS):
            self.cut(EngineUnavailable("The engine sent what is not an event."))
            return b""
        self.heard = self.clock()
        event, _, usage = encode(chunk, include_usage=self.include_usage)
        if usage is not None:
            self._usage = usage
        return event

    # The client's side.

    def _head(self, length: int) -> bytes:
        # PERF: once it has started no other instance is asked, and a stream may be held long: the
        # body, which may be of any length, is not kept beside it.
        if self.state is _STARTED:
            asked = self.request
            self.request = EngineRequest(asked.kind, asked.model, stream=True, parsed=None, raw=b"")
        return super()._head(length)

    def take(self) -> bytes:
        """Every event that is ready, joined; an engine that waits for room may go on.

        PERF: tokens are counted, and signs of life noted, once for all that came since the last
        time.
        """
        with self.lock:
            frames, self._frames = self._frames, []
            tokens, self._tokens = self._tokens, 0
            self.size = 0
            waiting, self._waiting = self._waiting, None
        if frames:
            guard = self.guard
            self.heard = self.clock()
            if tokens > 0:
                guard.saw_tokens(tokens, self.heard)
        if self._usage is not None:
            usage, self._usage = self._usage, None
            self.guard.saw_usage(usage)
        if waiting is not None:
            waiting()
        return frames[0] if len(frames) == 1 else b"".join(frames)

    def _let_go(self) -> None:
        if self._tokens or self._frames:
            self.take()  # what came is still counted
        with self.lock:
            self.ended = True
            self._frames.clear()
            self.size = 0
        super()._let_go()
        self._resume_engine()

    def _resume_engine(self) -> None:
        with self.lock:
            waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting()


DONE: Final = b"data: [DONE]\n\n"

EVENT_ENDS: Final = (b"\n\n", b"\n\r\n", b"\r\r", b"\r\r\n", b"\n\r")
"""How bytes that are whole events end: with the end of a line, then a blank line."""

COMMENT: Final = ord(":")
"""What a comment begins with."""

USAGE: Final = b'completion_tokens"'
"""What an event with usage holds; inside a text its quote would be escaped."""

_COMPLETION_TOKENS: Final = re.compile(rb'"completion_tokens"\s*:\s*([0-9]{1,15})\s*[,}]')


class Frame(NamedTuple):
    """One chunk, ready for the socket.

    ``data`` is empty where the client gets nothing of it. ``comment`` tells a keep-alive from an
    answer. ``completion_tokens`` is the engine's own count, where the chunk carries one.
    """

    data: bytes
    comment: bool = False
    completion_tokens: int | None = None


def encode(chunk: Chunk, *, include_usage: bool) -> Frame:
    """``chunk`` as an event. The usage chunk (no choices) passes only if the client asked for it.

    ``bytes`` pass as they are.
    """
    if isinstance(chunk, bytes):
        # PERF: usage comes as one event of one line, which needs no cutting.
        if (
            chunk.startswith(b"data:")
            and chunk.find(b"\n") == len(chunk) - 2
            and b"\r" not in chunk
        ):
            return _encode_event(chunk, include_usage=include_usage)
        frames = [_encode_event(each, include_usage=include_usage) for each in split_events(chunk)]
        return frames[0] if len(frames) == 1 else _joined(frames)
    completion_tokens = _completion_tokens(chunk.get("usage"))
    if completion_tokens is not None and not include_usage and not chunk.get("choices"):
        return Frame(b"", completion_tokens=completion_tokens)
    return Frame(event_of(chunk), completion_tokens=completion_tokens)


def event_of(chunk: Mapping[str, Any]) -> bytes:
    """``chunk`` as an event, whatever it holds."""
    return b"data: %b\n\n" % orjson.dumps(chunk)


def error_event(reply: ErrorReply) -> bytes:
    """The one event that tells of a failure after the first byte; ``[DONE]`` comes after it."""
    return b"data: " + reply.body() + b"\n\n"


def usage_of_answer(body: bytes) -> int | None:
    """The completion tokens that a whole unary answer claims, ``None`` where it claims none."""
    # PERF: not decoded. Inside a JSON text the quotes would be escaped, so this is a key.
    found = _COMPLETION_TOKENS.search(body)
    return int(found[1]) if found is not None else None


def _encode_event(event: bytes, *, include_usage: bool) -> Frame:
    if event.startswith(b":") and not data_of(event):
        return Frame(event, comment=True)
    chunk: Any = _loaded(event)
    if chunk.__class__ is not dict:
        chunk = read_event(event).chunk
    completion_tokens = _completion_tokens(chunk.get("usage"))
    if completion_tokens is not None and not include_usage and not chunk.get("choices"):
        return Frame(b"", completion_tokens=completion_tokens)
    return Frame(event, completion_tokens=completion_tokens)


def _loaded(event: bytes) -> Any:
    """What an event of one ``data`` line says in strict JSON; ``None`` for any other."""
    if not event.startswith(b"data:"):
        return None
    try:
        return orjson.loads(event[5:])
    except orjson.JSONDecodeError:
        return None


def _joined(frames: list[Frame]) -> Frame:
    """What an engine pushed in one go."""
    counts = [each.completion_tokens for each in frames if each.completion_tokens is not None]
    return Frame(
        b"".join(each.data for each in frames),
        comment=all(each.comment for each in frames),
        completion_tokens=counts[-1] if counts else None,
    )


def _completion_tokens(usage: object) -> int | None:
    if not isinstance(usage, dict):
        return None
    count = cast("dict[str, object]", usage).get("completion_tokens")
    return count if type(count) is int else None
