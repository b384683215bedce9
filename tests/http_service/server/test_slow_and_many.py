"""Clients that are too slow, and clients that are too many, on real sockets."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from unittest.mock import Mock

import pytest

from http_service import HttpService, HttpServiceConfig
from http_service.server import limits, waitress_server
from http_service.server.limits import PROBE_RESERVE
from http_service.server.timeouts import ClientTimeouts
from tests.http_service.conftest import LOCAL, add_echo
from tests.http_service.serving import CHAT, RawClient, Running, eventually, post_bytes, running

GET_LIVE = b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n"
HASTY = ClientTimeouts(head=0.2, body=0.2, body_bytes=64, reader=0.2, idle=0.4)


def impatient(_config: HttpServiceConfig) -> ClientTimeouts:
    """The limits of a service with little patience."""
    return HASTY


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """A service with little patience."""
    monkeypatch.setattr(waitress_server, "client_timeouts", impatient)
    monkeypatch.setattr(waitress_server, "SWEEP_SECONDS", 0.02)
    with HttpService(LOCAL) as service:
        add_echo(service)
        with running(service) as it:
            yield it


def small(total: int = 100, per_address: int = 0) -> HttpService:
    """A service that lets few in."""
    config = replace(LOCAL, connection_limit=total, connections_per_address=per_address)
    service = HttpService(config)
    add_echo(service)
    return service


@pytest.mark.parametrize(
    "part",
    [b"GET /live HTTP/1.1\r\nHo", post_bytes("/v1/chat/completions", CHAT)[:-10]],
    ids=["head", "body"],
)
def test_a_request_that_does_not_come_is_a_408(hasty: Running, part: bytes) -> None:
    with RawClient(hasty.address) as raw:
        raw.send(part)
        answer = raw.read_answer()
        assert raw.read_to_end() == b""

    assert answer.status == 408
    assert answer.headers["connection"] == "close"
    assert answer.error["type"] == "invalid_request_error"


def test_an_idle_connection_is_closed_without_a_word(hasty: Running) -> None:
    with RawClient(hasty.address) as raw:
        raw.send(GET_LIVE)
        assert raw.read_answer().status == 200
        assert raw.read_to_end() == b""


def test_who_is_in_time_notices_nothing(hasty: Running) -> None:
    with RawClient(hasty.address) as raw:
        for _ in range(20):
            raw.send(post_bytes("/v1/chat/completions", CHAT))
            assert raw.read_answer().status == 200


def test_a_connection_too_many_is_told_so_and_closed() -> None:
    with small(total=2) as service, running(service) as live:
        with RawClient(live.address) as one, RawClient(live.address) as two:
            for each in (one, two):
                each.send(GET_LIVE)
                assert each.read_answer().status == 200
            with RawClient(live.address) as third:
                answer = third.read_answer()
                assert third.read_to_end() == b""
        assert answer.status == 503
        assert answer.headers["retry-after"] == "1"
        assert answer.error["code"] == "service_unavailable"

        eventually(lambda: served(live), "there is room again")


def test_one_address_has_its_own_limit() -> None:
    with small(per_address=1) as service, running(service) as live:
        with RawClient(live.address) as one:
            one.send(GET_LIVE)
            assert one.read_answer().status == 200
            with RawClient(live.address) as second:
                assert second.read_answer().status == 503
        eventually(lambda: served(live), "there is room again")


def served(live: Running) -> bool:
    """Whether a new connection is served."""
    with RawClient(live.address) as raw:
        try:
            raw.send(GET_LIVE)
            return raw.read_answer().status == 200
        except (OSError, AssertionError):
            return False


@pytest.mark.parametrize("path", ["/live", "/ready", "/live/", "/ready?from=kubelet"])
def test_a_probe_is_answered_although_every_place_is_taken(path: str) -> None:
    with small(total=1) as service, running(service) as live, RawClient(live.address) as one:
        one.send(GET_LIVE)
        one.read_answer()
        for _ in range(3):
            with RawClient(live.address) as probe:
                probe.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                answer = probe.read_answer()
                assert answer.status == 200
                assert answer.headers["connection"] == "close"


@pytest.mark.parametrize(
    "request_",
    [post_bytes("/v1/chat/completions", CHAT), b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n"],
    ids=["chat", "models"],
)
def test_nothing_but_a_probe_is_answered_beyond_the_limit(
    request_: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with small(total=1) as service, running(service) as live, RawClient(live.address) as one:
        one.send(GET_LIVE)
        one.read_answer()
        for _ in range(3):
            with RawClient(live.address) as more:
                more.send(request_)
                answer = more.read_answer()
                assert answer.status == 503
                assert answer.headers["retry-after"] == "1"
                assert "Too many connections" in answer.error["message"]
                assert more.read_to_end() == b""
        registry = service.model_manager().metrics().registry
        name = "callboard_frontend_connections"
        assert registry.get_sample_value(f"{name}_refused_total") == 3
        eventually(lambda: registry.get_sample_value(name) == 1, "they are closed")
    lines = [each for each in caplog.messages if each.startswith("connections are refused")]
    assert len(lines) == 1, "once a minute"


def test_silent_connections_beyond_the_limit_do_not_take_the_place_of_probes() -> None:
    with small(total=1) as service, running(service) as live, ExitStack() as stack:
        for _ in range(PROBE_RESERVE * 2):
            stack.enter_context(RawClient(live.address))
        probe = stack.enter_context(RawClient(live.address))
        probe.send(GET_LIVE)
        assert probe.read_answer().status == 200


def test_a_tls_hello_is_closed_at_once(live: Running) -> None:
    for hello in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), b"\x16"):
        with RawClient(live.address) as raw:
            raw.send(hello)
            assert raw.read_to_end() == b""


@pytest.mark.parametrize(("files", "connections"), [(256, 64), (1024, 448), (65_536, 10_000)])
def test_each_client_of_a_process_that_relays_leaves_a_descriptor_for_its_upstream(
    files: int, connections: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", Mock(return_value=(files, files)))
    config = replace(LOCAL, connection_limit=10_000)
    cap = limits.connection_cap(config)
    for relays, most in ((True, connections), (False, min(10_000, files - 128))):
        monkeypatch.setattr(limits, "asks_others", lambda relays=relays: relays)
        cap.open = most - 1
        assert not cap.full
        cap.open = most
        assert cap.full
