"""The strict reading of a request's head: what is accepted, and which status refuses the rest.

Rules of this file: everything here is a pure function of bytes (two bounded tables remember
answers, nothing else), nothing knows Waitress. Whatever two readers of HTTP may understand
differently is refused, because a proxy in front of us may be the other reader (RFC 9112, 11.2).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import unquote_to_bytes, urlsplit

__all__ = [
    "CHUNKED",
    "FIELD_COUNT_LIMIT",
    "BadHead",
    "RequestLine",
    "body_length",
    "ends_connection",
    "read_fields",
    "read_line",
    "remembered_lines",
]

FIELD_COUNT_LIMIT: Final = 100
"""Header lines of one request; Apache's default. SDKs send about 20."""

CHUNKED: Final = -1
"""The length of a body that comes in chunks."""

LENGTH_DIGITS: Final = 18
"""Digits of a Content-Length that are read: more than any body, fewer than int() minds."""

_LINE: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Z]+) ([\x21-\x7e]+) HTTP/([0-9]\.[0-9])")
_FIELD: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([\t\x20-\x7e\x80-\xff]*)")
_HOST: Final = re.compile(r"[A-Za-z0-9\-._~%!$&'()*+,;=:\[\]]*")
_DIGITS: Final = re.compile(r"[0-9]+")

_VERSIONS: Final = frozenset(("1.0", "1.1"))
_SCHEMES: Final = frozenset(("http", "https"))

_SINGLE: Final[Mapping[str, str]] = {
    "HOST": "Host",
    "AUTHORIZATION": "Authorization",
    "CONTENT_TYPE": "Content-Type",
    "CONTENT_LENGTH": "Content-Length",
}
"""Fields of which a second one is refused: joined by a comma they would mean something else."""

_REMEMBERED: Final = frozenset(
    (
        "ACCEPT",
        "ACCEPT_ENCODING",
        "ACCEPT_LANGUAGE",
        "CONNECTION",
        "CONTENT_TYPE",
        "HOST",
        "USER_AGENT",
        "X_STAINLESS_ARCH",
        "X_STAINLESS_ASYNC",
        "X_STAINLESS_LANG",
        "X_STAINLESS_OS",
        "X_STAINLESS_PACKAGE_VERSION",
        "X_STAINLESS_READ_TIMEOUT",
        "X_STAINLESS_RETRY_COUNT",
        "X_STAINLESS_RUNTIME",
        "X_STAINLESS_RUNTIME_VERSION",
    )
)
"""Fields that clients repeat in every request. SECURITY: no credentials, ever: neither in memory,
nor told apart by how long they take."""

REMEMBER_COUNT: Final = 512
"""Lines that are remembered; strangers can fill the table, and then it just stops helping."""

REMEMBER_BYTES: Final = 256
"""The longest line that is remembered."""

Field: TypeAlias = tuple[str, str]


