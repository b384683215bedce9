"""Server-sent events: how a chunk looks on the wire, and which chunks a client gets at all.

Pure functions on one chunk. Format: WHATWG HTML, section 9.2; ``[DONE]`` and the error event as
OpenAI's clients read them.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple, cast

import orjson

from actors.engines.contract import Chunk
from actors.engines.sse.events import read_event
from http_service.errors import ErrorReply

__all__ = ["DONE", "Frame", "encode", "error_event", "plain_event", "usage_of_answer"]

DONE: Final = b"data: [DONE]\n\n"

_COMPLETION_TOKENS: Final = re.compile(rb'"completion_tokens"\s*:\s*([0-9]{1,15})\s*[,}]')


class Frame(NamedTuple):
    """One chunk, ready for the socket.

    ``data`` is empty where the client gets nothing of it. ``comment`` tells a keep-alive from an
    answer. ``completion_tokens`` is the engine's own count, where the chunk carries one.
    """

    data: bytes
    comment: bool = False
    completion_tokens: int | None = None


def plain_event(chunk: Chunk) -> bytes | None:
    """The event of an ordinary chunk; ``None`` for what :func:`encode` has to look into.

    PERF: most chunks are tokens, no comment and without usage; they need no :class:`Frame`.
    """
    if isinstance(chunk, bytes):
        # A relay's tokens are never decoded; the `"usage":null` of some servers is no reason to.
        usage = b'"usage":{' in chunk or b'"usage": {' in chunk
        return None if usage or chunk.startswith(b":") else chunk
    if chunk.get("usage") is not None:
        return None
    return b"data: %b\n\n" % orjson.dumps(chunk)


def encode(chunk: Chunk, *, include_usage: bool) -> Frame:
    """``chunk`` as an event. The usage chunk (no choices) passes only if the client asked for it.

    ``bytes`` pass as they are, and are looked into only where they mention usage.
    """
    event = plain_event(chunk)
    if event is not None:
        return Frame(event)
    if isinstance(chunk, bytes):
        return _encode_event(chunk, include_usage=include_usage)
    completion_tokens = _completion_tokens(chunk["usage"])
    if not include_usage and not chunk.get("choices"):
        return Frame(b"", completion_tokens=completion_tokens)
    return Frame(b"data: %b\n\n" % orjson.dumps(chunk), completion_tokens=completion_tokens)


def error_event(reply: ErrorReply) -> bytes:
    """The one event that tells of a failure after the first byte; ``[DONE]`` comes after it."""
    return b"data: " + reply.body() + b"\n\n"


def usage_of_answer(body: bytes) -> int | None:
    """The completion tokens that a whole unary answer claims, ``None`` where it claims none."""
    # PERF: not decoded. Inside a JSON text the quotes would be escaped, so this is a key.
    found = _COMPLETION_TOKENS.search(body)
    return int(found[1]) if found is not None else None


def _encode_event(event: bytes, *, include_usage: bool) -> Frame:
    if event.startswith(b":"):
        return Frame(event, comment=True)
    chunk = read_event(event).chunk
    completion_tokens = _completion_tokens(chunk.get("usage"))
    if completion_tokens is not None and not include_usage and not chunk.get("choices"):
        return Frame(b"", completion_tokens=completion_tokens)
    return Frame(event, completion_tokens=completion_tokens)


def _completion_tokens(usage: object) -> int | None:
    if not isinstance(usage, dict):
        return None
    count = cast("dict[str, object]", usage).get("completion_tokens")
    return count if type(count) is int else None
