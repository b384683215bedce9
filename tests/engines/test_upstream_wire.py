"""The relay on the wire: back-pressure, kept connections, cancellation, deadlines."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from functools import partial

import pytest

from actors.engines import Context, EngineRequest, EngineTimeout, EngineUnavailable
from actors.engines.upstream import Timeouts, UpstreamEngine
from actors.eventloop import EventLoop
from actors.supervision.errors import Cancelled
from tests.engines.asking import ask, chat, complete
from tests.engines.raw_server import (
    LAST_CHUNK,
    STREAM_HEAD,
    Line,
    RawServer,
    Script,
    answer,
    capture,
    chunked,
    says,
    says_once,
)
from tests.engines.recording import DEADLINE, RecordingSink, wait_until
from tests.engines.relaying import AT_ONCE, STREAM, UNARY, failure, relay
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
        sink.wait_for_chunks()
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
        engine, sink = UpstreamEngine(server.url, idle_timeout=0.05), Reluctant()
        engine.start(chat(), sink, Context("r"))
        wait_until(lambda: sink.when_room)
        threading.Event().wait(0.2)  # four times what the upstream may be silent
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


# Kept connections


def test_what_comes_between_two_requests_ends_the_connection() -> None:
    def script(line: Line) -> None:
        line.hear()
        line.say(STREAM)
        said.wait(DEADLINE)
        line.say(answer(200, b"nobody asked"))
        line.wait_for_hang_up()

    said = threading.Event()
    with RawServer(script) as server:
        engine = UpstreamEngine(server.url)
        assert ask(engine, chat()).ends == ["finish"]
        said.set()
        assert server.hung_up.wait(DEADLINE)
        assert engine.close()


@pytest.mark.parametrize("extra", [b"x", UNARY, b"HTTP/1.1 200 OK\r\n"])
def test_what_follows_an_answer_spoils_its_connection_but_not_the_answer(extra: bytes) -> None:
    with RawServer(says(UNARY + extra)) as server:
        engine = UpstreamEngine(server.url)
        assert [ask(engine, chat(stream=False)).body for _ in range(2)] == [b'{"choices": []}'] * 2
        assert server.connections == 2
        assert engine.close()


@pytest.mark.parametrize(
    "script",
    [
        says(STREAM_HEAD + chunked(event(token("a")) + event({"error": {"message": "x"}}))),
        says(STREAM_HEAD + b"zz\r\n"),
        says(STREAM_HEAD + chunked(b"data: {oops\n\n")),
    ],
)
def test_a_connection_is_not_used_again_after_a_failure(script: Script) -> None:
    with RawServer(script) as server:
        engine = UpstreamEngine(server.url)
        assert [ask(engine, chat()).ends for _ in range(2)] == [["fail"]] * 2
        assert server.connections == 2
        assert engine.close()


def test_a_stream_whose_last_chunk_comes_late_keeps_its_connection() -> None:
    def script(line: Line) -> None:
        while True:
            line.hear()
            line.say(STREAM.removesuffix(LAST_CHUNK))
            ended.wait(DEADLINE)
            line.say(LAST_CHUNK)

    ended = threading.Event()
    with RawServer(script) as server:
        engine = UpstreamEngine(server.url)
        assert ask(engine, chat()).ends == ["finish"]
        ended.set()
        idle = engine._links._idle  # pyright: ignore[reportPrivateUsage]  # nobody else tells
        wait_until(lambda: idle)
        assert ask(engine, chat()).ends == ["finish"]
        assert server.connections == 1
        assert engine.close()


def test_a_connection_whose_stream_never_ends_is_closed_soon() -> None:
    def script(line: Line) -> None:
        line.hear()
        line.say(STREAM.removesuffix(LAST_CHUNK))
        line.wait_for_hang_up()

    with RawServer(script) as server:
        engine = UpstreamEngine(server.url)
        assert ask(engine, chat()).ends == ["finish"]
        assert server.hung_up.wait(DEADLINE)
        assert engine.close()


def test_an_idle_connection_is_dropped_before_servers_drop_theirs() -> None:
    def script(line: Line) -> None:
        line.hear()
        line.say(STREAM)
        answered.append(time.monotonic())
        line.wait_for_hang_up()
        answered.append(time.monotonic())

    answered: list[float] = []
    with RawServer(script) as server:
        engine = UpstreamEngine(server.url)
        assert ask(engine, chat()).ends == ["finish"]
        assert server.hung_up.wait(DEADLINE)
        assert 2.9 < answered[1] - answered[0] < 4.9
        assert engine.close()


def test_a_request_on_a_fresh_connection_is_never_sent_twice() -> None:
    with RawServer(says_once()) as server:
        engine = UpstreamEngine(server.url)
        sink = ask(engine, chat())
        assert isinstance(sink.error, EngineUnavailable)
        assert len(server.received) == 1
        assert engine.close()


def test_a_request_that_was_answered_with_a_byte_is_never_sent_twice() -> None:
    def script(line: Line) -> None:
        line.hear()
        line.say(STREAM)
        line.hear()
        line.say(b"H")

    with RawServer(script) as server:
        engine = UpstreamEngine(server.url)
        assert ask(engine, chat()).ends == ["finish"]
        assert ask(engine, chat()).ends == ["fail"]
        assert len(server.received) == 2
        assert engine.close()


def test_many_requests_at_once_share_no_connection_and_keep_them_all() -> None:
    with RawServer(says(STREAM)) as server:
        engine, sinks = UpstreamEngine(server.url), [RecordingSink() for _ in range(20)]
        for sink in sinks:
            engine.start(chat(), sink, Context("r"))
        assert {sink.wait_for_end().ends[0] for sink in sinks} == {"finish"}
        assert server.connections <= 20
        assert engine.close()
    assert len(server.received) == 20


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


# Cancellation: at once, whatever the upstream does


def heard(server: RawServer, number: int) -> bool:
    """Whether so many requests have arrived."""
    return len(server.received) == number


def silent(line: Line) -> None:
    line.hear()
    line.wait_for_hang_up()


def silent_after_head(line: Line) -> None:
    line.hear()
    line.say(STREAM_HEAD)
    line.wait_for_hang_up()


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("script", [silent, silent_after_head])
def test_a_silent_upstream_hears_of_a_cancelled_request_within_milliseconds(
    script: Script, *, stream: bool
) -> None:
    took: list[float] = []
    with RawServer(script) as server:
        engine = UpstreamEngine(server.url)
        for number in range(1, 6):
            sink, context = RecordingSink(), Context("r")
            server.hung_up.clear()
            engine.start(chat(stream=stream), sink, context)
            wait_until(partial(heard, server, number))
            began = time.monotonic()
            context.token.cancel()
            assert server.hung_up.wait(DEADLINE)
            took.append(time.monotonic() - began)
            assert isinstance(sink.wait_for_end().error, Cancelled)
        assert engine.close()
    assert min(took) < 0.01  # of several: this machine is busy


def test_cancelling_while_the_name_is_looked_up_ends_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = threading.Event()

    def getaddrinfo(*_: object, **__: object) -> list[object]:
        found.wait(DEADLINE)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    engine, sink, context = UpstreamEngine("http://slow.invalid"), RecordingSink(), Context("r")
    engine.start(chat(), sink, context)
    context.token.cancel()
    assert isinstance(sink.wait_for_end().error, Cancelled)
    found.set()
    assert engine.close()


# Deadlines


def pinging(line: Line) -> None:
    line.hear()
    line.say(STREAM_HEAD)
    while True:
        line.say(chunked(b": ping\n\n"))
        threading.Event().wait(0.01)


def test_comments_do_not_put_off_the_deadline_of_the_first_token() -> None:
    assert isinstance(failure(pinging, first_byte_timeout=0.1, idle_timeout=60), EngineTimeout)


def test_comments_are_signs_of_life_after_it() -> None:
    def script(line: Line) -> None:
        line.hear()
        line.say(STREAM_HEAD + chunked(event(token("a"))))
        for _ in range(30):
            line.say(chunked(b": ping\n\n"))
            threading.Event().wait(0.02)
        line.say(chunked(event(FINISH) + event("[DONE]")) + LAST_CHUNK)

    assert relay(script, chat(), idle_timeout=0.4)[0].ends == ["finish"]


def test_the_requests_own_deadline_ends_it_whatever_comes() -> None:
    def script(line: Line) -> None:
        line.hear()
        line.say(STREAM_HEAD)
        while True:
            line.say(chunked(event(token("a"))))
            threading.Event().wait(0.01)

    context = Context("r", deadline=time.monotonic() + 0.2)
    sink, _ = relay(script, chat(), context)
    assert isinstance(sink.error, EngineTimeout)
    assert sink.chunks


def test_a_request_may_bring_its_own_timeouts() -> None:
    with RawServer(silent) as server:
        engine, sink = UpstreamEngine(server.url), RecordingSink()
        engine.start(chat(), sink, Context("r"), Timeouts(1.0, 0.05, 1.0))
        assert isinstance(sink.wait_for_end().error, EngineTimeout)
        assert engine.close()


# Its thread


def test_no_request_holds_a_thread() -> None:
    with RawServer(silent) as server:
        engine = UpstreamEngine(server.url)
        sinks = [(RecordingSink(), Context("r")) for _ in range(20)]
        for sink, context in sinks:
            engine.start(chat(), sink, context)
        wait_until(partial(heard, server, 20))
        ours = [each for each in threading.enumerate() if each.name.startswith("upstream")]
        assert not ours
        for sink, context in sinks:
            context.token.cancel()
            sink.wait_for_end()
        assert engine.close()


def test_started_on_the_loop_it_begins_at_once() -> None:
    with RawServer(says(UNARY)) as server:
        loop = EventLoop()
        engine, sink = UpstreamEngine(server.url, loop=loop), RecordingSink()
        loop.call(lambda: engine.start(chat(stream=False), sink, Context("r")))
        assert sink.wait_for_end().ends == ["answer"]
        closed: list[bool] = []
        loop.call(lambda: closed.append(engine.close()))
        wait_until(lambda: closed)
        assert closed == [True]
        loop.stop()
        wait_until(lambda: not loop.running)
