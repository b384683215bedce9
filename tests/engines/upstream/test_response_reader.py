"""HTTP answers are read strictly, in whatever pieces they come, and as h11 reads them."""

from __future__ import annotations

from itertools import pairwise

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.engines.upstream.connection import ResponseReader
from tests.engines.raw_server import LAST_CHUNK, answer, capture, chunked

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\n"


def read(*pieces: bytes, end: bool = False) -> tuple[ResponseReader, bytes]:
    reader, body = ResponseReader(), b""
    for piece in pieces:
        body += reader.feed(piece)
    if end:
        reader.end()
    return reader, body


WHOLE: dict[str, tuple[bytes, bytes]] = {
    "a length": (answer(200, b"hello"), b"hello"),
    "no body": (answer(200, b""), b""),
    "chunks": (CHUNKED + chunked(b"hel") + chunked(b"lo") + LAST_CHUNK, b"hello"),
    "a chunk extension": (CHUNKED + b"5;a=b\r\nhello\r\n" + LAST_CHUNK, b"hello"),
    "a trailer": (CHUNKED + chunked(b"hello") + b"0\r\nx: y\r\n\r\n", b"hello"),
    "an empty header": (answer(200, b"hello", "access-control-allow-origin: "), b"hello"),
    "after 100": (b"HTTP/1.1 100 Continue\r\n\r\n" + answer(200, b"hello"), b"hello"),
    "after 103": (b"HTTP/1.1 103 X\r\nlink: x\r\n\r\n" + answer(200, b"hello"), b"hello"),
    "no reason": (b"HTTP/1.1 200\r\ncontent-length: 5\r\n\r\nhello", b"hello"),
    "no content": (b"HTTP/1.1 204 X\r\n\r\n", b""),
}


@pytest.mark.parametrize(("data", "body"), WHOLE.values(), ids=WHOLE)
def test_a_whole_answer_is_read_and_its_connection_may_be_used_again(
    data: bytes, body: bytes
) -> None:
    reader, said = read(data)
    assert (reader.error, reader.complete, reader.reusable) == (None, True, True)
    assert said == body
    assert reader.status in (200, 204)
    assert b"link" not in reader.headers


@pytest.mark.parametrize(("data", "body"), WHOLE.values(), ids=WHOLE)
def test_an_answer_may_come_byte_by_byte(data: bytes, body: bytes) -> None:
    reader, said = read(*[bytes([byte]) for byte in data])
    assert (reader.error, reader.complete, reader.reusable, said) == (None, True, True, body)


@pytest.mark.parametrize(("data", "body"), WHOLE.values(), ids=WHOLE)
def test_an_answer_that_is_cut_anywhere_never_looks_complete(data: bytes, body: bytes) -> None:
    for length in range(len(data)):
        reader, said = read(data[:length], end=True)
        assert not reader.complete
        assert body.startswith(said)


def test_an_answer_without_length_ends_with_its_connection() -> None:
    reader, said = read(UNTIL_CLOSE, b"hel", b"lo")
    assert not reader.complete
    reader.end()
    assert (reader.complete, reader.reusable, said) == (True, False, b"hello")


@pytest.mark.parametrize(
    "data",
    [
        answer(200, b"hello", "connection: close"),
        b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        answer(200, b"hello") + b"x",
        answer(200, b"hello") + answer(200, b"again"),
        answer(200, b"hello", "connection: close") + b"x",
    ],
)
def test_a_connection_that_says_so_or_says_too_much_is_not_used_again(data: bytes) -> None:
    reader, said = read(data)
    assert (reader.error, reader.complete, reader.reusable, said) == (None, True, False, b"hello")


