"""What a connection makes of whatever an application answers: by hand, without a socket."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from actors.eventloop import READ
from http_service.connection import KEY, Connection
from http_service.server.parser import Parser
from http_service.server.waitress_closing import WRITE_QUANTUM
from tests.http_service.server.fuzz.served import Host

GET = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody"

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


class Writer:
    """Takes a response over, and notes what it is told."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, list[tuple[str, str]], bool]] = []
        self.left = 0
        self.connection: Any = None

    def begin(self, version: str, headers: list[tuple[str, str]], *, close: bool) -> None:
        self.begun.append((version, headers, close))

    def client_left(self) -> None:
        self.left += 1
        self.connection.resume(close=True)

    def sent(self, unsent: int) -> None: ...


def host(application: Application) -> Host:
    made = Host(Parser)
    made.answer = application
    return made


def answered(application: Application, request: bytes = GET) -> bytes:
    """All that is written to ``request``."""
    made = host(application)
    made.take(request)
    return b"".join(made.wire.written)


def whole(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("content-length", "2"), ("X-A", "b")])
    return [b"ok"]


def test_a_short_whole_answer_is_written_at_once() -> None:
    made = host(whole)
    made.take(GET)

    (written,) = made.wire.written
    head, _, body = written.partition(b"\r\n\r\n")
    assert body == b"ok"
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"cache-control: no-store" in head
    assert b"connection:" not in head.lower()
    assert made.channel.connected


