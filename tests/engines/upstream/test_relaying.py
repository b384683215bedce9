"""The relay on the wire: real streams, back-pressure, long requests."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from actors.engines import Context, EngineRequest
from actors.engines.upstream import UpstreamEngine
from tests.engines.asking import ask, chat, complete
from tests.engines.raw_server import (
    LAST_CHUNK,
    STREAM_HEAD,
    Line,
    RawServer,
    answer,
    capture,
    chunked,
    says,
    says_once,
)
from tests.engines.recording import DEADLINE, RecordingSink, wait_until
from tests.engines.relaying import AT_ONCE, STREAM, relay
from tests.engines.subjects import FINISH, event, token

# Captures: everything passes but the end marker

CAPTURES: dict[str, tuple[EngineRequest, int, int]] = {
    # bytes passed on, tokens
    "capture_stream.txt": (chat(), 2819, 7),
    "capture_stream_ping.txt": (chat(), 1826, 3),
    "capture_completions_stream.txt": (complete(), 2076, 6),
    "capture_lcp_stream.txt": (chat(), 2267, 7),
}


@pytest.mark.parametrize("name", CAPTURES)
def test_a_real_stream_is_relayed_byte_for_byte(name: str) -> None:
    asked, size, tokens = CAPTURES[name]
    sink, _ = relay(says_once(capture(name)), asked)
    said = b"".join(chunk for chunk in sink.chunks if isinstance(chunk, bytes))
    assert sink.ends == ["finish"]
    assert (len(said), sum(sink.tokens)) == (size, tokens)


@pytest.mark.parametrize(
    ("name", "size"), [("capture_unary_raw.txt", 645), ("capture_lcp_unary_raw.txt", 341)]
)
def test_a_real_unary_answer_is_relayed_byte_for_byte(name: str, size: int) -> None:
    sink, _ = relay(says_once(capture(name)), chat(stream=False))
    assert sink.body is not None
    assert len(sink.body) == size


# A client that does not keep up


class Reluctant(RecordingSink):
    """Takes one chunk at a time, until it is willing."""

    def __init__(self) -> None:
        super().__init__()
        self.willing = False
        self.when_room: list[Callable[[], object]] = []

    def has_room(self, when_room: Callable[[], object]) -> bool:
        if not self.willing:
            self.when_room.append(when_room)
        return self.willing

    def take(self) -> None:
        """There is room again."""
        self.when_room.pop()()


BIG = chunked(event(token("x" * 60_000)))


def test_a_slow_reader_pauses_the_upstream() -> None:
    written = threading.Semaphore(0)

    def script(line: Line) -> None:
        line.hear()
        line.say(STREAM_HEAD)
        for _ in range(400):  # 24 MB: more than the kernel holds for a reader that sleeps
            line.say(BIG)
            written.release()
        line.say(chunked(event(FINISH) + event("[DONE]")) + LAST_CHUNK)

    with RawServer(script) as server:
        engine, sink = UpstreamEngine(server.url), Reluctant()
        engine.start(chat(), sink, Context("r"))
        wait_until(lambda: sink.when_room)  # it may be asked before the first event is complete
        while written.acquire(timeout=0.3):  # until the upstream is stuck
            pass
        assert len(sink.chunks) <= 2
        assert not sink.ends
        sink.willing = True
        sink.take()
        assert sink.wait_for_end().ends == ["finish"]
        assert sum(sink.tokens) == 400
        assert engine.close()


def test_silence_while_nobody_reads_is_not_the_upstreams_fault() -> None:
    def script(line: Line) -> None:
        line.hear()
        line.say(STREAM_HEAD + chunked(event(token("a"))))
        go_on.wait(DEADLINE)
        line.say(chunked(event(token("b")) + event(FINISH) + event("[DONE]")) + LAST_CHUNK)

    go_on = threading.Event()
    with RawServer(script) as server:
        engine, sink = UpstreamEngine(server.url, idle_timeout=0.3), Reluctant()
        engine.start(chat(), sink, Context("r"))
        wait_until(lambda: sink.when_room)
        threading.Event().wait(0.6)  # twice what the upstream may be silent
        assert not sink.ends
        go_on.set()
        sink.take()
        sink.wait_for_end()
        assert sink.ends == ["finish"]
        assert engine.close()


def test_an_upstream_that_leaves_while_nobody_reads_loses_nothing() -> None:
    body = event(token("b")) + event(FINISH) + event("[DONE]")

    def script(line: Line) -> None:
        line.hear()
        line.say(STREAM_HEAD + chunked(event(token("a"))))
        go_on.wait(DEADLINE)
        line.say(chunked(body) + LAST_CHUNK)

    go_on = threading.Event()
    with RawServer(script) as server:
        engine, sink = UpstreamEngine(server.url), Reluctant()
        engine.start(chat(), sink, Context("r"))
        wait_until(lambda: sink.when_room)
        go_on.set()
        assert server.hung_up.wait(DEADLINE)
        sink.take()
        sink.wait_for_end()
        assert sink.ends == ["finish"]
        assert sum(sink.tokens) == 2
        assert engine.close()


def test_a_client_that_leaves_while_it_does_not_read_is_told_to_the_upstream() -> None:
    def script(line: Line) -> None:
        line.hear()
        line.say(STREAM_HEAD + chunked(event(token("a"))))
        line.wait_for_hang_up()

    with RawServer(script) as server:
        engine, sink, context = UpstreamEngine(server.url), Reluctant(), Context("r")
        engine.start(chat(), sink, context)
        wait_until(lambda: sink.when_room)
        context.token.cancel()
        assert server.hung_up.wait(AT_ONCE)
        sink.wait_for_end()
        sink.take()  # as the service does at the end
        assert sink.ends == ["fail"]
        assert engine.close()


# A long request


def test_a_long_request_is_sent_whole_to_an_upstream_that_reads_slowly() -> None:
    with RawServer(says(STREAM)) as server:
        engine = UpstreamEngine(server.url)
        asked = chat("x" * 20_000_000)
        assert ask(engine, asked).ends == ["finish"]
        assert server.received[0].body == asked.raw
        assert engine.close()


def test_an_answer_before_the_request_was_read_is_told_and_its_connection_dropped() -> None:
    def script(line: Line) -> None:
        line.sock.recv(1000)
        line.say(answer(413, b'{"error": {"message": "too long"}}'))
        while line.sock.recv(65_536):  # until the client hangs up
            pass

    with RawServer(script) as server:
        engine = UpstreamEngine(server.url)
        error = ask(engine, chat("x" * 20_000_000)).error
        assert "too long" in str(error)
        assert server.hung_up.wait(DEADLINE)
        assert engine.close()
