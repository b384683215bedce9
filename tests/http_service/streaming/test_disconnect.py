"""A client that leaves: its engine is told at once, and nothing is left behind."""

from __future__ import annotations

import errno
import logging
import random
import socket
import struct
import time
from dataclasses import replace

import pytest

from actors.engines.contract import Kind
from actors.engines.echo import EchoEngine
from http_service import HttpService
from http_service.server.waitress_server import WaitressServer
from http_service.telemetry.metrics import Metrics
from tests.http_service.conftest import LOCAL
from tests.http_service.engines import DEADLINE, ManualEngine, token_chunk
from tests.http_service.serving import CHAT, RawClient, Running, eventually, post_bytes, running

PATH = "/v1/chat/completions"
PROMPT = 1.0
"""Seconds within which a silent engine must hear that its client has left."""


@pytest.fixture
def engine(live: Running) -> ManualEngine:
    made = ManualEngine()
    live.service.model_manager().add_chat_completions_model("manual", made)
    return made


def count(metrics: Metrics, request_type: str, error_type: str) -> float | None:
    """The request counter of the manual model."""
    labels = {
        "model": "manual",
        "endpoint": "chat_completions",
        "request_type": request_type,
        "status": "error" if error_type else "success",
        "error_type": error_type,
    }
    return metrics.registry.get_sample_value("callboard_frontend_requests_total", labels)


def inflight(metrics: Metrics) -> float | None:
    """The gauge of the manual model."""
    name = "callboard_frontend_inflight_requests"
    return metrics.registry.get_sample_value(name, {"model": "manual"})


@pytest.mark.parametrize(
    ("stream", "pushed"),
    [(False, 0), (True, 0), (True, 1)],
    ids=["unary", "before the first token", "in mid-stream"],
)
def test_a_silent_engine_is_cancelled_as_soon_as_its_client_leaves(
    live: Running, engine: ManualEngine, stream: bool, pushed: int
) -> None:
    metrics = live.service.model_manager().metrics()
    request_type = "stream" if stream else "unary"
    with RawClient(live.address) as raw:
        raw.send(post_bytes(PATH, {**CHAT, "model": "manual", "stream": stream}))
        sink = engine.wait_started()
        for _ in range(pushed):
            sink.push(token_chunk(Kind.CHAT, "one"))
            raw.read_until(b"one")
        assert inflight(metrics) == 1
        assert not engine.cancelled.is_set()

    left = time.monotonic()
    assert engine.cancelled.wait(DEADLINE)
    assert time.monotonic() - left < PROMPT

    eventually(lambda: inflight(metrics) == 0, "the gauge returns to 0")
    eventually(lambda: count(metrics, request_type, "cancelled") == 1, "counted as cancelled")
    assert count(metrics, request_type, "") is None


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_a_client_that_leaves_makes_room_for_one_other_only(stream: bool) -> None:
    engine = ManualEngine()
    with HttpService(replace(LOCAL, connections_per_address=2)) as service, running(service) as it:
        service.model_manager().add_chat_completions_model("manual", engine)
        with RawClient(it.address) as stays:
            stays.send(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
            assert stays.read_answer().status == 200
            for _ in range(4):
                with RawClient(it.address) as leaves:
                    leaves.send(post_bytes(PATH, {**CHAT, "model": "manual", "stream": stream}))
                    engine.wait_started()
                assert engine.cancelled.wait(DEADLINE)
                engine.cancelled.clear()

            with RawClient(it.address) as second, RawClient(it.address) as third:
                second.send(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
                assert second.read_answer().status == 200
                assert third.read_answer().status == 503


@pytest.mark.parametrize("reset", [False, True])
def test_a_client_that_leaves_before_its_refusal_is_no_news(
    live: Running, caplog: pytest.LogCaptureFixture, reset: bool
) -> None:
    for _ in range(5):
        with RawClient(live.address) as raw:
            raw.send(b"BAD\r\n\r\n")
            if reset:
                raw.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with RawClient(live.address) as raw:
        raw.send(b"BAD\r\n\r\n")
        assert raw.read_to_end().startswith(b"HTTP/1.0 400 ")

    assert not [each for each in caplog.records if each.levelno >= logging.ERROR]


def test_a_client_that_leaves_while_it_is_accepted_takes_no_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    adjust, failures = WaitressServer.set_socket_options, [OSError(errno.EINVAL, "gone")] * 3

    def fail_first(server: WaitressServer, connection: socket.socket) -> None:
        if failures:
            raise failures.pop()
        adjust(server, connection)

    monkeypatch.setattr(WaitressServer, "set_socket_options", fail_first)
    with HttpService(replace(LOCAL, connections_per_address=2)) as service, running(service) as it:
        for _ in range(3):
            with RawClient(it.address) as left:
                assert left.read_to_end() == b""
        with RawClient(it.address) as raw:
            raw.send(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
            assert raw.read_answer().status == 200


def test_a_client_that_reads_to_the_end_cancels_nothing_before_it(
    live: Running, engine: ManualEngine
) -> None:
    metrics = live.service.model_manager().metrics()
    with RawClient(live.address) as raw:
        raw.send(post_bytes(PATH, {**CHAT, "model": "manual", "stream": True}))
        sink = engine.wait_started()
        sink.push(token_chunk(Kind.CHAT, "one"))
        sink.finish()
        raw.read_until(b"[DONE]")

    eventually(lambda: count(metrics, "stream", "") == 1, "counted as a success")
    assert inflight(metrics) == 0
    assert count(metrics, "stream", "cancelled") is None
    assert not engine.cancelled.is_set(), "a success cancels nothing"


def test_a_request_pipelined_behind_a_lost_one_leaves_nothing_behind(
    live: Running, engine: ManualEngine
) -> None:
    with RawClient(live.address) as raw:
        request = post_bytes(PATH, {**CHAT, "model": "manual"})
        raw.send(request + request)
        first = engine.wait_started()
        first.push(token_chunk(Kind.CHAT, "one"))
        first.finish()
        engine.wait_started()

    metrics = live.service.model_manager().metrics()
    eventually(lambda: inflight(metrics) == 0, "the gauge returns to 0")
    assert count(metrics, "unary", "") == 1
    assert count(metrics, "unary", "cancelled") == 1


def test_many_clients_that_leave_at_random_are_each_counted_once(live: Running) -> None:
    clients, chance = 30, random.Random(7)
    live.service.model_manager().add_chat_completions_model("manual", EchoEngine(delay=0.005))
    metrics = live.service.model_manager().metrics()
    body = {
        "model": "manual",
        "stream": True,
        "messages": [{"role": "user", "content": "word " * 20}],
    }
    for _ in range(clients):
        with RawClient(live.address) as raw:
            raw.send(post_bytes(PATH, body))
            for _ in range(chance.randrange(1, 6)):
                raw.read_until(b"\n\n")

    def counted() -> float:
        return sum(count(metrics, "stream", each) or 0 for each in ("", "cancelled"))

    eventually(lambda: counted() == clients, "every request is counted")
    assert inflight(metrics) == 0
