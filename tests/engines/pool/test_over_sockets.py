"""Real sockets: three upstreams that fail, each in its way, and one that answers."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Generator
from contextlib import ExitStack

import pytest

from actors.engines import Context
from actors.engines.pool import InstanceSpec, ModelSpec, PolicyName, Pool
from actors.engines.pool.health_check import INTERVAL, TIMEOUT
from actors.engines.upstream import UpstreamEngine
from actors.testing import FakeClock
from tests.engines.asking import chat
from tests.engines.pool.fakes import inflight, pool_on
from tests.engines.raw_server import Line, RawServer, Script, answer, says
from tests.engines.recording import DEADLINE, RecordingSink
from tests.engines.relaying import STREAM, UNARY
from tests.support.waiting import eventually

REQUESTS = 60
CLIENTS = 6


def cuts(line: Line) -> None:
    """Reset the connection once a request came."""
    line.hear()
    line.reset()


def hangs(line: Line) -> None:
    """Take the request, and say nothing until the peer leaves."""
    line.hear()
    line.wait_for_hang_up()


FAILURES: dict[str, Script] = {
    "500": says(answer(500, b"{}")),
    "503": says(answer(503, b"{}", "retry-after: 1")),
    "429": says(answer(429, b"{}", "retry-after: 1")),
    "reset": cuts,
    "hang": hangs,
}


@contextlib.contextmanager
def nobody_listens() -> Generator[str]:
    """The URL of a port that is taken, and on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def answered(pool: Pool, *, stream: bool) -> list[RecordingSink]:
    """What ``CLIENTS`` clients got, ``REQUESTS`` in all, one after the other each."""
    sinks: list[RecordingSink] = []

    def client() -> None:
        for _ in range(REQUESTS // CLIENTS):
            sink = RecordingSink()
            sinks.append(sink)
            pool.start(chat(stream=stream), sink, Context("r"))
            sink.wait_for_end()

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return sinks


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "unary"])
@pytest.mark.parametrize("failure", [*FAILURES, "refused"])
def test_every_request_succeeds_while_one_upstream_answers(failure: str, *, stream: bool) -> None:
    pool = Pool("m", spec=ModelSpec(policy=PolicyName.ROUND_ROBIN))
    # What answers must never be taken for what hangs, however busy the machine is.
    patience = 1.0 if failure == "hang" else DEADLINE
    with ExitStack() as stack:
        urls: list[str] = []
        for _ in range(3):
            if failure == "refused":
                urls.append(stack.enter_context(nobody_listens()))
            else:
                urls.append(stack.enter_context(RawServer(FAILURES[failure])).url)
        good = stack.enter_context(RawServer(says(STREAM if stream else UNARY)))
        for number, url in enumerate([*urls, good.url]):
            engine = UpstreamEngine(url, first_byte_timeout=patience)
            stack.callback(engine.close)
            pool.put(str(number), engine, InstanceSpec())
            stack.callback(pool.drop, str(number))  # its probes would go on for ever
        sinks = answered(pool, stream=stream)
        assert [sink.ends for sink in sinks] == [["finish" if stream else "answer"]] * REQUESTS
        assert len(good.received) == REQUESTS
        assert set(inflight(pool).values()) == {0}


def test_a_port_on_which_nobody_listens_is_found_out_by_one_request() -> None:
    pool = Pool("m", spec=ModelSpec(policy=PolicyName.ROUND_ROBIN))
    with ExitStack() as stack:
        good = stack.enter_context(RawServer(says(UNARY)))
        for number, url in enumerate([stack.enter_context(nobody_listens()), good.url]):
            engine = UpstreamEngine(url)
            stack.callback(engine.close)
            pool.put(str(number), engine)
            stack.callback(pool.drop, str(number))  # its probes would go on for ever
        answered(pool, stream=False)
        dead = pool.view().instances[0]
        assert (dead.state, dead.last_error) == ("ejected", "connect")
        assert dead.failures <= CLIENTS


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "unary"])
def test_requests_that_wait_at_a_frozen_upstream_are_answered_by_another_one(
    *, stream: bool
) -> None:
    """Its probes hang too; the clock of the pool is the test's, the sockets are real."""
    clock, left = FakeClock(), threading.Event()

    def frozen(line: Line) -> None:
        asked = line.hear()
        line.wait_for_hang_up()
        if asked.line.startswith("POST"):
            left.set()

    pool = pool_on(clock, ModelSpec(policy=PolicyName.ROUND_ROBIN))
    with ExitStack() as stack:
        hung = stack.enter_context(RawServer(frozen))
        good = stack.enter_context(RawServer(says(STREAM if stream else UNARY)))
        for server in (hung, good):
            engine = UpstreamEngine(server.url)
            stack.callback(engine.close)
            pool.put(server.url, engine)
            stack.callback(pool.drop, server.url)
        sinks = [RecordingSink(), RecordingSink()]
        for sink in sinks:
            pool.start(chat(stream=stream), sink, Context("r"))
        eventually(lambda: hung.received, DEADLINE, "one waits there")
        sinks[1].wait_for_end()
        assert sinks[0].ends == []
        clock.advance(2 * (INTERVAL + TIMEOUT))
        sinks[0].wait_for_end()
        assert [sink.ends for sink in sinks] == [["finish" if stream else "answer"]] * 2
        assert left.wait(DEADLINE), "the upstream is told that nobody waits"
        eventually(lambda: set(inflight(pool).values()) == {0}, DEADLINE, "nothing is in flight")
