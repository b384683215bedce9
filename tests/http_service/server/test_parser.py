"""The parser as Waitress' channel sees it: whole, in pieces, refused; and what it holds then."""

from __future__ import annotations

import itertools
import json
import tracemalloc
from typing import Any

import pytest
from waitress.adjustments import Adjustments

from http_service.config import HttpServiceConfig
from http_service.server.bodies import SIZE_LINE_LIMIT, TRAILER_LIMIT, ChunkedBody
from http_service.server.limits import HEADER_LIMIT, waitress_settings
from http_service.server.parser import Parser

LIMIT = 1000
HEAD = b"POST /v1/x?y HTTP/1.1\r\nHost: h\r\n"


def parser(body_limit: int = LIMIT) -> Any:
    return Parser(Adjustments(**waitress_settings(HttpServiceConfig(body_limit=body_limit))))


def feed(data: bytes, *cuts: int, body_limit: int = LIMIT) -> tuple[Any, int]:
    """Parse ``data`` cut at ``cuts``; the parser and how many bytes it took."""
    made = parser(body_limit)
    taken = 0
    for begin, end in itertools.pairwise((0, *cuts, len(data))):
        part = data[begin:end]
        while part and not made.completed:
            count = made.received(part)
            taken += count
            part = part[count:]
    return made, taken


def sized(body: bytes) -> bytes:
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


def test_a_whole_request_is_taken_at_once() -> None:
    body = json.dumps({"a": "b"}).encode()
    made = parser()

    assert made.received(sized(body) + b"GET") == len(sized(body))
    assert made.completed
    assert made.error is None
    assert (made.command, made.path, made.query, made.version) == ("POST", "/v1/x", "y", "1.1")
    assert made.headers == {"HTTP_HOST": "h", "CONTENT_LENGTH": str(len(body))}
    assert made.get_body_stream().read() == body
    assert made.received(b"more") == 0


def test_every_cut_of_a_request_reads_the_same() -> None:
    data = sized(b"0123456789")
    for cut in range(1, len(data)):
        made, taken = feed(data + b"GET", cut)
        assert taken == len(data), cut
        assert made.get_body_stream().read() == b"0123456789", cut
        assert made.headers["HTTP_HOST"] == "h"


def test_a_chunked_body_becomes_one_with_a_length() -> None:
    data = HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;a=b\r\n!\r\n0\r\nX: y\r\n\r\n"
    for cut in range(1, len(data)):
        made, taken = feed(data + b"GET", cut)
        assert made.completed, cut
        assert made.error is None, cut
        assert taken == len(data)
        assert made.get_body_stream().read() == b"hello!"
        assert made.headers == {"HTTP_HOST": "h", "CONTENT_LENGTH": "6"}


def test_an_empty_line_before_a_request_is_overlooked_and_other_blanks_are_not() -> None:
    assert feed(b"\r\nGET / HTTP/1.0\r\n\r\n")[0].path == "/"
    assert feed(b"\r\n\r\n")[0].empty
    for blank in (b" ", b"\t", b"\n", b"\r", b"\x0b"):
        assert feed(blank + b"GET / HTTP/1.0\r\n\r\n")[0].error.code == 400


