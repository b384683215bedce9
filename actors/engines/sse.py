"""Server-sent events as OpenAI's servers send them: cut from a stream, and read. Pure.

Sources: WHATWG HTML, 9.2.5 "Parsing an event stream" (lines end in LF, CRLF or CR; a blank line
ends an event) and 9.2.6 "Interpreting an event stream"; OpenAI's streaming format (``data`` is a
chunk object, or ``[DONE]``); real servers' habits (comments while they prefill, ``error`` objects
in the middle of a stream).

Invariants of the cutting, each tested by property:

1. all batches joined, and :attr:`SseFrames.rest`, are the bytes that were fed;
2. a batch ends where an event ends;
3. where the input was cut into pieces never changes the events, but for blank lines between them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Final, cast

from actors.engines.error_object import is_error
from actors.engines.lenient_json import Undecodable, decode

__all__ = [
    "MAX_EVENT_BYTES",
    "NEAR",
    "EventKind",
    "EventTooLong",
    "SseFrames",
    "StreamEvent",
    "data_of",
    "end_of_ignored_lines",
    "event_end",
    "prelude_of",
    "read_event",
    "split_events",
]

MAX_EVENT_BYTES: Final = 64 * 1024 * 1024
"""Bytes of one event: as long as a whole unary answer may be, which some servers send as one event
(a picture, a tool's file). A token is some hundred bytes."""

# The end of a line, then a blank line. Atomic groups: a CRLF must never be read as CR and LF.
_BOUNDARY: Final = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
# A boundary that reaches back over the seam of two pieces begins at most this far before it.
_LONGEST_BOUNDARY: Final = 4
NEAR: Final = 4096
"""Bytes within which nearly every event ends."""

# A byte order mark and comment lines before an event's fields.
_PRELUDE: Final = re.compile(rb"(?:\xef\xbb\xbf)?(?::[^\r\n]*(?>\r\n|\n|\r))*")
# Lines in a row that a reader ignores (blank ones, comments, other fields, empty data), taken in
# one go. Each of them ends: a batch ends where an event does.
_IGNORED: Final = re.compile(
    rb"(?:[\r\n]++|(?!data|event|error)[^\r\n]*+[\r\n]|data:?[ ]?[\r\n])*+"
)
_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
# An event of the name "error", whatever its data says.
_NAMED_ERROR: Final = re.compile(rb"(?:^|[\r\n])event: ?error[ \t]*(?:[\r\n]|$)")
# What some servers put before the first event; it is not part of it.
_BOM: Final = b"\xef\xbb\xbf"


class EventKind(Enum):
    """What an event is for."""

    EMPTY = auto()
    """A comment, or nothing that a client would see: a keep-alive, no output."""
    CHUNK = auto()
    """A chunk object."""
    DONE = auto()
    """The end of the stream, ``[DONE]``."""
    ERROR = auto()
    """An error object: the stream failed."""
    BROKEN = auto()
    """Data that is not a JSON object, however leniently read: a client could not read it."""


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One event, read. ``chunk`` is the JSON object of a ``CHUNK`` or an ``ERROR``, else empty."""

    kind: EventKind
    chunk: dict[str, Any] = field(default_factory=dict[str, Any])


_EMPTY: Final = StreamEvent(EventKind.EMPTY)
_DONE: Final = StreamEvent(EventKind.DONE)
_BROKEN: Final = StreamEvent(EventKind.BROKEN)


def read_event(event: bytes) -> StreamEvent:
    """What ``event`` (with its blank line) says. Never raises."""
    data = data_of(event)
    if not data:
        # llama.cpp until 2025 reported errors in a field of that name.
        return _error(event[6:].strip()) if event.startswith(b"error:") else _EMPTY
    if data == b"[DONE]":
        return _DONE
    if not event.startswith(b"data:") and _NAMED_ERROR.search(event) is not None:
        return _error(data)
    try:
        value: Any = decode(data)
    except Undecodable:
        return _BROKEN
    if not isinstance(value, dict):
        # llama.cpp begins, and interrupts, the answer to a list of prompts with it.
        return _EMPTY if value is None else _BROKEN
    chunk = cast("dict[str, Any]", value)
    return StreamEvent(EventKind.ERROR if is_error(chunk) else EventKind.CHUNK, chunk)


def _error(data: bytes) -> StreamEvent:
    """An error, with its object if there is one."""
    try:
        value: Any = decode(data)
    except Undecodable:
        value = None
    return StreamEvent(
        EventKind.ERROR, cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    )


def data_of(event: bytes) -> bytes:
    """The event's data: its ``data`` lines joined by LF, stripped; empty for a comment."""
    # PERF: nearly every event is one "data:" line; it needs no splitting.
    if event.startswith(b"data:"):
        line = event[5:].strip()
        if line.find(b"\n") < 0 and line.find(b"\r") < 0:
            return line
    lines = _LINE_END.split(event.removeprefix(_BOM))
    data = [line[5:] for line in lines if line.startswith(b"data:")]
    return b"\n".join(line.removeprefix(b" ") for line in data).strip()


class EventTooLong(ValueError):
    """An event did not end within the limit: not an event stream, or an attack."""


class SseFrames:
    """Takes bytes as they arrive, gives whole events, each with the blank line that ends it."""

    __slots__ = ("_max_event", "_searched", "buffer")

    def __init__(self, max_event: int = MAX_EVENT_BYTES) -> None:
        # PERF: grows in place, and what is before ``_searched`` is not searched again: a long event
        # costs the same for each of its bytes, however small the pieces are that it comes in.
        self.buffer = bytearray()
        """What was fed and belongs to no complete event yet."""
        self._searched = 0
        self._max_event = max_event

    @property
    def rest(self) -> bytes:
        """What was fed and belongs to no complete event yet."""
        return bytes(self.buffer)

    def feed(self, data: bytes) -> bytes:
        """The events that ``data`` completes, joined; empty if none. Raises `EventTooLong`."""
        # PERF: nearly every read ends where an event does.
        buffer = self.buffer
        if not buffer:
            if data.endswith((b"\n\n", b"\r\n\r\n")):
                return data
            end = _last_boundary(data, 0)
            buffer += data[end:] if end else data
            self._kept()
            return data[:end]
        buffer += data
        end = _last_boundary(buffer, self._searched)
        if not end:
            self._kept()
            return b""
        batch = bytes(memoryview(buffer)[:end])
        self.buffer = buffer[end:]
        self._kept()
        return batch

    def end(self) -> bytes:
        """The events that only the end of the stream completes; afterwards :attr:`rest` is left.

        An event without its blank line is never dispatched (WHATWG), so it stays in ``rest``.
        """
        if _BOUNDARY.search(self.buffer) is None:
            return b""
        event, self.buffer = bytes(self.buffer), bytearray()
        return event

    def _kept(self) -> None:
        """What is in the buffer was searched. Raises `EventTooLong`."""
        kept = len(self.buffer)
        if kept > self._max_event:
            self.buffer = bytearray()
            raise EventTooLong(f"an event is longer than {self._max_event} bytes")
        self._searched = max(0, kept - _LONGEST_BOUNDARY)


def event_end(batch: bytes, start: int) -> int:
    """Where the event that begins at ``start`` ends; the end of ``batch`` if it has none."""
    # PERF: looks no further than the event goes, so that a batch of many costs no more for each.
    for stop in (start + NEAR, len(batch)):
        found = batch.find(b"\n\n", start, stop)
        first = batch.find(b"\r", start, stop if found < 0 else found)
        if first >= 0:
            match = _BOUNDARY.search(batch, max(start, first - 1))
            return match.end() if match is not None else len(batch)
        if found >= 0:
            return found + 2
    return len(batch)


def split_events(batch: bytes) -> list[bytes]:
    """The single events of ``batch``; joined they are ``batch``."""
    events: list[bytes] = []
    start = 0
    while start < len(batch):
        end = event_end(batch, start)
        events.append(batch[start:end])
        start = end
    return events


def _last_boundary(buffer: bytes | bytearray, searched: int) -> int:
    """Where the last event that is complete ends, 0 if none is; ``searched`` bytes hold no end."""
    if buffer.find(b"\r", searched) < 0:
        found = buffer.rfind(b"\n\n", searched)
        return found + 2 if found >= 0 else 0
    end = 0
    for match in _BOUNDARY.finditer(buffer, searched):
        if match.end() == len(buffer) and buffer.endswith(b"\r"):
            break  # the LF of this CRLF may be in the next piece
        end = match.end()
    return end


def end_of_ignored_lines(batch: bytes, start: int) -> int:
    """Where the ignored lines end that begin at ``start``; ``start`` if there are none."""
    found = _IGNORED.match(batch, start)
    return found.end() if found is not None else start


def prelude_of(event: bytes) -> int:
    """How many bytes of ``event`` come before its first field."""
    found = _PRELUDE.match(event)
    return found.end() if found is not None else 0
