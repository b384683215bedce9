"""How a relayed request ends before its answer does: cancelled, or too late."""

from __future__ import annotations

import socket
import threading
import time
from functools import partial

import pytest

from actors.engines import Context, EngineTimeout
from actors.engines.upstream import Timeouts, UpstreamEngine
from actors.eventloop import EventLoop
from actors.supervision.errors import Cancelled
from tests.engines.asking import chat
from tests.engines.raw_server import (
    LAST_CHUNK,
    STREAM_HEAD,
    Line,
    RawServer,
    Script,
    chunked,
    says,
)
from tests.engines.recording import DEADLINE, RecordingSink, wait_until
from tests.engines.relaying import UNARY, failure, relay
from tests.engines.subjects import FINISH, event, token

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
