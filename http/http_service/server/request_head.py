"""The strict reading of a request's head: what is accepted, and which status refuses the rest.

Everything here is a pure function of bytes (bounded tables remember results, nothing else), and
nothing knows Waitress. What two readers of HTTP may understand differently is refused, because a
proxy in front of us may be the other reader (RFC 9112, 11.2).

:class:`ParseError` is why a request is refused before the application sees it, and its response.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from itertools import filterfalse
from typing import Final, TypeAlias
from urllib.parse import unquote_to_bytes, urlsplit

from http_service.api.api_keys import RELAYED
from http_service.errors import INTERNAL, ErrorReply, reply_for_status

__all__ = [
    "CHUNKED",
    "FIELD_COUNT_LIMIT",
    "UNTRUSTED",
    "ParseError",
    "RequestLine",
    "body_length",
    "ends_connection",
    "read_fields",
    "read_line",
    "refusal",
    "remembered_lines",
]


SHORTAGE: Final = 503

_MESSAGES: Final[Mapping[int, str]] = {
    408: "The request took too long to arrive.",
    413: "The request body exceeds this service's limit.",
    431: "The request line and headers exceed this service's limit.",
    500: INTERNAL,
    501: "This transfer encoding is not supported.",
    505: "This HTTP version is not supported; send HTTP/1.1.",
}


class ParseError(Exception):
    """A request whose bytes are refused, with the attributes of Waitress' own errors.

    ``code`` is the response's status, ``body`` the reason for the client.
    """

    def __init__(self, code: int, body: str) -> None:
        super().__init__(body)
        self.code: Final = code
        self.body: Final = body

    @property
    def reason(self) -> str:
        """The status line's phrase."""
        return HTTPStatus(self.code).phrase

    def to_response(self, ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        """What Waitress' own error task would write: our document, without a product's name."""
        del ident
        body = refusal(self.code, self.body).body()
        return f"{self.code} {self.reason}", [("Content-Type", "application/json")], body


def refusal(status: int, detail: str) -> ErrorReply:
    """The response in OpenAI's shape; ``detail`` is what is wrong, or what is short (503)."""
    message = detail if status == SHORTAGE else _MESSAGES.get(status)
    if message is None:
        message = f"The request is not valid HTTP: {detail}."
    return reply_for_status(status, message)


FIELD_COUNT_LIMIT: Final = 100
"""Header lines of one request; Apache's default. SDKs send about 20."""

CHUNKED: Final = -1
"""The length of a body that comes in chunks."""

LENGTH_DIGITS: Final = 18
"""Digits of a Content-Length that are read: more than any body, fewer than int() minds."""

_LINE: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Z]+) ([\x21-\x7e]+) HTTP/([0-9]\.[0-9])")
# PERF: the methods themselves: each is called for every request.
_match_field: Final = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([\t\x20-\x7e\x80-\xff]*)"
).fullmatch
_match_host: Final = re.compile(r"[A-Za-z0-9\-._~%!$&'()*+,;=:\[\]]*").fullmatch

_VERSIONS: Final = frozenset(("1.0", "1.1"))
_SCHEMES: Final = frozenset(("http", "https"))

_SINGLE: Final[Mapping[str, str]] = {
    "HTTP_HOST": "Host",
    "HTTP_AUTHORIZATION": "Authorization",
    "HTTP_X_API_KEY": "x-api-key",
    "CONTENT_TYPE": "Content-Type",
    "CONTENT_LENGTH": "Content-Length",
}
"""Fields of which a second one is refused: joined by a comma they would mean something else."""

UNTRUSTED: Final = frozenset(
    (
        b"FORWARDED",
        b"X_FORWARDED_BY",
        b"X_FORWARDED_FOR",
        b"X_FORWARDED_HOST",
        b"X_FORWARDED_PORT",
        b"X_FORWARDED_PROTO",
    )
)
"""SECURITY: what a proxy says about a client, and any client can say about itself. Their values are
dropped; that there was one is ``RELAYED``."""

