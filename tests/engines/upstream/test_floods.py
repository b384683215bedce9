"""An upstream that sends without end, and says nothing, is given up: in each phase of the grammar.

Pure where it can be: the same bytes, in one flood or in drops, to what reads them.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, repeat

import pytest

from actors.engines import EngineUnavailable
from actors.engines.sse import MAX_EVENT_BYTES, SseFrames
from actors.engines.upstream import UpstreamEngine
from actors.engines.upstream.call import response_for
from actors.engines.upstream.connection import Connection, ResponseReader
from actors.engines.upstream.connection_pool import ConnectionPool
from actors.engines.upstream.dial import Place
from actors.engines.upstream.names import Names
from actors.engines.upstream.response import Expected, Whole
from actors.engines.upstream.stream_relay import StreamRelay
from actors.eventloop import EventLoop
from tests.engines.asking import ask, chat
from tests.engines.raw_server import LAST_CHUNK, STREAM_HEAD, Line, RawServer, chunked
from tests.engines.recording import RecordingSink
from tests.engines.subjects import FINISH, event, token

ENOUGH = 4 * 1024 * 1024
"""Bytes after which everybody has to have had enough; nothing here is output."""

CHUNKED = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)
UNARY = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
BEGUN = CHUNKED + chunked(event(token("a")))

PHASES: dict[str, tuple[bytes, bytes]] = {
    "blank lines before the head": (b"", b"\r\n"),
    "carriage returns before the head": (b"", b"\r"),
    "line feeds before the head": (b"", b"\n"),
    "1xx heads": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "1xx heads with headers": (b"", b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"),
    "a reason": (b"HTTP/1.1 200 ", b"OK "),
    "header lines": (b"HTTP/1.1 200 OK\r\n", b"a: b\r\n"),
    "a header's name": (b"HTTP/1.1 200 OK\r\n", b"name"),
    "a header's value": (b"HTTP/1.1 200 OK\r\na: ", b"value"),
    "zeros of a chunk's size": (UNARY, b"0"),
    "a chunk's extension": (UNARY + b"1;", b"x"),
    "extensions of small chunks": (UNARY, b"1;" + b"x" * 200 + b"\r\n[\r\n"),
    "a trailer's value": (UNARY + chunked(b"{}") + b"0\r\na: ", b"b"),
    "trailers": (UNARY + chunked(b"{}") + b"0\r\n", b"a: b\r\n"),
    "trailers of a stream": (BEGUN + b"0\r\n", b"a: b\r\n"),
    "blank lines of a stream": (CHUNKED, chunked(b"\n\n")),
    "empty comments": (CHUNKED, chunked(b":\n\n" * 100)),
    "long comments": (CHUNKED, chunked(b": " + b"x" * 2_000 + b"\n\n")),
    "comments after a token": (BEGUN, chunked(b": ping\r\n\r\n" * 50)),
    "events without data": (BEGUN, chunked(b"event: ping\n\n" * 50)),
    "empty data": (BEGUN, chunked(b"data:\n\n" * 50)),
    "unknown fields": (BEGUN, chunked(b"x\n\n" * 50)),
    "retry fields": (BEGUN, chunked(b"retry: 1\n\n" * 50)),
}


def flood(first: bytes, again: bytes) -> Iterator[bytes]:
    """As the kernel hands it over: 64 KiB at a time."""
    yield first
    many = again * (65_536 // len(again) + 1)
    yield from repeat(many, ENOUGH // len(many))


def drops(first: bytes, again: bytes) -> Iterator[bytes]:
    """A few bytes at a time."""
    return chain([first], repeat(again, ENOUGH // len(again)))


def read(pieces: Iterator[bytes], *, stream: bool) -> int:
    """How many bytes were read until somebody had enough; raises if nobody ever has."""
    reader, sink, body, size = ResponseReader(), RecordingSink(), None, 0
    for piece in pieces:
        size += len(piece)
        data = reader.feed(piece)
        if reader.has_head and body is None:
            expected = Expected(stream=stream, raw=True)
            body = response_for(reader.status, reader.headers, sink, expected)
        try:
            if body is not None and data:
                body.feed(data)
        except EngineUnavailable:
            return size
        if reader.error is not None:
            return size
    raise AssertionError("nobody had enough")


@pytest.mark.parametrize("arrives", [flood, drops], ids=["flood", "drops"])
@pytest.mark.parametrize("phase", PHASES)
def test_what_never_says_anything_is_given_up(phase: str, arrives: type) -> None:
    first, again = PHASES[phase]
    assert read(arrives(first, again), stream=UNARY not in first) < ENOUGH


@pytest.mark.parametrize("phase", ["1xx heads", "trailers", "blank lines of a stream"])
def test_whoever_floods_a_socket_is_hung_up_on(phase: str) -> None:
    first, again = PHASES[phase]

    def script(line: Line) -> None:
        line.hear()
        line.say(first)
        while True:  # until the connection is reset
            line.say(again * 1_000)

    with RawServer(script) as server:
        engine = UpstreamEngine(server.url)
        sink = ask(engine, chat(stream=UNARY not in first))
        assert isinstance(sink.error, EngineUnavailable)
        assert engine.close()


def test_few_of_many_comments_of_one_read_are_passed_on() -> None:
    sink = RecordingSink()
    relay = StreamRelay(sink, raw=True)
    relay.feed(b": ping\n\n" * 10_000 + event(token("a")))
    assert len(sink.chunks) < 20
    assert sink.text() == "a"


@pytest.mark.parametrize("ping", [b": ping\n\n", b":" + b" " * 4_096 + b"\n\n", b"\r\n"])
def test_a_server_that_pings_for_an_hour_is_not_given_up(ping: bytes) -> None:
    sink = RecordingSink()
    relay = StreamRelay(sink, raw=True)
    for _ in range(3):
        for _ in range(60):
            relay.feed(ping)
        relay.feed(event(token("a")))
    assert sink.text() == "aaa"


@pytest.mark.parametrize("size", [1, 7, 65_536])
def test_an_answer_in_the_smallest_chunks_is_read(size: int) -> None:
    data = b"".join(chunked(b"[") for _ in range(100_000)) + LAST_CHUNK
    reader, read = ResponseReader(), 0
    reader.feed(UNARY)
    for at in range(0, len(data), size):
        read += len(reader.feed(data[at : at + size]))
    assert (read, reader.complete, reader.error) == (100_000, True, None)


def test_an_event_may_be_as_long_as_a_whole_answer() -> None:
    long = event(token("x" * (MAX_EVENT_BYTES - 1_000)))
    whole = STREAM_HEAD + chunked(long) + chunked(event(FINISH) + event("[DONE]")) + LAST_CHUNK

    def script(line: Line) -> None:
        line.hear()
        line.say(whole)

    with RawServer(script) as server:
        engine = UpstreamEngine(server.url)
        sink = ask(engine, chat())
        assert sink.ends == ["finish"]
        assert sum(len(chunk) for chunk in sink.chunks) > MAX_EVENT_BYTES - 1_000
        assert engine.close()


@pytest.mark.parametrize("piece", [b"x" * 10, b"\rx", b"\nx", b"data: x\r\n"])
def test_a_long_event_in_small_pieces_is_looked_at_once(piece: bytes) -> None:
    """Counted, not timed: how many bytes are copied or searched for each that arrives."""
    frames = SseFrames()
    buffer = frames.buffer
    for number in range(1, 10_000):
        assert frames.feed(piece) == b""
        assert frames.buffer is buffer, "it grows in place"
        searched = frames._searched  # pyright: ignore[reportPrivateUsage]  # nobody else tells
        assert searched >= number * len(piece) - 4
    assert frames.feed(b"\n\n\n")


@pytest.mark.parametrize("size", [1, 10, 511, 512, 5_000])
def test_a_whole_answer_in_small_pieces_takes_no_more_memory_than_its_bytes(size: int) -> None:
    sink, answer = RecordingSink(), b'{"choices": [], "pad": "%s"}' % (b"x" * 50_000)
    whole = Whole(sink)
    for at in range(0, len(answer), size):
        whole.feed(answer[at : at + size])
    pieces = whole._pieces  # pyright: ignore[reportPrivateUsage]  # how many objects there are
    assert len(pieces) <= len(answer) / 512 + 2
    whole.end()
    assert sink.body == answer


class Slow:
    """A user of a connection for whom each byte takes a microsecond of the loop's clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.cost = 1e-6
        self.read: list[int] = []

    def received(self, connection: Connection, body: bytes) -> None:
        self.read.append(len(body))
        self.now += len(body) * self.cost

    def lost(self, connection: Connection, error: BaseException | None) -> None:
        raise AssertionError(error)


def test_a_connection_whose_bytes_take_long_is_given_fewer_at_a_time() -> None:
    import socket

    slow = Slow()
    loop = EventLoop(clock=lambda: slow.now, autostart=False)
    pool = ConnectionPool(loop, Names(), Place("127.0.0.1", 1, None))
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    connection = pool.add(ours)
    connection.user = slow
    theirs.send(b"HTTP/1.1 200 OK\r\n\r\n")
    loop.step(0)

    def rounds(number: int) -> list[int]:
        slow.read.clear()
        while len(slow.read) < number:
            theirs.setblocking(False)
            try:
                while True:
                    theirs.send(b"x" * 65_536)
            except BlockingIOError:
                pass
            loop.step(0)
        return slow.read

    assert min(rounds(10)) <= 4_096
    assert max(rounds(5)) * slow.cost < 0.006
    slow.cost = 0.0
    assert rounds(20)[-1] > 16_384, "its share grows again"
    connection.close()
    theirs.close()
    loop.close()
