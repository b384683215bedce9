"""A request leaves nothing to the garbage collector: it is freed as soon as it has ended.

Cycles cost a request a tenth of its time, and a pause now and then that clients see as a slow
answer.
"""

from __future__ import annotations

import gc
import json
import socket
import threading
from collections.abc import Iterator

import falcon
import pytest

from actors.engines import EchoEngine
from actors.engines.upstream import UpstreamEngine
from actors.eventloop import shared_loop
from http_service import HttpService, HttpServiceConfig
from http_service.server.parser import Parser
from http_service.server.waitress_task import AppResponse
from tests.engines.raw_server import RawServer, answer, says
from tests.engines.relaying import STREAM, UNARY
from tests.http_service.engines import DEADLINE, ManualEngine
from tests.http_service.serving import Running, running

REQUESTS = 40


@pytest.fixture
def gc_on_demand() -> Iterator[None]:
    """No collection but the test's own."""
    gc.collect()
    gc.freeze()
    gc.disable()
    yield
    gc.enable()


def posting(model: str, *, stream: bool) -> bytes:
    body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": "a b"}]}
    data = json.dumps(body).encode()
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n\r\n%s" % (len(data), data)
    )


LIVE = b"GET /live HTTP/1.1\r\nhost: h\r\n\r\n"

CASES: dict[str, tuple[bytes, bytes]] = {
    # the request, and how its answer ends
    "probe": (LIVE, b"}"),
    "in process, unary": (posting("echo", stream=False), b"}"),
    "in process, stream": (posting("echo", stream=True), b"0\r\n\r\n"),
    "relayed, unary": (posting("up-unary", stream=False), b"}"),
    "relayed, stream": (posting("up-stream", stream=True), b"0\r\n\r\n"),
    "relayed, refused": (posting("up-500", stream=False), b"}"),
    "relayed, nobody there": (posting("up-nobody", stream=True), b"}"),
    "no JSON": (posting("echo", stream=False).replace(b"{", b"["), b"}"),
    "unknown model": (posting("nobody", stream=False), b"}"),
}


def ask(connection: socket.socket, request: bytes, end: bytes, times: int) -> None:
    for _ in range(times):
        connection.sendall(request)
        got = b""
        while not got.endswith(end):
            got += connection.recv(65_536)


@pytest.fixture
def service() -> Iterator[Running]:
    with (
        RawServer(says(UNARY)) as unary,
        RawServer(says(STREAM)) as stream,
        RawServer(says(answer(500, b"{}"))) as broken,
        socket.create_server(("127.0.0.1", 0)) as nobody,
        running(HttpService(HttpServiceConfig(host="127.0.0.1", port=0))) as made,
    ):
        models = made.service.model_manager()
        models.add_chat_completions_model("echo", EchoEngine())
        urls = {
            "up-unary": unary.url,
            "up-stream": stream.url,
            "up-500": broken.url,
            "up-nobody": f"http://127.0.0.1:{nobody.getsockname()[1]}",
        }
        nobody.close()
        engines = {model: UpstreamEngine(url) for model, url in urls.items()}
        for model, engine in engines.items():
            models.add_chat_completions_model(model, engine)
        yield made
        for engine in engines.values():
            engine.close()


@pytest.mark.usefixtures("gc_on_demand")
@pytest.mark.parametrize("case", CASES)
def test_a_request_that_ended_is_freed_at_once(service: Running, case: str) -> None:
    request, end = CASES[case]
    with socket.create_connection(service.address, DEADLINE) as connection:
        ask(connection, request, end, 3)  # what is made once, and kept
        gc.collect()
        ask(connection, request, end, REQUESTS)
        assert gc.collect() < REQUESTS


def remains_of_requests() -> int:
    """How many objects there are that hold a request's head or body, but for what answers it."""
    gc.collect()
    objects = gc.get_objects()
    parsers = [each for each in objects if isinstance(each, Parser)]
    made = [
        each for each in objects if isinstance(each, falcon.Request | falcon.Response | AppResponse)
    ]
    return len(made) + sum(bool(each.headers or each.whole_body()) for each in parsers)


def wait_for_the_loop() -> None:
    """Until it has handled what there is to read."""
    handled = threading.Event()
    shared_loop().call(handled.set)
    assert handled.wait(DEADLINE)


def test_a_held_stream_keeps_nothing_of_its_request() -> None:
    engine = ManualEngine()
    before = remains_of_requests()
    with running(HttpService(HttpServiceConfig(host="127.0.0.1", port=0))) as live:
        live.service.model_manager().add_chat_completions_model("held", engine)
        with socket.create_connection(live.address, DEADLINE) as connection:
            for pieces in (1, 2):  # whole with its head, and in pieces
                request = posting("held", stream=True)
                for piece in (request,) if pieces == 1 else (request[:-9], request[-9:]):
                    connection.sendall(piece)
                    wait_for_the_loop()
                sink = engine.wait_started()
                wait_for_the_loop()
                assert remains_of_requests() == before
                sink.finish()
                ask(connection, b"", b"0\r\n\r\n", 1)
