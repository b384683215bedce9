"""Undoing a request body's ``Content-Encoding``: gzip and deflate, within a limit (RFC 9110, 8.4).

Pure functions. A few bytes can stand for any number of zeros, so no more is ever inflated than the
limit and one byte.
"""

from __future__ import annotations

import zlib
from typing import Final

from http_service.errors import BodyTooLarge, MalformedRequest, UnsupportedContentCoding

__all__ = [
    "codings_of",
    "decoded",
]

MAX_CODINGS: Final = 4
"""Codings of one body: each is a pass over it, and no client applies two."""

MAX_MEMBERS: Final = 16
"""Gzip members of one body, each of which copies the rest; every client sends one."""

_GZIP: Final = 16 + zlib.MAX_WBITS
_ZLIB: Final = zlib.MAX_WBITS
_RAW: Final = -zlib.MAX_WBITS
_KNOWN: Final = frozenset(("gzip", "x-gzip", "deflate"))


def codings_of(header: str) -> tuple[str, ...]:
    """The codings that ``header`` names, in the order in which they were applied.

    ``identity`` and empty elements are none. Raises :class:`UnsupportedContentCoding` (415).
    """
    named = [element.strip(" \t").lower() for element in header.split(",")]
    codings = tuple(coding for coding in named if coding not in ("", "identity"))
    for coding in codings:
        if coding not in _KNOWN:
            raise UnsupportedContentCoding(
                f"The content coding {coding[:40]!r} is not supported: send the body as it is, "
                "or with gzip or deflate"
            )
    if len(codings) > MAX_CODINGS:
        raise UnsupportedContentCoding(f"The body has more than {MAX_CODINGS} content codings")
    return codings


def decoded(raw: bytes, codings: tuple[str, ...], limit: int) -> bytes:
    """``raw`` without its ``codings``.

    Raises :class:`BodyTooLarge` if there are more than ``limit`` bytes after any of them, and
    :class:`MalformedRequest` for what the coding did not make.
    """
    for coding in reversed(codings):
        try:
            raw = _inflated(raw, coding, limit)
        except (zlib.error, EOFError):
            raise MalformedRequest(f"The body is not valid {coding}") from None
    return raw


def _inflated(raw: bytes, coding: str, limit: int) -> bytes:
    form = _deflate_form(raw) if coding == "deflate" else _GZIP
    parts: list[bytes] = []
    size = 0
    rest = raw
    for _ in range(MAX_MEMBERS if form == _GZIP else 1):
        member = zlib.decompressobj(form)
        parts.append(member.decompress(rest, limit + 1 - size))
        size += len(parts[-1])
        if size > limit:
            raise BodyTooLarge(limit)
        if not member.eof:
            raise EOFError  # the end is missing, and the checksum with it
        rest = member.unused_data  # the next member (RFC 1952, 2.2)
        if not rest:
            return b"".join(parts)
    raise EOFError  # there is more behind the end


def _deflate_form(raw: bytes) -> int:
    """With zlib's head, as the standard has it, or without one, as some clients send it."""
    has_head = len(raw) > 1 and raw[0] & 0x0F == zlib.DEFLATED and not (raw[0] << 8 | raw[1]) % 31
    return _ZLIB if has_head else _RAW