_REMEMBERED: Final = frozenset(
    (
        "CONTENT_TYPE",
        "HTTP_ACCEPT",
        "HTTP_ACCEPT_ENCODING",
        "HTTP_ACCEPT_LANGUAGE",
        "HTTP_CONNECTION",
        "HTTP_HOST",
        "HTTP_USER_AGENT",
        "HTTP_X_STAINLESS_ARCH",
        "HTTP_X_STAINLESS_ASYNC",
        "HTTP_X_STAINLESS_LANG",
        "HTTP_X_STAINLESS_OS",
        "HTTP_X_STAINLESS_PACKAGE_VERSION",
        "HTTP_X_STAINLESS_READ_TIMEOUT",
        "HTTP_X_STAINLESS_RETRY_COUNT",
        "HTTP_X_STAINLESS_RUNTIME",
        "HTTP_X_STAINLESS_RUNTIME_VERSION",
    )
)
"""Fields that clients repeat in every request. SECURITY: never credentials: they are neither kept
in memory nor distinguishable by how long they take."""

REMEMBER_COUNT: Final = 512
"""Entries of each table; a client can fill one, and then it stops helping, nothing more."""

REMEMBER_BYTES: Final = 256
"""The longest line, or name of a field, that is remembered."""

Field: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True)
class RequestLine:
    """A request line, taken apart; ``path`` is unquoted, latin-1 as text.

    ``environ`` is what WSGI's environment has of it. It is shared: copy it, never change it.
    """

    raw: bytes
    method: str
    target: str
    version: str
    scheme: str
    authority: str
    path: str
    query: str
    fragment: str
    environ: Mapping[str, str]


NO_LINE: Final = RequestLine(b"", "", "", "1.0", "", "", "", "", "", {})
"""Of a request whose head was not read."""


def read_line(line: bytes) -> RequestLine:
    """The request line, not looked up in :data:`remembered_lines` but kept there.

    Raises :class:`ParseError` (400, 505).
    """
    match = _LINE.fullmatch(line)
    if match is None:
        raise ParseError(400, "the request line is malformed")
    method, target, version = (part.decode("ascii") for part in match.groups())
    if version not in _VERSIONS:
        raise ParseError(505, "only HTTP/1.1 and HTTP/1.0 are supported")
    scheme, authority, path, query, fragment = _split(target)
    environ = {
        "REQUEST_METHOD": method,
        "SERVER_PROTOCOL": f"HTTP/{version}",
        "PATH_INFO": "/" + path.lstrip("/") if path.startswith("//") else path,
        "REQUEST_URI": target,
        "QUERY_STRING": query,
    }
    read = RequestLine(
        line, method, target, version, scheme, authority, path, query, fragment, environ
    )
    # SECURITY: a query may hold a secret.
    if len(remembered_lines) < REMEMBER_COUNT and len(line) <= REMEMBER_BYTES and not query:
        remembered_lines[line] = read
    return read


def read_fields(lines: list[bytes], into: dict[str, str]) -> None:
    """Add the header ``lines`` to ``into``, which is empty, named as in WSGI's environment.

    A repeated field is joined by ", ". A name with an underscore is left out: it would be taken for
    the one with a hyphen. Raises :class:`ParseError` (400, 431); what was read until then is in
    ``into``.
    """
    if len(lines) > FIELD_COUNT_LIMIT:
        raise ParseError(431, f"more than {FIELD_COUNT_LIMIT} header fields")
    # PERF: lines that were read before are looked up in C, all at once; the others are read here.
    # Whatever is unusual leaves fewer entries than lines, and all are read again, one by one.
    into.update(filter(None, map(remembered_fields.get, lines)))
    relayed_again = 0
    for line in filterfalse(remembered_fields.__contains__, lines):
        match = _match_field(line)
        if match is None:
            break
        name, content = match.groups()
        key = remembered_names.get(name) or _environ_name(name)
        if key is RELAYED:
            relayed_again += RELAYED in into
            into[RELAYED] = "1"
        elif key is None:
            break
        else:
            into[key] = value = content.strip(b" \t").decode("latin-1")
            if key in _REMEMBERED and len(line) <= REMEMBER_BYTES:
                _remember(line, (key, value))
    if len(into) + relayed_again != len(lines):
        into.clear()
        _read_each(lines, into)


