"""How many arrays, objects and values a JSON body may hold, counted before it is decoded.

A byte of JSON can cost 40 bytes once it is decoded, and no other request is served meanwhile: a
limit on bytes alone bounds neither. Pure functions; what is between quotes is not counted.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["MAX_CONTAINERS", "MAX_VALUES", "excess"]

MAX_CONTAINERS: Final = 100_000
"""Arrays and objects of one body. A conversation of 10,000 messages with tools has half of that."""

MAX_VALUES: Final = 1_250_000
"""Commas of one body, so about as many values: a prompt of a million token ids fits in."""

_STRUCTURE: Final = b'"[{,'
_OTHERS: Final = bytes(byte for byte in range(256) if byte not in _STRUCTURE)
_STRING: Final = re.compile(rb'"[^"]*"')


def excess(raw: bytes) -> str | None:
    """What ``raw`` holds too much of, for the client to read; ``None`` if it is within bounds.

    ``raw`` need not be valid JSON. Whatever it holds, the time is a small multiple of reading it.
    """
    if len(raw) <= MAX_CONTAINERS:
        return None
    # PERF: these counts include what is in strings; few bodies have so many in all.
    if _containers(raw) <= MAX_CONTAINERS and raw.count(b",") <= MAX_VALUES:
        return None
    # Without the escapes, each quote begins or ends a string.
    plain = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    if plain.count(b'"') > 4 * (MAX_VALUES + MAX_CONTAINERS):
        return f"more than {MAX_VALUES} values"  # each may have a name, and both have two quotes
    outside = _STRING.sub(b"", plain.translate(None, _OTHERS))
    if _containers(outside) > MAX_CONTAINERS:
        return f"more than {MAX_CONTAINERS} arrays and objects"
    if outside.count(b",") > MAX_VALUES:
        return f"more than {MAX_VALUES} values"
    return None


def _containers(text: bytes) -> int:
    return text.count(b"[") + text.count(b"{")