@pytest.mark.parametrize(
    ("request_", "said", "stays"),
    [
        (b"GET / HTTP/1.0\r\n\r\n", b"connection: close", False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", b"connection: keep-alive", True),
        (b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", b"connection: close", False),
    ],
)
def test_a_short_answer_says_whether_the_connection_goes_on(
    request_: bytes, said: bytes, stays: bool
) -> None:
    made = host(whole)
    made.take(request_)

    assert said in b"".join(made.wire.written).lower()
    assert made.channel.connected is stays


def test_an_answer_without_a_body_has_none() -> None:
    def application(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("204 No Content", [])
        return [b"what nobody may see"]

    written = answered(application)
    assert written.startswith(b"HTTP/1.1 204 No Content\r\n")
    assert written.endswith(b"\r\n\r\n")


def test_a_head_request_gets_the_head() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        whole(environ, start_response)
        return []

    written = answered(application, GET.replace(b"GET", b"HEAD"))
    assert b"content-length: 2" in written.lower()
    assert written.endswith(b"\r\n\r\n")


def test_what_is_no_single_piece_is_iterated_over() -> None:
    def application(_environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])  # only when the body is asked for
        yield b"one"
        yield b"two"

    assert answered(application).endswith(b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")


def test_what_is_written_by_hand_comes_before_the_body() -> None:
    def application(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [("content-length", "6")])
        write(b"one")
        return [b"two"]

    assert answered(application).endswith(b"\r\n\r\nonetwo")


def test_a_long_piece_is_written_a_turn_at_a_time() -> None:
    def application(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"x" * 3 * WRITE_QUANTUM]

    made = host(application)
    made.take(GET)
    assert max(map(len, made.wire.written)) <= WRITE_QUANTUM
    assert b"".join(made.wire.written).endswith(b"\r\n\r\n" + b"x" * 3 * WRITE_QUANTUM)


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        ("200 OK", [("x-a", "b\r\nx-smuggled: c")]),
        ("200 OK", [("x-a", "b\nc")]),
        ("200 OK", [("x\r\ny", "b")]),
        ("200 OK\r\nx: y", []),
        ("200 OK", [("Connection", "close")]),
        ("200 OK", [("transfer-encoding", "chunked")]),
        ("200 OK", [("content-length", "many")]),
    ],
)
def test_headers_that_http_cannot_say_are_our_own_failure(
    status: str, headers: list[tuple[str, str]]
) -> None:
    def application(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response(status, headers)
        return [b"never"]

    logging.getLogger("waitress").disabled = True
    try:
        written = answered(application)
    finally:
        logging.getLogger("waitress").disabled = False
    assert written.startswith(b"HTTP/1.1 500 ")
    assert b"smuggled" not in written


def test_a_second_start_is_a_mistake_unless_it_tells_of_an_error() -> None:
    def application(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("content-length", "99"), ("cache-control", "public")])
        with pytest.raises(AssertionError):
            start_response("201 Created", [])
        start_response("503 Service Unavailable", [], (ValueError, ValueError(), None))
        return [b"oh"]

    written = answered(application).lower()
    assert written.startswith(b"http/1.1 503 ")
    assert b"content-length: 2\r\n" in written


def test_who_takes_over_begins_when_the_application_has_returned() -> None:
    writer = Writer()

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        connection: Connection | None = environ.get(KEY)
        assert connection is not None
        assert connection.whole_body() == b"body"
        start_response("200 OK", [("x-a", "b")])
        body = connection.take_over(writer)
        assert not writer.begun
        return body

    made = host(application)
    made.take(POST)

    assert writer.begun == [("1.1", [("x-a", "b")], False)]
    assert made.wire.written == []
    made.channel.watch = SimpleNamespace(interest=READ)
    made.channel.send_now(b"all of it")
    made.channel.resume(close=False)
    assert made.wire.written == [b"all of it"]
    assert made.channel.idle_since is not None


def test_a_request_that_was_taken_over_keeps_neither_head_nor_body() -> None:
    parsed: list[Any] = []
    writer = Writer()

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        parsed.append(environ[KEY].requests[0])
        start_response("200 OK", [])
        taken: Iterable[bytes] = environ[KEY].take_over(writer)
        return taken

    made = host(application)
    made.take(POST)

    assert isinstance(parsed[0], Parser)
    assert not [each for each in made.channel.requests if isinstance(each, Parser)]
    # What few connections need is not there before they do.
    assert "outbufs" not in made.channel.__dict__
    assert "outbuf_lock" not in made.channel.__dict__


def test_who_took_over_is_told_where_the_application_fails_all_the_same() -> None:
    writer = Writer()

    def application(environ: dict[str, Any], _start_response: Any) -> Iterable[bytes]:
        writer.connection = environ[KEY]
        environ[KEY].take_over(writer)
        raise ValueError("after all")

    logging.getLogger("waitress").disabled = True
    try:
        written = answered(application)
    finally:
        logging.getLogger("waitress").disabled = False
    assert written.startswith(b"HTTP/1.1 500 ")
    assert (writer.begun, writer.left) == ([], 1)


def test_a_request_that_must_wait_runs_again_on_a_worker() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if not made.workers:
            again: Iterable[bytes] = environ[KEY].run_on_worker()
            return again
        return whole(environ, start_response)

    made = host(application)
    made.wire.read = GET
    made.channel.ready(READ)
    assert made.wire.written == []
    (channel,) = made.workers
    channel.service()
    assert b"".join(made.wire.written).endswith(b"ok")


def test_a_parked_request_runs_again_on_the_loop_until_its_time_is_over() -> None:
    runs: list[float] = []

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        runs.append(made.now)
        return environ[KEY].park(0.2) or whole(environ, start_response)

    made = host(application)
    made.take(GET)

    assert made.workers == []
    assert runs[-1] - runs[0] >= 0.2
    assert len(runs) < 15, "few runs for a long wait"
    assert b"".join(made.wire.written).endswith(b"ok")


def test_a_parked_request_whose_client_left_does_not_run_again() -> None:
    runs: list[int] = []

    def application(environ: dict[str, Any], _start_response: Any) -> Iterable[bytes]:
        runs.append(1)
        return environ[KEY].park(10.0) or ()

    made = host(application)
    made.wire.read = GET
    made.channel.ready(READ)
    made.channel.handle_close()
    made.take(b"")

    assert len(runs) == 1


def test_who_pipelines_is_served_one_request_a_round() -> None:
    made = host(whole)
    made.wire.read = GET + GET
    made.channel.ready(READ)
    assert made.wire.written == []

    made.take(b"")
    assert len(made.wire.written) == 2
