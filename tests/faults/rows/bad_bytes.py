"""What no client should send: the bytes of rows 28 and 29, each with the answers it may get."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

__all__ = ["BAD_JSON", "BAD_REQUESTS", "LENIENT", "REFUSED", "Case", "requests_for"]

Case = tuple[str, bytes]
"""A name, and the bytes of a body (of a whole request, in :data:`BAD_REQUESTS`)."""

PATH: Final = b"/v1/chat/completions"
HEAD: Final = (
    b"POST " + PATH + b" HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
)
MODEL: Final = b"@model@"
"""Stands for the name of a model in the bodies below."""
GOOD: Final = b'{"model":"@model@","messages":[{"role":"user","content":"a"}]}'


def _length(body: bytes, length: int | None = None) -> bytes:
    return b"Content-Length: %d\r\n\r\n" % (len(body) if length is None else length) + body


BAD_REQUESTS: Final = (
    ("body announced as 10 GB", HEAD + _length(b"x", 10_000_000_000)),
    ("100 KB of header", HEAD + b"X-A: " + b"a" * 100_000 + b"\r\n" + _length(GOOD)),
    ("1000 headers", HEAD + b"".join(b"X-%d: a\r\n" % n for n in range(5000)) + _length(GOOD)),
    ("no such chunk size", HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"),
    ("negative chunk size", HEAD + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n"),
    (
        "content length and chunked",
        HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    ),
    ("two lengths", HEAD + b"Content-Length: 5\r\n" + _length(GOOD)),
    ("length is no number", HEAD + b"Content-Length: five\r\n\r\nhello"),
    ("negative length", HEAD + b"Content-Length: -1\r\n\r\n"),
    ("unknown coding", HEAD + b"Transfer-Encoding: gzip\r\n\r\nhello"),
    ("no request line", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    ("header without colon", HEAD + b"Nonsense\r\n" + _length(GOOD)),
    ("space before colon", HEAD + b"X-A : b\r\n" + _length(GOOD)),
    ("header that goes on", HEAD + b"X-A: b\r\n\tc\r\n" + _length(GOOD)),
)
"""Requests that HTTP forbids, or that are too large."""

REFUSED: Final = frozenset({0, 200, 400, 404, 411, 413, 414, 415, 431, 501})
"""Statuses that are an answer to such a request: refused, or a form that HTTP lets pass.

0 is a connection closed without a word; 404 because no model is named :data:`MODEL`.
"""


def requests_for(model: str, cases: Iterable[Case]) -> tuple[Case, ...]:
    """Whole requests about ``model`` with these bodies."""
    named = ((name, body.replace(MODEL, model.encode())) for name, body in cases)
    return tuple((name, HEAD + b"Connection: close\r\n" + _length(body)) for name, body in named)


def _asked(text: str) -> bytes:
    return b'{"model":"@model@","messages":[{"role":"user","content":%s}]}' % text.encode()


BAD_JSON: Final = (
    ("not JSON", b"{not json"),
    ("empty", b""),
    ("half", GOOD[:-10]),
    ("invalid UTF-8", GOOD.replace(b'"a"', b'"\xff\xfe"')),
    ("NUL", GOOD.replace(b'"a"', b'"\0"')),
    ("depth 10^5", b"[" * 100_000 + b"]" * 100_000),
    ("deep object", b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    ("number of 10^6 digits", GOOD[:-1] + b',"max_tokens":' + b"9" * 1_000_000 + b"}"),
    ("float beyond range", GOOD[:-1] + b',"temperature":1e999}'),
    ("NaN", GOOD[:-1] + b',"temperature":NaN}'),
    ("a list", b"[]"),
    ("null", b"null"),
    ("a number", b"7"),
    ("messages is a text", b'{"model":"@model@","messages":"hello"}'),
    ("messages is empty", b'{"model":"@model@","messages":[]}'),
    ("model is a number", b'{"model":7,"messages":[{"role":"user","content":"a"}]}'),
    ("lone surrogate", _asked(json.dumps("\ud800"))),
    ("no model", b'{"messages":[{"role":"user","content":"a"}]}'),
    ("stream is a text", GOOD[:-1] + b',"stream":"yes"}'),
)
"""Bodies that are no valid request: 400 each, in OpenAI's shape."""

LENIENT: Final = (
    ("duplicate keys", GOOD[:-1] + b',"model":"@model@"}'),
    ("byte order mark", b"\xef\xbb\xbf" + GOOD),
    ("white space around", b" \r\n\t" + GOOD + b"\n"),
)
"""Bodies that some accept and some don't: 200 or 400, never 500."""
