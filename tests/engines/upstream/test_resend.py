"""A request is sent again only where it can't have been worked on: once, and at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from actors.engines import Context, EngineUnavailable
from actors.engines.pool import ModelSpec, PolicyName, Pool
from actors.engines.upstream import UpstreamEngine
from actors.engines.upstream.call import STALE_SECONDS
from actors.eventloop import EventLoop
from actors.testing import FakeClock
from tests.engines.asking import ask, chat
from tests.engines.pool.fakes import Heard, pool_on
from tests.engines.raw_server import Line, RawServer, Script
from tests.engines.recording import RecordingSink, wait_until
from tests.engines.relaying import UNARY


class Time:
    """A loop on a clock that the servers' scripts move."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.loop = EventLoop(clock=self.clock.monotonic)

    def hangs_up_after(self, seconds: float, *, reset: bool = False) -> Script:
        """Answers the first request of a connection, takes another one, and leaves."""

        def script(line: Line) -> None:
            line.hear()
            line.say(UNARY)
            line.hear()
            self.clock.advance(seconds)
            if reset:
                line.reset()

        return script


@pytest.fixture
def time() -> Iterator[Time]:
    time = Time()
    yield time
    time.loop.stop()
    wait_until(lambda: not time.loop.running)


@pytest.mark.parametrize("reset", [False, True], ids=["end-of-file", "reset"])
@pytest.mark.parametrize("seconds", [STALE_SECONDS * 1.5, 0.5, 1.2])
def test_a_request_that_a_worker_had_for_a_while_is_not_sent_again(
    time: Time, seconds: float, *, reset: bool
) -> None:
    with RawServer(time.hangs_up_after(seconds, reset=reset)) as server:
        engine = UpstreamEngine(server.url, loop=time.loop)
        assert ask(engine, chat(stream=False)).ends == ["answer"]
        sink = ask(engine, chat(stream=False))
        assert isinstance(sink.error, EngineUnavailable)
        assert len(server.received) == 2, "each request once"
        assert engine.close()


@pytest.mark.parametrize("reset", [False, True], ids=["end-of-file", "reset"])
@pytest.mark.parametrize("seconds", [0.0, STALE_SECONDS * 0.5])
def test_a_request_on_a_connection_that_was_just_closed_is_sent_once_more(
    time: Time, seconds: float, *, reset: bool
) -> None:
    with RawServer(time.hangs_up_after(seconds, reset=reset)) as server:
        engine = UpstreamEngine(server.url, loop=time.loop)
        for _ in range(2):
            assert ask(engine, chat(stream=False)).ends == ["answer"]
        assert len(server.received) == 3, "the second one went to a new connection as well"
        assert engine.close()


def answered_by(pool: Pool) -> RecordingSink:
    sink = RecordingSink()
    pool.start(chat(stream=False), sink, Context("r"))
    return sink.wait_for_end()


def pool_of(
    stack: ExitStack, time: Time, number: int, script: Callable[[], Script]
) -> tuple[Pool, Heard, list[RawServer]]:
    heard = Heard()
    pool = pool_on(FakeClock(), ModelSpec(policy=PolicyName.ROUND_ROBIN), listener=heard)
    servers = [stack.enter_context(RawServer(script())) for _ in range(number)]
    for server in servers:
        engine = UpstreamEngine(server.url, loop=time.loop)
        stack.callback(engine.close)
        pool.put(server.url, engine)
        stack.callback(pool.drop, server.url)
    return pool, heard, servers


def test_what_many_workers_lose_is_sent_to_each_once_and_counted(time: Time) -> None:
    with ExitStack() as stack:
        pool, heard, servers = pool_of(stack, time, 4, lambda: time.hangs_up_after(0.5))
        for _ in servers:
            assert answered_by(pool).ends == ["answer"]
        assert isinstance(answered_by(pool).error, EngineUnavailable)
        assert [len(server.received) for server in servers] == [2] * 4
        assert len(heard.of("retried")) == 3, "every further sending is a retry of the metrics"


def test_a_worker_alone_is_asked_once_and_the_failure_is_counted(time: Time) -> None:
    with ExitStack() as stack:
        pool, _, (server,) = pool_of(stack, time, 1, lambda: time.hangs_up_after(0.5))
        assert answered_by(pool).ends == ["answer"]
        assert isinstance(answered_by(pool).error, EngineUnavailable)
        assert len(server.received) == 2
        assert [each.failures for each in pool.view().instances] == [1]
