"""Connections are kept while they are fresh and whole, and never answer for another."""

from __future__ import annotations

import threading
import time

import pytest

from actors.engines import Context, EngineUnavailable
from actors.engines.upstream import UpstreamEngine
from tests.engines.asking import ask, chat
from tests.engines.raw_server import (
    LAST_CHUNK,
    STREAM_HEAD,
    Line,
    RawServer,
    Script,
    answer,
    chunked,
    says,
    says_once,
)
from tests.engines.recording import DEADLINE, RecordingSink, wait_until
from tests.engines.relaying import STREAM, UNARY
from tests.engines.subjects import event, token


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
        idle = engine.connections._idle  # pyright: ignore[reportPrivateUsage]  # nobody else tells
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