REFUSED: list[tuple[str, bytes, int]] = [
    ("length and coding", HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    ("1.0 and coding", b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    ("chunked twice", HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n", 400),
    (
        "chunked in two lines",
        HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        400,
    ),
    ("another coding", HEAD + b"Transfer-Encoding: gzip\r\n\r\n", 501),
    ("two hosts", HEAD + b"Host: i\r\n\r\n", 400),
    ("two keys", HEAD + b"Authorization: a\r\nAuthorization: b\r\n\r\n", 400),
    ("two types", HEAD + b"Content-Type: a\r\nContent-Type: a\r\n\r\n", 400),
    ("no host", b"GET / HTTP/1.1\r\n\r\n", 400),
    ("a folded header", HEAD + b"X: a\r\n b\r\n\r\n", 400),
    ("version 2.0", b"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505),
    ("the HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ("too many headers", HEAD + b"X: y\r\n" * 100 + b"\r\n", 431),
    ("headers too long", HEAD + b"X: " + b"y" * HEADER_LIMIT + b"\r\n\r\n", 431),
    ("endless headers", HEAD + b"X: " + b"y" * HEADER_LIMIT, 431),
    ("a null byte", HEAD + b"X: \0\r\n\r\n", 400),
    ("a bare CR", HEAD + b"X: a\rb\r\n\r\n", 400),
    ("a bare LF", HEAD + b"X: a\nb\r\n\r\n", 400),
    ("a length over the limit", HEAD + b"Content-Length: 1001\r\n\r\n", 413),
    ("an absurd length", HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", 413),
]


@pytest.mark.parametrize(
    ("data", "status"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_a_bad_head_is_refused_however_it_is_cut(data: bytes, status: int) -> None:
    for cuts in ((), (1,), (len(data) // 2,), range(1, min(len(data), 400))):
        made, _ = feed(data, *cuts)
        assert made.completed
        assert made.error.code == status
        assert not made.expect_continue
        assert len(made.get_body_stream().read()) == 0


def chunked(data: bytes, body_limit: int = LIMIT) -> Any:
    return feed(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + data, body_limit=body_limit)[0]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"zz\r\n", 400),
        (b"\r\n", 400),
        (b" 5\r\nhello\r\n0\r\n\r\n", 400),
        (b"5 \r\nhello\r\n0\r\n\r\n", 400),
        (b"5\nhello\r\n0\r\n\r\n", 400),
        (b"0x5\r\nhello\r\n0\r\n\r\n", 400),
        (b"+5\r\nhello\r\n", 400),
        (b"5\r\nhello!\r\n0\r\n\r\n", 400),
        (b"5\r\nhello\n0\r\n\r\n", 400),
        (b"5\r\nhello!", 400),
        (b"5\r\nhello\r!", 400),
        (b'5;3"b"\r\nhello\r\n', 400),
        (b"5\r\nhello\r\n\r\n0\r\n\r\n", 400),
        (b"5;\0\r\nhello\r\n", 400),
        (b"5;" + b"x" * SIZE_LINE_LIMIT, 400),
        (b"0\r\nbad\r\n\r\n", 400),
        (b"0\r\nX: y\n\r\n\r\n", 400),
        (b"3e9\r\n", 413),
        (b"FFFFFFFFFFFFFFFF\r\n", 413),
        (b"FFFFFFFFFFFFFFFFF\r\n", 400),
    ],
)
def test_a_bad_chunk_is_refused_as_soon_as_it_is_seen(data: bytes, status: int) -> None:
    assert chunked(data).error.code == status


def test_endless_trailers_are_refused() -> None:
    made = chunked(b"0\r\n" + b"X: y\r\n" * TRAILER_LIMIT, body_limit=10**6)

    assert made.error.code == 400
    assert chunked(b"0\r\n" + b"x" * 2 * TRAILER_LIMIT, body_limit=10**6).error.code == 400


def test_a_chunk_that_would_pass_the_limit_is_refused_before_its_data_comes() -> None:
    made = chunked(b"3e8\r\n" + b"x" * 500)

    assert chunked(b"3e9\r\n").error.code == 413
    assert made.error is None


@pytest.mark.parametrize(("limit", "size"), [(1, 1), (LIMIT, 10), (LIMIT, LIMIT)])
def test_a_chunked_body_of_exactly_the_limit_is_accepted(limit: int, size: int) -> None:
    data = (b"%x\r\n%b\r\n" % (size, b"x" * size)) * (limit // size)
    made = chunked(data + b"0\r\n\r\n", body_limit=limit)

    assert made.completed
    assert made.error is None
    assert len(made.get_body_stream().read()) == limit


def test_many_tiny_chunks_count_with_their_framing() -> None:
    assert chunked(b"1\r\nx\r\n" * LIMIT).error.code == 413


def test_a_body_that_is_all_here_needs_no_continue() -> None:
    asks = b"Expect: 100-continue\r\n"
    head = HEAD + asks + b"Content-Length: 2\r\n\r\n"

    assert feed(head)[0].expect_continue
    assert not feed(head + b"ab")[0].expect_continue
    assert not feed(HEAD + asks + b"\r\n")[0].expect_continue


def test_an_announced_body_costs_nothing_until_it_comes() -> None:
    size = 40 * 1024 * 1024
    tracemalloc.start()
    try:
        held = [
            feed(HEAD + b"Content-Length: %d\r\n\r\nx" % size, body_limit=size)[0]
            for _ in range(50)
        ]
        assert tracemalloc.get_traced_memory()[1] < 1024 * 1024
    finally:
        tracemalloc.stop()
    assert not any(each.completed for each in held)


def test_a_refused_flood_of_headers_is_dropped() -> None:
    tracemalloc.start()
    try:
        held = [feed(b"GET / HTTP/1.1\r\nX: " + b"y" * 2**20, 1)[0] for _ in range(50)]
        assert tracemalloc.get_traced_memory()[0] < 1024 * 1024
    finally:
        tracemalloc.stop()
    assert all(each.error.code == 431 for each in held)


def test_a_large_chunked_body_is_read_whole() -> None:
    body = bytes(range(256)) * 400
    receiver = ChunkedBody(len(body))
    wire = b"".join(
        b"%x\r\n%s\r\n" % (len(part), part)
        for part in (body[start : start + 999] for start in range(0, len(body), 999))
    )
    for start in range(0, len(wire), 7):
        part = wire[start : start + 7]
        assert receiver.received(part) == len(part)
    assert receiver.received(b"0\r\n\r\nGET") == 5
    assert receiver.completed
    assert receiver.getfile().read() == body
