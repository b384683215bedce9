"""How many arrays, objects and values a JSON body may hold, counted before it is decoded.

A byte of JSON can cost 40 bytes once it is decoded, and no other request is served meanwhile: a
limit on bytes alone bounds neither. Pure functions; what is between quotes is not counted. A long
body is looked at piece by piece: other threads run between two of them, and not within one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

__all__ = ["MAX_CONTAINERS", "MAX_VALUES", "PIECE", "excess", "more_containers_than", "occurs_once"]

MAX_CONTAINERS: Final = 100_000
"""Arrays and objects of one body. A conversation of 10,000 messages with tools has half of that."""

MAX_VALUES: Final = 1_250_000
"""Commas of one body, so about as many values: a prompt of a million token ids fits in."""

MAX_STRINGS: Final = 2 * (MAX_VALUES + MAX_CONTAINERS)
"""Texts of one body: each value may be one, and may have a name."""

PIECE: Final = 64 * 1024
"""Bytes that are looked at in one go; an even number, see :func:`_whole_escapes`."""

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
    if not more_containers_than(MAX_CONTAINERS, raw) and not _more_commas_than(MAX_VALUES, raw):
        return None
    containers = values = strings = 0
    inside = False
    for piece in _whole_escapes(raw):
        # Without the escapes, each quote begins or ends a string.
        plain = piece.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, _OTHERS)
        quotes = plain.count(b'"') + inside
        strings += quotes // 2
        whole = b'"' * inside + plain + b'"' * (quotes % 2)
        inside = quotes % 2 == 1
        outside = _STRING.sub(b"", whole)
        containers += outside.count(b"[") + outside.count(b"{")
        values += outside.count(b",")
        if containers > MAX_CONTAINERS:
            return f"more than {MAX_CONTAINERS} arrays and objects"
        if values > MAX_VALUES or strings > MAX_STRINGS:
            return f"more than {MAX_VALUES} values"
    return None


def more_containers_than(most: int, raw: bytes) -> bool:
    """Whether ``raw`` has more than ``most`` opening brackets, those within strings included."""
    found = 0
    for piece in _pieces(raw):
        found += piece.count(b"[") + piece.count(b"{")
        if found > most:
            return True
    return False


def occurs_once(word: bytes, raw: bytes) -> bool:
    """Whether ``raw`` has ``word`` exactly once."""
    if len(raw) <= PIECE:
        return raw.count(word) == 1
    found = 0
    for at in range(0, len(raw), PIECE):
        # As much of the next piece as a word that begins in this one can need.
        found += raw.count(word, at, at + PIECE + len(word) - 1)
        if found > 1:
            return False
    return found == 1


def _more_commas_than(most: int, raw: bytes) -> bool:
    found = 0
    for piece in _pieces(raw):
        found += piece.count(b",")
        if found > most:
            return True
    return False


def _pieces(raw: bytes) -> Iterator[bytes]:
    return (raw[at : at + PIECE] for at in range(0, len(raw), PIECE))


def _whole_escapes(raw: bytes) -> Iterator[bytes]:
    """Pieces of ``raw`` none of which ends between a backslash and what it escapes."""
    at = 0
    while at < len(raw):
        piece = raw[at : at + PIECE]
        backslashes = len(piece) - len(piece.rstrip(b"\\"))
        if backslashes % 2 and len(piece) == PIECE:
            piece = piece[:-1]
        at += len(piece)
        yield piece
