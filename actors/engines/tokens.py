"""How many output tokens a chunk carries. Pure; used by every adapter.

NOTE: an estimate by design. A chunk is counted as one token per choice that carries output, which
is what servers send one by one; a multi-byte character may span several tokens in one chunk. The
exact number is in the usage chunk, where the engine sends one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from actors.engines.contract import Chunk
from actors.engines.lenient_json import DICT, LIST
from actors.engines.media import Media
from actors.engines.sse import EventKind, read_event, split_events

__all__ = ["OUTPUT_FIELDS", "completion_tokens", "tokens_in", "tokens_in_choices"]

# The fields of a chat delta that are output; "role" alone is not.
OUTPUT_FIELDS: Final = (
    "content",
    "reasoning_content",
    "reasoning",
    "refusal",
    "tool_calls",
    "function_call",
)


def tokens_in(chunk: Chunk) -> int:
    """The output tokens of ``chunk``: one per choice that carries output.

    0 for a role, a finish reason, a usage chunk, a comment and ``[DONE]``. ``bytes`` are
    server-sent events, one or more. Never raises: what can't be read as a chunk counts 0. A piece
    of media counts as one: it is output.
    """
    if isinstance(chunk, Media):
        return 1
    if isinstance(chunk, bytes):
        return sum(map(_tokens_in_event, split_events(chunk)))
    return tokens_in_choices(chunk)


def tokens_in_choices(chunk: Mapping[str, Any]) -> int:
    """:func:`tokens_in` of a chunk object."""
    choices: Any = chunk.get("choices")
    if not isinstance(choices, LIST):
        return 0
    tokens = 0
    for choice in choices:
        if isinstance(choice, DICT):
            delta = choice.get("delta")
            if (
                any(map(delta.get, OUTPUT_FIELDS))
                if isinstance(delta, DICT)
                else choice.get("text")
            ):
                tokens += 1
    return tokens


def completion_tokens(usage: Any) -> int | None:
    """The exact number of output tokens, if ``usage`` is an object that tells it."""
    if not isinstance(usage, DICT):
        return None
    count = usage.get("completion_tokens")
    return count if type(count) is int else None  # not a bool


def _tokens_in_event(event: bytes) -> int:
    read = read_event(event)
    return tokens_in_choices(read.chunk) if read.kind is EventKind.CHUNK else 0
