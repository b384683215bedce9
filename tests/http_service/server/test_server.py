"""The server on real sockets: what travels over a connection, and what never may."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from actors.eventloop import shared_loop
from actors.testing.faults import ClockJump
from http_service import HttpService
from http_service.headers import ID_HEADER
from http_service.server.limits import HEADER_LIMIT, SPARE_CONNECTIONS, waitress_settings
from http_service.server.waitress_channel import Channel
from http_service.server.waitress_server import SWEEP_SECONDS
from tests.http_service.conftest import LOCAL, add_echo
from tests.http_service.engines import DEADLINE
from tests.http_service.serving import (
    CHAT,
    Answer,
    Client,
    RawClient,
    Running,
    events,
    post_bytes,
    running,
)

PATH = "/v1/chat/completions"
SMALL_LIMIT = 4096


@pytest.fixture
def small() -> Iterator[Running]:
    """A service that accepts small bodies only."""
    with HttpService(replace(LOCAL, body_limit=SMALL_LIMIT)) as service:
        add_echo(service)
        with running(service) as it:
            yield it


def padded(size: int) -> bytes:
    """A valid conversation of exactly ``size`` bytes."""
    empty = json.dumps({**CHAT, "pad": ""}).encode()
    body = json.dumps({**CHAT, "pad": "x" * (size - len(empty))}).encode()
    assert len(body) == size
    return body


def test_a_connection_serves_one_request_after_another(client: Client) -> None:
    for _ in range(3):
        answer = client.post(PATH, CHAT)
        assert answer.status == 200
        assert answer.json()["choices"][0]["message"]["content"] == "one two"

    assert client.pool.num_connections == 1


def test_a_stream_arrives_whole(client: Client) -> None:
    answer = client.post(PATH, {**CHAT, "stream": True})

    assert answer.headers["content-type"] == "text/event-stream"
    assert events(answer.body)[-1] == "[DONE]"


def test_an_error_leaves_the_connection_usable(client: Client) -> None:
    for body, status in [(b"{", 400), ({**CHAT, "n": "x"}, 400), ({**CHAT, "model": "x"}, 404)]:
        assert client.post(PATH, body).status == status
    assert client.call("PUT", PATH).status == 405
    assert client.get("/nothing").status == 404
    assert client.post(PATH, CHAT).status == 200

    assert client.pool.num_connections == 1


def test_pipelined_requests_are_answered_in_order(live: Running) -> None:
    with RawClient(live.address) as raw:
        texts = [f"number {each}" for each in range(5)]
        raw.send(
            b"".join(
                post_bytes(PATH, {**CHAT, "messages": [{"role": "user", "content": text}]})
                for text in texts
            )
        )
        told = [raw.read_answer().json() for _ in texts]

    assert [each["choices"][0]["message"]["content"] for each in told] == texts


def test_http_1_0_gets_its_answer_and_an_end(live: Running) -> None:
    body = json.dumps({**CHAT, "stream": True}).encode()
    with RawClient(live.address) as raw:
        raw.send(
            b"POST %s HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            % (PATH.encode(), len(body))
            + body
        )
        head, _, rest = raw.read_to_end().partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.0 200")
    assert b"chunked" not in head.lower()
    assert events(rest)[-1] == "[DONE]"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("connection", ["close", "TE, close", "Close ,te", "keep-alive, close"])
def test_a_client_that_asks_for_an_end_among_other_things_gets_it(
    live: Running, connection: str, stream: bool
) -> None:
    with RawClient(live.address) as raw:
        asked = f"Connection: {connection}"
        raw.send(post_bytes(PATH, {**CHAT, "stream": stream}, asked))
        answer = raw.read_to_end()

    assert answer.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in answer.lower()


def test_a_chunked_request_body_is_read(live: Running) -> None:
    body = json.dumps(CHAT).encode()
    with RawClient(live.address) as raw:
        raw.send(
            b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n" % PATH.encode()
        )
        for start in range(0, len(body), 10):
            part = body[start : start + 10]
            raw.send(b"%x\r\n%s\r\n" % (len(part), part))
        raw.send(b"0\r\n\r\n")

        assert raw.read_answer().status == 200


def test_the_server_does_not_say_what_it_is(client: Client) -> None:
    for answer in (client.get("/live"), client.get("/nothing"), client.post(PATH, CHAT)):
        assert "server" not in answer.headers
        assert "via" not in answer.headers


def test_a_request_id_is_echoed_over_the_wire(client: Client) -> None:
    assert client.call("GET", "/live", **{ID_HEADER: "trace-7"}).headers[ID_HEADER] == "trace-7"
    assert len(client.get("/live").headers[ID_HEADER]) == 32


BAD_BYTES: list[tuple[str, bytes, int]] = [
    ("no HTTP at all", b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
    ("a lower case method", b"get / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("a space before the colon", b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
    ("a bare line feed", b"GET / HTTP/1.1\r\nHost: x\nX: y\r\n\r\n", 400),
    ("two lengths", b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    ("a signed length", b"POST / HTTP/1.1\r\nContent-Length: +4\r\n\r\n", 400),
    ("no host", b"GET / HTTP/1.1\r\n\r\n", 400),
    ("two hosts", b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
    ("two keys", b"GET / HTTP/1.0\r\nAuthorization: x\r\nAuthorization: y\r\n\r\n", 400),
    ("a folded header", b"GET / HTTP/1.1\r\nHost: x\r\nX: y\r\n z\r\n\r\n", 400),
    ("a null byte", b"GET / HTTP/1.1\r\nHost: x\r\nX: \0\r\n\r\n", 400),
    ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ("1.0 and a coding", b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (
        "a length and a coding",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        400,
    ),
    (
        "chunked twice",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
        400,
    ),
    ("many headers", b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 100 + b"\r\n", 431),
    ("an unknown coding", b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
    (
        "a broken chunk",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        400,
    ),
    ("a huge header", b"GET / HTTP/1.1\r\nX: " + b"y" * (HEADER_LIMIT + 100) + b"\r\n\r\n", 431),
]


@pytest.mark.parametrize(
    ("data", "status"), [row[1:] for row in BAD_BYTES], ids=[row[0] for row in BAD_BYTES]
)
def test_bad_bytes_get_an_error_in_openais_shape_and_an_end(
    live: Running, caplog: pytest.LogCaptureFixture, data: bytes, status: int
) -> None:
    with RawClient(live.address) as raw:
        raw.send(data)
        answer = raw.read_answer()
        assert raw.read_to_end() == b""

    assert answer.status == status
    assert answer.headers["connection"] == "close"
    assert answer.headers["content-type"] == "application/json"
    assert len(answer.headers[ID_HEADER]) == 32
    assert answer.error["type"] == ("invalid_request_error" if status < 500 else "server_error")
    assert b"waitress" not in answer.body.lower()
    assert not [each for each in caplog.records if each.levelno >= logging.ERROR]


def test_a_body_of_exactly_the_limit_is_accepted(small: Running) -> None:
    client = Client(small.address)

    assert client.post(PATH, padded(SMALL_LIMIT)).status == 200
    assert client.post(PATH, padded(SMALL_LIMIT + 1)).status == 413
    client.close()


def upload(raw: RawClient, head: bytes, size: int) -> Answer:
    """Send ``head`` and ``size`` bytes whether or not an answer came, then read the answer."""
    raw.send(head)
    for _ in range(size // 65536):
        raw.send(b"x" * 65536)
    answer = raw.read_answer()
    raw.sock.shutdown(socket.SHUT_WR)
    assert raw.read_to_end() == b""
    return answer


@pytest.mark.parametrize("megabytes", [1, 32])
def test_a_client_that_sends_far_too_much_can_read_why(small: Running, megabytes: int) -> None:
    size = megabytes * 1024 * 1024
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"{ID_HEADER}: big\r\nContent-Length: {size}\r\n\r\n"
    )
    with RawClient(small.address) as raw:
        answer = upload(raw, head.encode(), size)

    assert answer.status == 413
    assert answer.error["code"] == "request_too_large"
    assert answer.headers[ID_HEADER] == "big"


def test_a_chunked_body_over_the_limit_is_refused_too(small: Running) -> None:
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        "Transfer-Encoding: chunked\r\n\r\nFFFFFFF\r\n"
    )
    with RawClient(small.address) as raw:
        assert upload(raw, head.encode(), 1024 * 1024).status == 413


def test_a_client_that_asks_first_is_refused_before_it_sends(small: Running) -> None:
    with RawClient(small.address) as raw:
        raw.send(
            f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Content-Length: {SMALL_LIMIT * 10}\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        answer = raw.read_answer()

    assert answer.status == 413


def test_a_client_that_asks_first_and_may_is_told_to_continue(live: Running) -> None:
    request = post_bytes(PATH, CHAT, "Expect: 100-continue")
    head, _, body = request.partition(b"\r\n\r\n")
    with RawClient(live.address) as raw:
        raw.send(head + b"\r\n\r\n")
        assert raw.read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        raw.send(body)
        assert raw.read_answer().status == 200


def test_a_refused_upload_is_never_taken_for_a_request(small: Running) -> None:
    smuggled = b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n"
    with RawClient(small.address) as raw:
        raw.send(
            f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n".encode() + smuggled
        )
        assert raw.read_answer().status == 413
        raw.sock.shutdown(socket.SHUT_WR)
        assert raw.read_to_end() == b""


def test_a_connection_that_a_drain_gives_up_is_closed_at_once(
    live: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    ready = Channel.ready

    def note(channel: Channel, events: int) -> None:
        seen.append(channel)
        ready(channel, events)

    monkeypatch.setattr(Channel, "ready", note)
    with RawClient(live.address) as raw:
        raw.send(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert raw.read_answer().status == 200
        channel = seen[0]
        channel.server.loop.call(channel.cancel)

        assert raw.read_to_end() == b""

    assert not channel.server.channels()


def test_many_clients_at_once_each_get_their_own_answer(live: Running) -> None:
    wrong: list[object] = []

    def ask(number: int) -> None:
        client = Client(live.address)
        for turn in range(10):
            text = f"client {number} turn {turn}"
            body = {**CHAT, "messages": [{"role": "user", "content": text}]}
            told = client.post(PATH, body).json()["choices"][0]["message"]["content"]
            if told != text:
                wrong.append((text, told))
        client.close()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()

    assert not wrong


def test_the_settings_use_no_temporary_files_and_name_no_product() -> None:
    settings = waitress_settings(LOCAL)

    assert settings["inbuf_overflow"] > settings["max_request_body_size"]
    assert settings["outbuf_overflow"] > settings["outbuf_high_watermark"]
    assert settings["max_request_body_size"] == LOCAL.body_limit + 1
    assert settings["ident"] is None
    assert settings["expose_tracebacks"] is False
    assert settings["asyncore_use_poll"] is True
    assert 0 < settings["connection_limit"] <= LOCAL.connection_limit + SPARE_CONNECTIONS


@pytest.mark.parametrize("hours", [1, -1, 24 * 365])
def test_a_wall_clock_that_jumps_closes_no_idle_connection(live: Running, hours: int) -> None:
    looked = threading.Event()
    with RawClient(live.address) as raw, ClockJump(hours * 3600.0):
        raw.send(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert raw.read_answer().status == 200
        shared_loop().call_later(1.5 * SWEEP_SECONDS, looked.set)
        assert looked.wait(DEADLINE)
        raw.send(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert raw.read_answer().status == 200


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n",
        b"no HTTP\r\n\r\n",
        post_bytes(PATH, CHAT),
        post_bytes("/v1/chat/completions/", CHAT),
        post_bytes(PATH, {**CHAT, "model": "unknown"}),
    ],
)
def test_json_is_neither_kept_on_the_way_nor_taken_for_a_page(
    live: Running, request_: bytes
) -> None:
    with RawClient(live.address) as raw:
        raw.send(request_)
        answer = raw.read_answer()
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_trailing_slash_is_known_before_the_body_is_there(live: Running) -> None:
    """A body that comes in pieces is waited for, as without the slash."""
    request = post_bytes("/v1/chat/completions/", CHAT)
    with RawClient(live.address) as raw:
        raw.send(request[:-5])
        raw.send(request[-5:])
        assert raw.read_answer().status == 200
