"""``HttpService`` alone: bind, run, spawn and join."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest

from actors.supervision.cancellation import CancellationToken
from http_service import BindFailed, HttpService
from tests.http_service.conftest import LOCAL, add_echo
from tests.http_service.engines import DEADLINE
from tests.http_service.serving import CHAT, Client, RawClient, Running, running

PATH = "/v1/chat/completions"


def test_run_blocks_until_the_token_is_cancelled(service: HttpService) -> None:
    token = CancellationToken()
    host, port = service.bind()
    thread = threading.Thread(target=service.run, args=(token,))
    thread.start()

    client = Client((host, port))
    assert client.post(PATH, CHAT).status == 200
    assert thread.is_alive()
    token.cancel()
    thread.join(DEADLINE)

    assert not thread.is_alive()
    client.close()


def test_a_service_may_run_again(service: HttpService) -> None:
    for _ in range(2):
        with_token = CancellationToken()
        handle = service.spawn(with_token)
        client = Client(service.address)
        assert client.post(PATH, CHAT).status == 200
        client.close()
        with_token.cancel()
        handle.join(DEADLINE)


def test_a_failed_bind_cancels_the_token_and_raises(taken: int) -> None:
    with HttpService(replace(LOCAL, port=taken)) as service:
        token = CancellationToken()
        with pytest.raises(BindFailed, match="is in use"):
            service.run(token)
        assert token.cancelled


def test_a_failed_bind_of_a_spawned_service_is_raised_by_join(taken: int) -> None:
    with HttpService(replace(LOCAL, port=taken)) as service:
        token = CancellationToken()
        handle = service.spawn(token)

        assert token.cancelled
        assert not handle.running
        with pytest.raises(BindFailed, match="is in use"):
            handle.join(DEADLINE)


def test_join_gives_up_after_its_timeout(live: Running) -> None:
    with pytest.raises(TimeoutError, match=r"still runs after 0\.01 seconds"):
        live.handle.join(0.01)
    assert live.handle.running


def test_a_token_cancelled_beforehand_ends_the_service_at_once(service: HttpService) -> None:
    token = CancellationToken()
    token.cancel()

    began = time.monotonic()
    service.run(token)

    assert time.monotonic() - began < DEADLINE


def test_the_address_is_unknown_before_binding(service: HttpService) -> None:
    with pytest.raises(RuntimeError, match="not bound"):
        _ = service.address


def test_the_url_is_one_that_a_client_can_use(service: HttpService) -> None:
    service.bind()

    assert service.url == f"http://127.0.0.1:{service.address[1]}"


def test_ipv6_is_served_where_the_machine_has_it() -> None:
    with HttpService(replace(LOCAL, host="::1")) as service:
        try:
            service.bind()
        except BindFailed:
            pytest.skip("this machine has no IPv6 loopback")
        assert service.url.startswith("http://[::1]:")
        add_echo(service)
        with running(service) as it, RawClient(it.address) as raw:
            raw.send(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
            assert raw.read_answer().status == 200
