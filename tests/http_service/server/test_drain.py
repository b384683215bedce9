"""How the service ends: in order, within its time, and without a bare cut."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from actors.engines.contract import Kind
from actors.supervision.cancellation import CancellationToken
from http_service import HttpService
from tests.http_service.conftest import LOCAL, add_echo
from tests.http_service.engines import DEADLINE, ManualEngine, token_chunk
from tests.http_service.serving import (
    CHAT,
    RawClient,
    Running,
    events,
    eventually,
    post_bytes,
    running,
)

PATH = "/v1/chat/completions"
BODY = {**CHAT, "model": "manual"}
GET_READY = b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def engine(service: HttpService) -> ManualEngine:
    made = ManualEngine()
    service.model_manager().add_chat_completions_model("manual", made)
    return made


@pytest.fixture
def hurried() -> Iterator[tuple[Running, ManualEngine]]:
    """A service that drains for a moment only."""
    engine = ManualEngine()
    with HttpService(replace(LOCAL, drain_timeout=0.2)) as service:
        service.model_manager().add_chat_completions_model("manual", engine)
        with running(service) as it:
            yield it, engine


def refused(address: tuple[str, int]) -> bool:
    """Whether a new connection is refused."""
    try:
        RawClient(address).close()
    except (ConnectionRefusedError, ConnectionResetError):  # reset: closed during the handshake
        return True
    return False


def test_a_running_stream_ends_with_done_and_new_connections_are_refused(
    live: Running, engine: ManualEngine
) -> None:
    address = live.address
    with RawClient(address) as raw:
        raw.send(post_bytes(PATH, {**BODY, "stream": True}))
        sink = engine.wait_started()
        sink.push(token_chunk(Kind.CHAT, "before"))
        raw.read_until(b"before")

        live.token.cancel()
        eventually(lambda: refused(address), "new connections are refused")
        sink.push(token_chunk(Kind.CHAT, "after"))
        sink.finish()
        rest = raw.read_to_end()

    assert b"after" in rest
    assert rest.rstrip().endswith(b"data: [DONE]\n\n\r\n0")
    live.handle.join(DEADLINE)


def test_a_running_unary_request_is_answered(live: Running, engine: ManualEngine) -> None:
    address = live.address
    with RawClient(address) as raw:
        raw.send(post_bytes(PATH, BODY))
        sink = engine.wait_started()
        live.token.cancel()
        eventually(lambda: refused(address), "new connections are refused")
        sink.answer(b'{"late": "but whole"}')
        answer = raw.read_answer()
        assert raw.read_to_end() == b""

    assert answer.status == 200
    assert answer.headers["connection"] == "close"
    assert answer.json() == {"late": "but whole"}
    live.handle.join(DEADLINE)


@pytest.mark.parametrize("count", [1, 8])
def test_a_new_request_on_an_open_connection_is_served_and_ends_it(
    live: Running, count: int
) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(RawClient(live.address)) for _ in range(count)]
        for raw in clients:
            raw.send(GET_READY)
            assert raw.read_answer().status == 200
        live.token.cancel()
        for raw in clients:
            raw.send(post_bytes(PATH, CHAT))
        for raw in clients:
            assert raw.read_answer().status == 200
            assert raw.read_to_end() == b""
    live.handle.join(DEADLINE)


@pytest.mark.parametrize("missing", [1, 10, 60, 130, len(post_bytes(PATH, CHAT)) - 1])
def test_a_request_that_was_half_received_is_completed_and_served(
    live: Running, missing: int
) -> None:
    """Cut in the body, in the head, and in the request line."""
    request = post_bytes(PATH, CHAT)
    with RawClient(live.address) as raw:
        raw.send(GET_READY)
        raw.read_answer()
        raw.send(request[:-missing])
        live.token.cancel()
        eventually(lambda: refused(live.address), "new connections are refused")
        raw.send(request[-missing:])
        answer = raw.read_answer()
    assert answer.status == 200
    assert answer.headers["connection"] == "close"
    live.handle.join(DEADLINE)


def test_requests_that_were_pipelined_are_all_served_and_only_the_last_ends_the_connection(
    live: Running, engine: ManualEngine
) -> None:
    with RawClient(live.address) as raw:
        raw.send(post_bytes(PATH, BODY) + post_bytes(PATH, CHAT))
        sink = engine.wait_started()
        live.token.cancel()
        eventually(lambda: refused(live.address), "new connections are refused")
        sink.answer(b"{}")
        first, second = raw.read_answer(), raw.read_answer()
        assert raw.read_to_end() == b""
    assert (first.status, second.status) == (200, 200)
    assert "connection" not in first.headers
    assert second.headers["connection"] == "close"
    live.handle.join(DEADLINE)


def test_the_probes_say_on_an_open_connection_that_the_service_goes(
    live: Running, engine: ManualEngine
) -> None:
    with RawClient(live.address) as busy, RawClient(live.address) as raw:
        busy.send(post_bytes(PATH, {**BODY, "stream": True}))
        sink = engine.wait_started()
        raw.send(GET_READY)
        assert raw.read_answer().status == 200
        live.token.cancel()
        raw.send(GET_READY)
        assert raw.read_answer().status == 503
        sink.finish()
    live.handle.join(DEADLINE)


@pytest.mark.parametrize("used", [False, True])
def test_an_idle_connection_is_closed_at_once_without_a_byte(live: Running, used: bool) -> None:
    with RawClient(live.address) as raw:
        if used:
            raw.send(GET_READY)
            raw.read_answer()
        began = time.monotonic()
        live.token.cancel()

        assert raw.read_to_end() == b""

        assert time.monotonic() - began < LOCAL.drain_timeout
    live.handle.join(DEADLINE)


def test_a_connection_whose_stream_ends_in_the_drain_is_closed(
    live: Running, engine: ManualEngine
) -> None:
    with RawClient(live.address) as raw:
        raw.send(post_bytes(PATH, {**BODY, "stream": True}))
        sink = engine.wait_started()
        sink.push(token_chunk(Kind.CHAT, "one"))
        raw.read_until(b"one")
        live.token.cancel()
        eventually(lambda: refused(live.address), "new connections are refused")
        sink.finish()
        assert raw.read_to_end().endswith(b"0\r\n\r\n")
    live.handle.join(DEADLINE)


@pytest.mark.parametrize(
    "half",
    [b"POST /v1/chat", b"POST / HTTP/1.1\r\nHost: x\r\n", post_bytes(PATH, CHAT)[:-1]],
    ids=["line", "head", "body"],
)
def test_a_request_that_stalls_is_refused_long_before_the_drain_ends(half: bytes) -> None:
    config = replace(LOCAL, drain_timeout=DEADLINE)
    with HttpService(config) as service, running(service) as live, RawClient(live.address) as raw:
        raw.send(half)
        began = time.monotonic()
        live.token.cancel()
        assert raw.read_answer().status == 408
        live.handle.join(DEADLINE)
        # Three seconds for the request and one to read the refusal, each looked at once a second.
        assert time.monotonic() - began < 0.7 * DEADLINE


def test_new_connections_are_served_in_the_grace_while_readiness_says_no() -> None:
    with HttpService(replace(LOCAL, drain_grace=2.0)) as service:
        add_echo(service)
        token = CancellationToken()
        handle = service.spawn(token)
        with RawClient(service.address) as raw:
            raw.send(GET_READY)
            assert raw.read_answer().status == 200
        token.cancel()
        with RawClient(service.address) as raw:
            raw.send(GET_READY + post_bytes(PATH, CHAT))
            assert raw.read_answer().status == 503
            answer = raw.read_answer()
        assert answer.status == 200
        assert "connection" not in answer.headers
        handle.join(DEADLINE)


def test_a_service_without_connections_ends_at_once(live: Running) -> None:
    began = time.monotonic()
    live.stop()

    assert time.monotonic() - began < LOCAL.drain_timeout
    assert not live.handle.running


def test_a_stream_past_the_deadline_is_told_and_ends_with_done(
    hurried: tuple[Running, ManualEngine], caplog: pytest.LogCaptureFixture
) -> None:
    live, engine = hurried
    with RawClient(live.address) as raw:
        raw.send(post_bytes(PATH, {**BODY, "stream": True}, "x-request-id: endless"))
        engine.wait_started().push(token_chunk(Kind.CHAT, "one"))
        raw.read_until(b"one")
        live.token.cancel()
        rest = raw.read_to_end()

    assert b'"code":"shutting_down"' in rest
    assert b"data: [DONE]\n\n" in rest
    assert engine.cancelled.is_set()
    live.handle.join(DEADLINE)
    (record,) = [each for each in caplog.records if each.name == "http_service.drain"]
    assert record.levelno == logging.WARNING
    assert record.__dict__["requests"] == ["endless (manual)"]


def test_a_unary_request_past_the_deadline_is_a_503(
    hurried: tuple[Running, ManualEngine],
) -> None:
    live, engine = hurried
    with RawClient(live.address) as raw:
        raw.send(post_bytes(PATH, BODY))
        engine.wait_started()
        live.token.cancel()
        answer = raw.read_answer()

    assert answer.status == 503
    assert answer.error["code"] == "shutting_down"
    assert engine.cancelled.wait(DEADLINE)
    live.handle.join(DEADLINE)


def test_half_a_request_does_not_hold_the_end_beyond_the_deadline(
    hurried: tuple[Running, ManualEngine],
) -> None:
    live, _ = hurried
    with RawClient(live.address) as raw:
        raw.send(b"POST /v1/chat/completions HTTP/1.1\r\nContent-Le")
        raw.send(b"")
        live.token.cancel()
        live.handle.join(DEADLINE)

        assert raw.read_to_end() == b""


def test_a_reader_that_stalls_does_not_hold_the_end_beyond_the_deadline(
    hurried: tuple[Running, ManualEngine],
) -> None:
    live, engine = hurried
    with RawClient(live.address) as raw:
        raw.send(post_bytes(PATH, {**BODY, "stream": True}))
        sink = engine.wait_started()
        for _ in range(64):
            sink.push(token_chunk(Kind.CHAT, "x" * 1024 * 1024))
        raw.read_until(b"xxx")
        live.token.cancel()

        live.handle.join(DEADLINE)

    assert engine.cancelled.is_set()


def test_the_port_is_free_again_afterwards(service: HttpService) -> None:
    with running(service) as first:
        host, port = first.address
        with RawClient((host, port)) as raw:
            raw.send(GET_READY)
            raw.read_answer()
            first.stop()

    with HttpService(replace(LOCAL, host=host, port=port)) as successor:
        add_echo(successor)
        with running(successor), RawClient((host, port)) as raw:
            raw.send(GET_READY)
            assert raw.read_answer().status == 200


def test_the_metrics_balance_after_a_drain(
    hurried: tuple[Running, ManualEngine],
) -> None:
    live, engine = hurried
    with RawClient(live.address) as raw:
        raw.send(post_bytes(PATH, {**BODY, "stream": True}))
        engine.wait_started().push(token_chunk(Kind.CHAT, "one"))
        live.token.cancel()
        assert events(raw.read_to_end().partition(b"\r\n\r\n")[2])
    live.handle.join(DEADLINE)

    registry = live.service.model_manager().metrics().registry
    name = "callboard_frontend_inflight_requests"
    eventually(
        lambda: registry.get_sample_value(name, {"model": "manual"}) == 0, "the gauge returns"
    )