BROKEN: dict[str, bytes] = {
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "a bare line feed": b"HTTP/1.1 200 OK\ncontent-length: 0\n\n",
    "two lengths": answer(200, b"hello", "content-length: 6"),
    "a length beside chunks": answer(200, b"hello", "transfer-encoding: chunked"),
    "a negative length": b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
    "a folded header": b"HTTP/1.1 200 OK\r\na: b\r\n\tc\r\nd\r\n\r\n",
    "a space before the colon": b"HTTP/1.1 200 OK\r\na : b\r\n\r\n",
    "a NUL": b"HTTP/1.1 200 OK\r\na: \x00\r\n\r\n",
    "a chunk size that is none": CHUNKED + b"zz\r\n",
    "a chunk longer than its size": CHUNKED + b"1\r\nhello\r\n",
    "two heads": CHUNKED + CHUNKED,
    "an upgrade": b"HTTP/1.1 101 X\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    "a head of 10 MiB": b"HTTP/1.1 200 OK\r\n" + b"a: %s\r\n" % (b"x" * 10 * 1024 * 1024),
    "an endless status line": b"HTTP/1.1 200 " + b"x" * 100_000,
    "endless 1xx heads": b"HTTP/1.1 100 X\r\n\r\n" * 5_000,
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_what_is_no_answer_is_refused(data: bytes) -> None:
    pieces = [data[at : at + 65_536] for at in range(0, len(data), 65_536)]
    reader = ResponseReader()
    for piece in pieces:
        reader.feed(piece)
        if reader.error is not None:
            break
    assert reader.error is not None
    assert not reader.complete


def test_the_next_answer_begins_afresh() -> None:
    reader = ResponseReader()
    reader.feed(answer(404, b"no", "x: y"))
    reader.begin()
    body = reader.feed(answer(200, b"yes"))
    assert (reader.status, body, reader.headers) == (
        200, b"yes", {b"content-length": b"3"},
    )  # fmt: skip


@pytest.mark.parametrize(
    "name", ["capture_stream.txt", "capture_lcp_stream.txt", "capture_unary_raw.txt"]
)
def test_a_real_answer_is_read(name: str) -> None:
    reader, body = read(capture(name))
    assert (reader.status, reader.complete, reader.reusable) == (200, True, False)
    assert body.endswith((b"[DONE]\n\n", b"}"))


# Beside h11, which is written from the RFC alone


def as_h11_reads(data: bytes) -> tuple[int, bytes] | None:
    """Status and body of the one whole answer in ``data``, ``None`` if h11 sees none."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="POST", target="/", headers=[("host", "x")]))
    connection.send(h11.EndOfMessage())
    status, body = 0, b""
    try:
        connection.receive_data(data)
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return status, body
            elif event in (h11.NEED_DATA, h11.PAUSED) or isinstance(event, h11.ConnectionClosed):
                return None
    except h11.RemoteProtocolError:
        return None


parts = st.lists(
    st.sampled_from(
        [
            b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 X\r\n\r\n", b"HTTP/1.0 200 OK\r\n",
            b"content-length: 5\r\n", b"content-length: 3\r\n", b"Transfer-Encoding: chunked\r\n",
            b"transfer-encoding: gzip, chunked\r\n", b"connection: close\r\n", b"a: b\r\n",
            b"a:\r\n", b" folded\r\n", b"a : b\r\n", b"\r\n", b"\n", b"hello", b"5\r\nhello\r\n",
            b"3\r\nabc\r\n", b"0\r\n\r\n", b"0\r\nx: y\r\n\r\n", b"5;x\r\nhello\r\n",
            b"\x00", b"5 \r\nhello\r\n", b"-1\r\n", b"0x5\r\nhello\r\n", b"05\r\nhello\r\n",
        ]
    ),
    max_size=9,
).map(b"".join)  # fmt: skip
heads = st.sampled_from(
    [b"content-length: 5\r\n\r\n", b"transfer-encoding: chunked\r\n\r\n", b"\r\n", b"a: b\r\n"]
)
likely = st.tuples(st.just(b"HTTP/1.1 200 OK\r\n"), heads, parts).map(b"".join)


@given(parts | likely, st.lists(st.integers(0, 200), max_size=4))
def test_whatever_is_read_as_whole_h11_reads_the_same(data: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(data)]
    reader, body = read(*[data[a:b] for a, b in pairwise(edges)])
    if reader.complete:
        assert as_h11_reads(data) == (reader.status, body)


@given(st.binary(max_size=300))
def test_no_bytes_can_make_the_reading_fail(data: bytes) -> None:
    reader, _ = read(data, b"HTTP/1.1 200 OK\r\n\r\n", data, end=True)
    assert reader.error is None or not reader.complete