class BadHead(Exception):
    """A head that is refused with ``status``; the message is for the client."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class RequestLine:
    """A request line, taken apart as WSGI needs it; ``path`` is unquoted, latin-1 as text.

    ``rare`` says that there is a scheme, an authority or a fragment.
    """

    method: str
    target: str
    version: str
    scheme: str
    authority: str
    path: str
    query: str
    fragment: str
    rare: bool


def read_line(line: bytes) -> RequestLine:
    """The request line, not looked up in :data:`remembered_lines` but kept there.

    Raises :class:`BadHead` (400, 505).
    """
    match = _LINE.fullmatch(line)
    if match is None:
        raise BadHead(400, "the request line is malformed")
    method, target, version = (part.decode("ascii") for part in match.groups())
    if version not in _VERSIONS:
        raise BadHead(505, "HTTP/1.1 and HTTP/1.0 are spoken here")
    scheme, authority, path, query, fragment = _split(target)
    rare = bool(scheme or authority or fragment)
    read = RequestLine(method, target, version, scheme, authority, path, query, fragment, rare)
    # SECURITY: a query may hold a secret.
    if len(remembered_lines) < REMEMBER_COUNT and len(line) <= REMEMBER_BYTES and not read.query:
        remembered_lines[line] = read
    return read


def read_fields(lines: list[bytes], into: dict[str, str]) -> None:
    """Add the header ``lines`` to ``into``, named as in WSGI's environment but without ``HTTP_``.

    A repeated field is joined by ", ". A name with an underscore is left out: it would be taken for
    the one with a hyphen. Raises :class:`BadHead` (400, 431); what was read until then is in
    ``into``.
    """
    if len(lines) > FIELD_COUNT_LIMIT:
        raise BadHead(431, f"more than {FIELD_COUNT_LIMIT} header fields")
    for line in lines:
        field = remembered_fields.get(line)
        if field is not None:
            key, value = field
        else:
            # PERF: here, and not in a function: most requests have some that no other has.
            match = _FIELD.fullmatch(line)
            if match is None:
                folded = line[:1] in (b" ", b"\t")
                raise BadHead(400, "a header is folded" if folded else "a header is malformed")
            name, content = match.groups()
            if b"_" in name:
                continue
            key = name.upper().replace(b"-", b"_").decode("ascii")
            value = content.strip(b" \t").decode("latin-1")
            if key in _REMEMBERED and len(line) <= REMEMBER_BYTES:
                _remember(line, (key, value))
        if key not in into:
            into[key] = value
        elif key in _SINGLE:
            raise BadHead(400, f"more than one {_SINGLE[key]} header")
        else:
            into[key] += ", " + value


def _remember(line: bytes, field: Field) -> None:
    if len(remembered_fields) < REMEMBER_COUNT:
        remembered_fields[line] = field


def body_length(version: str, fields: Mapping[str, str]) -> int:
    """How many bytes follow the head, or ``CHUNKED``. Raises :class:`BadHead` (400, 501)."""
    coding = fields.get("TRANSFER_ENCODING")
    length = fields.get("CONTENT_LENGTH")
    if coding is not None:
        _check_coding(version, coding, length)
    if version == "1.1" and "HOST" not in fields:
        raise BadHead(400, "there is no Host header")
    if not _HOST.fullmatch(fields.get("HOST", "")):
        raise BadHead(400, "the Host header is malformed")
    if coding is not None:
        return CHUNKED
    if length is None:
        return 0
    if not _DIGITS.fullmatch(length):
        raise BadHead(400, "the Content-Length is not a number")
    # Too long a number is too large a body: whatever it says, it is over every limit.
    return int(length) if len(length) <= LENGTH_DIGITS else 10**LENGTH_DIGITS


def ends_connection(version: str, options: str) -> bool:
    """Whether a client with the ``Connection`` header ``options`` ends it (RFC 9112, 9.3)."""
    options = options.lower()
    if version == "1.0":
        return options != "keep-alive"
    return options == "close" or ("," in options and "close" in map(str.strip, options.split(",")))


def _check_coding(version: str, coding: str, length: str | None) -> None:
    if length is not None:
        raise BadHead(400, "it has both a Content-Length and a Transfer-Encoding")
    if version == "1.0":
        raise BadHead(400, "HTTP/1.0 knows no Transfer-Encoding")
    codings = {each.strip(" \t").lower() for each in coding.split(",")}
    if codings - {"chunked", ""}:
        raise BadHead(501, "only the transfer coding chunked is understood")
    if coding.lower() != "chunked":
        raise BadHead(400, "the Transfer-Encoding is malformed")


def _split(target: str) -> tuple[str, str, str, str, str]:
    scheme = authority = query = fragment = ""
    path = target
    if target.startswith("/"):
        # Not urlsplit(): it takes what follows "//" for a host.
        path, _, fragment = target.partition("#")
        path, _, query = path.partition("?")
    elif target != "*":
        # RFC 9112, 3.2: nothing else begins otherwise, unless it is for a proxy.
        try:
            scheme, authority, path, query, fragment = urlsplit(target)
        except ValueError as error:
            raise BadHead(400, "the request target is malformed") from error
        if scheme not in _SCHEMES or not authority:
            raise BadHead(400, "the request target is malformed")
    if "%" in path:
        path = unquote_to_bytes(path).decode("latin-1")
    return scheme, authority, path, query, fragment


remembered_lines: Final[dict[bytes, RequestLine]] = {}
"""Request lines that were read before."""
remembered_fields: Final[dict[bytes, Field]] = {}
