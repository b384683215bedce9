"""Hosts that can't be reached for whatever reason, and what this process itself has run out of."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from actors.engines import Context, EngineUnavailable, LocalShortage
from actors.engines.pool import Pool
from actors.engines.upstream import ENGINE_TIMEOUT, UpstreamEngine
from actors.eventloop import EventLoop
from actors.settings.serve import ServeSettings
from actors.testing import FakeClock
from http_service.config import HttpServiceConfig
from tests.engines.asking import chat
from tests.engines.pool.fakes import Heard, inflight, pool_on
from tests.engines.raw_server import RawServer, says
from tests.engines.recording import RecordingSink, wait_until
from tests.engines.relaying import UNARY


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    loop = EventLoop()
    yield loop
    loop.stop()
    wait_until(lambda: not loop.running)


def asked_of(url: str, loop: EventLoop) -> RecordingSink:
    engine, sink = UpstreamEngine(url, loop=loop), RecordingSink()
    loop.call(lambda: engine.start(chat(), sink, Context("r")))  # as the service does it
    sink.wait_for_end()
    assert engine.close()
    return sink


@pytest.mark.parametrize(
    "host",
    [
        "[fe80::1%25nowhere]",
        "[fe80::1%nowhere]",
        "[ff02::1%9999]",
        "255.255.255.255",
        "a..b",
        "x" * 64 + ".invalid",
        "nobody.invalid",
    ],
)
def test_a_host_that_can_never_be_reached_is_unavailable(host: str, loop: EventLoop) -> None:
    error = asked_of(f"http://{host}:9", loop).error
    assert isinstance(error, EngineUnavailable)
    assert error.status == 502


SHORTAGES = [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM]


@pytest.mark.parametrize("code", SHORTAGES, ids=errno.errorcode.get)
def test_what_this_process_has_run_out_of_is_not_the_upstreams_fault(
    code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_socket(*_: object, **__: object) -> socket.socket:
        raise OSError(code, "out of it")

    heard, loop = Heard(), EventLoop()
    with ExitStack() as stack:
        servers = [stack.enter_context(RawServer(says(UNARY))) for _ in range(3)]
        pool = pool_on(FakeClock(), listener=heard)
        for server in servers:
            engine = UpstreamEngine(server.url, loop=loop)
            stack.callback(engine.close)
            stack.callback(pool.drop, server.url)
            with monkeypatch.context() as patch:
                patch.setattr("actors.engines.upstream.dial.socket.socket", no_socket)
                pool.put(server.url, engine)
                error = answered_by(pool).error
            told(error)
        assert [each.failures for each in pool.view().instances] == [0] * 3
        assert not heard.of("retried")
        assert not heard.of("ejected")
        assert answered_by(pool).ends == ["answer"], "as soon as there is some again"
        wait_until(lambda: set(inflight(pool).values()) == {0})
    loop.stop()
    wait_until(lambda: not loop.running)


def told(error: BaseException | None) -> None:
    assert isinstance(error, LocalShortage)
    assert (error.status, error.retry_after) == (503, 1)


def answered_by(pool: Pool) -> RecordingSink:
    sink = RecordingSink()
    pool.start(chat(stream=False), sink, Context("r"))
    return sink.wait_for_end()


def test_a_resolver_without_descriptors_is_a_shortage_too(
    monkeypatch: pytest.MonkeyPatch, loop: EventLoop
) -> None:
    def no_file(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_SYSTEM, "System error")

    monkeypatch.setattr(socket, "getaddrinfo", no_file)
    told(asked_of("http://some.invalid:9", loop).error)


def test_without_a_thread_for_the_look_up_it_is_a_shortage_too(
    monkeypatch: pytest.MonkeyPatch, loop: EventLoop
) -> None:
    class NoThread(threading.Thread):
        def start(self) -> None:
            if self.name.startswith("lookup-"):
                raise RuntimeError("can't start new thread")
            super().start()

    loop.ensure_running()
    monkeypatch.setattr(threading, "Thread", NoThread)
    told(asked_of("http://other.invalid:9", loop).error)


def test_one_time_of_silence_counts_before_the_first_token_and_after_it() -> None:
    engine = UpstreamEngine("http://127.0.0.1:9")
    assert engine.timeouts.first_byte == engine.timeouts.idle == ENGINE_TIMEOUT
    assert ServeSettings().engine_timeout == HttpServiceConfig().engine_timeout == ENGINE_TIMEOUT
    assert engine.close()