def _read_each(lines: list[bytes], into: dict[str, str]) -> None:
    """As :func:`read_fields`, for lines of which some are malformed, repeated or left out."""
    for line in lines:
        match = _match_field(line)
        if match is None:
            folded = line[:1] in (b" ", b"\t")
            raise ParseError(400, "a header is folded" if folded else "a header is malformed")
        name, content = match.groups()
        key = _environ_name(name)
        if key is None:
            continue
        value = content.strip(b" \t").decode("latin-1")
        if key == RELAYED:
            into[key] = "1"
        elif key not in into:
            into[key] = value
        elif key in _SINGLE:
            raise ParseError(400, f"more than one {_SINGLE[key]} header")
        else:
            into[key] += ", " + value


def _environ_name(name: bytes) -> str | None:
    """Where WSGI's environment has the field ``name``; ``None`` if nowhere."""
    if b"_" in name:
        return None
    upper = name.upper().replace(b"-", b"_")
    if upper in UNTRUSTED:
        key = RELAYED
    else:
        plain = upper in (b"CONTENT_TYPE", b"CONTENT_LENGTH")
        key = upper.decode("ascii") if plain else "HTTP_" + upper.decode("ascii")
    if len(remembered_names) < REMEMBER_COUNT and len(name) <= REMEMBER_BYTES:
        remembered_names[name] = key
    return key


def _remember(line: bytes, field: Field) -> None:
    if len(remembered_fields) < REMEMBER_COUNT:
        remembered_fields[line] = field


def body_length(version: str, fields: Mapping[str, str]) -> int:
    """How many bytes follow the head, or ``CHUNKED``. Raises :class:`ParseError` (400, 501)."""
    coding = fields.get("HTTP_TRANSFER_ENCODING")
    length = fields.get("CONTENT_LENGTH")
    if coding is not None:
        _check_coding(version, coding, length)
    host = fields.get("HTTP_HOST")
    if host is None:
        if version == "1.1":
            raise ParseError(400, "there is no Host header")
    elif host not in _sound_hosts:
        if not _match_host(host):
            raise ParseError(400, "the Host header is malformed")
        if len(_sound_hosts) < REMEMBER_COUNT and len(host) <= REMEMBER_BYTES:
            _sound_hosts.add(host)
    if length is None:
        return 0 if coding is None else CHUNKED
    if not (length.isdigit() and length.isascii()):
        raise ParseError(400, "the Content-Length is not a number")
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
        raise ParseError(400, "it has both a Content-Length and a Transfer-Encoding")
    if version == "1.0":
        raise ParseError(400, "HTTP/1.0 has no Transfer-Encoding")
    codings = {each.strip(" \t").lower() for each in coding.split(",")}
    if codings - {"chunked", ""}:
        raise ParseError(501, "the only supported transfer coding is chunked")
    if coding.lower() != "chunked":
        raise ParseError(400, "the Transfer-Encoding is malformed")


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
            raise ParseError(400, "the request target is malformed") from error
        if scheme not in _SCHEMES or not authority:
            raise ParseError(400, "the request target is malformed")
    if "%" in path:
        path = unquote_to_bytes(path).decode("latin-1")
    return scheme, authority, path, query, fragment


_sound_hosts: Final[set[str]] = set()
"""Values of Host that were looked at before."""
remembered_lines: Final[dict[bytes, RequestLine]] = {}
"""Request lines that were read before."""
remembered_fields: Final[dict[bytes, Field]] = {}
"""Header lines that were read before: name in WSGI's environment, and value."""
remembered_names: Final[dict[bytes, str]] = {}
"""Names of fields, as they were sent, that were read before."""
for _common in ("Authorization", "Content-Length", "X-Request-Id"):
    # They differ in every request; no client can fill the table before they are in it.
    _environ_name(_common.encode())
    _environ_name(_common.lower().encode())
