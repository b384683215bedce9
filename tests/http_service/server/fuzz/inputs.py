"""What is fed to the parsers: requests from a grammar of good, odd and bad parts, then mutated."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Final

__all__ = ["Case", "make_case"]

LINES: Final = (
    b"GET / HTTP/1.1",
    b"POST /v1/chat/completions HTTP/1.1",
    b"POST /v1/completions?a=b&c=%20d#e HTTP/1.1",
    b"GET /v1/models/a%2Fb%C3%A9 HTTP/1.0",
    b"POST http://host:80/x?y HTTP/1.1",
    b"OPTIONS * HTTP/1.1",
    b"GET //h/x?y#z HTTP/1.1",
    b"GET /a;b HTTP/1.1",
    b"GET a:b/c HTTP/1.1",
    b"CONNECT h:443 HTTP/1.1",
    b"GET / HTTP/2.0",
    b"GET /",
    b"get / HTTP/1.1",
    b"GET  / HTTP/1.1",
    b"GET http://[x/ HTTP/1.1",
    b"GET /\xc3\xa9 HTTP/1.1",
    b"GET / HTTP/1.1 ",
)
FIELDS: Final = (
    b"Host: h",
    b"Host: [::1]:80",
    b"Host: a b",
    b"Host:",
    b"Accept: */*",
    b"accept:\ttext/plain \t",
    b"Authorization: Bearer k",
    b"Content-Type: application/json",
    b"Connection: close",
    b"Connection: Keep-Alive",
    b"Expect: 100-continue",
    b"X-Empty:",
    b"X-Obs: \xe9\xff",
    b"X_Under: y",
    b"Content_Length: 3",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: Chunked",
    b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding:",
    b"Transfer-Encoding : chunked",
    b"Content-Length: 0",
    b"Content-Length: +4",
    b"Content-Length: 4, 4",
    b"Content-Length: 99999999",
    b"Content-Length:" + b"9" * 4400,
    b" folded",
    b"\tfolded",
    b"X: a\x00b",
    b"X: a\rb",
    b"X: a\nb",
    b"no colon",
    b": no name",
    b"X: " + b"y" * 300,
)
SPECIAL: Final = b"\r\n\t :;,0123456789aAfF\x00\x0b\x7f\x85\xff"


class Case:
    """One connection's bytes, and where they are cut into reads."""

    __slots__ = ("cuts", "data")

    def __init__(self, data: bytes, cuts: list[int]) -> None:
        self.data = data
        self.cuts = cuts

    @property
    def reads(self) -> list[bytes]:
        """The bytes as they arrive."""
        edges = [0, *self.cuts, len(self.data)]
        return [self.data[a:b] for a, b in pairwise(edges) if a < b]


def make_case(random: Random) -> Case:
    """One to three pipelined requests, mutated or not, cut anywhere."""
    data = b"".join(_request(random) for _ in range(random.choice((1, 1, 2, 3))))
    for _ in range(random.choice((0, 0, 0, 1, 1, 2, 5))):
        data = _mutated(random, data)
    count = random.choice((0, 0, 1, 2, 5))
    if random.random() < 0.02:
        return Case(data, [*range(1, len(data))])
    return Case(data, sorted(random.randrange(1, len(data) + 1) for _ in range(count)))


def _request(random: Random) -> bytes:
    good = random.random() < 0.5
    line = random.choice(LINES[:4] if good else LINES)
    fields = [b"Host: h"] if random.random() < 0.9 else []
    fields += random.choices(FIELDS[4:15] if good else FIELDS, k=random.randrange(6))
    body = b""
    kind = random.random()
    if kind < 0.4:
        body = bytes(random.choices(b"ab{}\r\n:", k=random.choice((0, 1, 4, 30, 900))))
        fields.append(b"Content-Length: %d" % len(body))
    elif kind < 0.7:
        body = _chunked(random)
        fields.append(b"Transfer-Encoding: chunked")
    if random.random() < 0.3:
        random.shuffle(fields)
    blank = random.choice((b"", b"", b"", b"\r\n", b"\n", b" ")) if random.random() < 0.1 else b""
    return blank + b"\r\n".join([line, *fields]) + b"\r\n\r\n" + body


def _chunked(random: Random) -> bytes:
    chunks: list[bytes] = []
    for _ in range(random.randrange(4)):
        data = bytes(random.choices(b"xy\r\n0", k=random.choice((1, 3, 17, 200))))
        size = random.choice((b"%x", b"%X", b"0%x", b"%x;a=b", b'%x;a="b"', b"%x;a"))
        chunks.append(size % len(data) + b"\r\n" + data + b"\r\n")
    chunks.append(
        random.choice((b"0\r\n\r\n", b"0\r\n\r\n", b"00\r\nX: y\r\n\r\n", b"0;a\r\n\r\n"))
    )
    return b"".join(chunks)


def _mutated(random: Random, data: bytes) -> bytes:
    at = random.randrange(len(data) + 1)
    end = min(len(data), at + random.choice((1, 1, 2, 8)))
    kind = random.randrange(5)
    if kind == 0:
        return data[:at] + data[end:] or b"\r"
    if kind == 1:
        return data[:at] + bytes((random.choice(SPECIAL),)) + data[at:]
    if kind == 2:
        return data[:at] + bytes((random.choice(SPECIAL),)) + data[end:]
    if kind == 3:
        return data[:at] + data[at:end] * 2 + data[end:]
    return data[:at] + bytes((random.randrange(256),)) + data[end:]
