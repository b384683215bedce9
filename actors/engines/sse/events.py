"""What one server-sent event of an OpenAI-compatible stream says: a pure reading, never a rewrite.

Source: WHATWG HTML, 9.2.6 "Interpreting an event stream"; OpenAI's streaming format (``data`` is a
chunk object, or ``[DONE]``); real servers' habits (comments while they prefill, ``error`` objects
in the middle of a stream).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Final, cast

from actors.engines.error_object import is_error
from actors.engines.lenient_json import Undecodable, decode

__all__ = ["EventKind", "StreamEvent", "data_of", "read_event"]

_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
# An event of the name "error", whatever its data says.
_NAMED_ERROR: Final = re.compile(rb"(?:^|[\r\n])event: ?error[ \t]*(?:[\r\n]|$)")
# What some servers put before the first event; it is no part of it.
_BOM: Final = b"\xef\xbb\xbf"


class EventKind(Enum):
    """What an event is for."""

    EMPTY = auto()
    """A comment, or nothing that a client would be told of: a sign of life, no output."""
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
    """Tell what ``event`` (with its blank line) says. Never raises."""
    data = data_of(event)
    if not data:
        # llama.cpp until 2025 told errors in a field of that name.
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
    """An error, with the object that tells it if there is one."""
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
        if b"\n" not in line and b"\r" not in line:
            return line
    lines = _LINE_END.split(event.removeprefix(_BOM))
    data = [line[5:] for line in lines if line.startswith(b"data:")]
    return b"\n".join(line.removeprefix(b" ") for line in data).strip()
