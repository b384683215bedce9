"""Server-sent events: how a chunk looks on the wire, and which chunks a client gets at all.

Pure functions on one chunk. Format: WHATWG HTML, section 9.2; ``[DONE]`` and the error event as
OpenAI's clients read them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import orjson

from actors.engines.contract import Chunk
from actors.engines.sse import data_of, read_event, split_events
from actors.engines.tokens import completion_tokens as completion_tokens_in
from http_service.errors import ErrorReply

__all__ = [
    "COMMENT",
    "DONE",
    "EVENT_ENDS",
    "PROMPT_TOKENS",
    "USAGE",
    "Frame",
    "encode",
    "error_event",
    "event_of",
]

DONE: Final = b"data: [DONE]\n\n"

EVENT_ENDS: Final = (b"\n\n", b"\n\r\n", b"\r\r", b"\r\r\n", b"\n\r")
"""How bytes that are whole events end: with the end of a line, then a blank line."""

COMMENT: Final = ord(":")
"""What a comment begins with."""

USAGE: Final = b'completion_tokens"'
"""What an event with usage holds; inside a text its quote would be escaped."""


PROMPT_TOKENS: Final = re.compile(rb'"prompt_tokens"\s*:\s*([0-9]{1,9})\s*[,}]').search
"""Finds the engine's count of the prompt's tokens; inside a text its quotes would be escaped."""


class Frame(NamedTuple):
    """One chunk, ready for the socket.

    ``data`` is empty where the client gets nothing of it. ``comment``: it is a keep-alive.
    ``completion_tokens`` is the engine's own count, where the chunk carries one.
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
            and chunk.find(b"\r") < 0
        ):
            return _encode_event(chunk, include_usage=include_usage)
        frames = [
            _encode_event(event, include_usage=include_usage) for event in split_events(chunk)
        ]
        return frames[0] if len(frames) == 1 else _joined(frames)
    completion_tokens = completion_tokens_in(chunk.get("usage"))
    if completion_tokens is not None and not include_usage and not chunk.get("choices"):
        return Frame(b"", completion_tokens=completion_tokens)
    return Frame(event_of(chunk), completion_tokens=completion_tokens)


def event_of(chunk: Mapping[str, Any]) -> bytes:
    """``chunk`` as an event, whatever it holds."""
    return b"data: %b\n\n" % orjson.dumps(chunk)


def error_event(reply: ErrorReply) -> bytes:
    """The one event that reports a failure after the first byte; ``[DONE]`` comes after it."""
    return b"data: " + reply.body() + b"\n\n"


def _encode_event(event: bytes, *, include_usage: bool) -> Frame:
    if event.startswith(b":") and not data_of(event):
        return Frame(event, comment=True)
    chunk: Any = _loaded(event)
    if chunk.__class__ is not dict:
        chunk = read_event(event).chunk
    completion_tokens = completion_tokens_in(chunk.get("usage"))
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
    counts = [frame.completion_tokens for frame in frames if frame.completion_tokens is not None]
    return Frame(
        b"".join(frame.data for frame in frames),
        comment=all(frame.comment for frame in frames),
        completion_tokens=counts[-1] if counts else None,
    )
