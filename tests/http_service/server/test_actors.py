"""The server as a child of a bigger tree: it may crash and restart, its address stays."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from actors.engines.contract import Kind
from actors.eventloop import EventLoop
from actors.supervision import Address, Supervisor, Tree
from actors.supervision.cancellation import CancellationToken
from http_service import HttpService
from http_service.server.actors import ServerFailed
from http_service.server.waitress_server import WaitressServer
from tests.http_service.conftest import LOCAL
from tests.http_service.engines import DEADLINE, ManualEngine, token_chunk
from tests.http_service.serving import CHAT, Client, RawClient, eventually, post_bytes, running

PATH = "/v1/chat/completions"


@pytest.fixture
def grown(service: HttpService) -> Iterator[Tree]:
    """A tree with the service as its child."""
    token = CancellationToken()
    tree = Supervisor.start(service.child(token), intensity=20, period=10.0)
    yield tree
    token.cancel()
    tree.stop(timeout=DEADLINE)


def crash(address: Address) -> None:
    """Kill the server and wait for its next incarnation."""
    before = address.epoch
    address.tell(ServerFailed(RuntimeError("a poison event")))
    eventually(lambda: address.epoch > before, "a new incarnation")


def test_a_crashed_server_is_restarted(service: HttpService, grown: Tree) -> None:
    client = Client(service.address)
    assert client.post(PATH, CHAT).status == 200
    client.close()
    crash(grown.address("http"))

    client = Client(service.address)
    assert client.post(PATH, CHAT).status == 200
    client.close()


def test_no_connection_is_refused_while_the_server_restarts(
    service: HttpService, grown: Tree
) -> None:
    failures: list[BaseException] = []
    stop = threading.Event()
    where = service.address

    def connect() -> None:
        while not stop.is_set():
            try:
                socket.create_connection(where, timeout=DEADLINE).close()
            except OSError as error:
                failures.append(error)

    threads = [threading.Thread(target=connect) for _ in range(3)]
    for thread in threads:
        thread.start()
    address = grown.address("http")
    for _ in range(5):
        crash(address)
    stop.set()
    for thread in threads:
        thread.join(DEADLINE)

    assert not failures


def test_a_restart_by_hand_keeps_the_port_and_loses_no_request(
    service: HttpService, grown: Tree
) -> None:
    address = service.address
    grown.stop_child("http")
    with socket.create_connection(address, timeout=DEADLINE):
        grown.restart_child("http")

    client = Client(address)
    assert client.post(PATH, CHAT).status == 200
    assert client.get("/ready").status == 200
    client.close()


def test_a_failure_to_accept_crashes_the_server_and_the_next_one_serves(
    service: HttpService, grown: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept, failures = WaitressServer.handle_accept, [RuntimeError("a bug in accepting")]

    def fail_once(server: WaitressServer) -> None:
        if failures:
            raise failures.pop()
        accept(server)

    monkeypatch.setattr(WaitressServer, "handle_accept", fail_once)
    address = grown.address("http")
    before = address.epoch

    client = Client(service.address)
    assert client.post(PATH, CHAT).status == 200

    assert not failures
    eventually(lambda: address.epoch == before + 1, "exactly one restart")
    client.close()


def test_a_crash_of_the_server_leaves_its_connections_open(
    service: HttpService, grown: Tree
) -> None:
    with RawClient(service.address) as raw:
        raw.send(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
        raw.read_answer()
        crash(grown.address("http"))

        raw.send(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert raw.read_answer().status == 200


def test_a_stream_goes_on_while_the_server_crashes_and_restarts(
    service: HttpService, grown: Tree
) -> None:
    engine = ManualEngine()
    service.model_manager().add_chat_completions_model("manual", engine)
    with RawClient(service.address) as raw:
        raw.send(post_bytes(PATH, {**CHAT, "model": "manual", "stream": True}))
        sink = engine.wait_started()
        sink.push(token_chunk(Kind.CHAT, "before"))
        raw.read_until(b"before")
        crash(grown.address("http"))
        sink.push(token_chunk(Kind.CHAT, "after"))
        raw.read_until(b"after")
        sink.finish()
        raw.read_until(b"0\r\n\r\n")


def test_a_stream_goes_on_when_the_event_loops_thread_dies(own_loop: EventLoop) -> None:
    engine = ManualEngine()
    with HttpService(LOCAL, loop=own_loop) as service, running(service) as live:
        service.model_manager().add_chat_completions_model("manual", engine)
        with RawClient(live.address) as raw:
            raw.send(post_bytes(PATH, {**CHAT, "model": "manual", "stream": True}))
            sink = engine.wait_started()
            sink.push(token_chunk(Kind.CHAT, "before"))
            raw.read_until(b"before")
            died = threading.Event()
            own_loop.on_crash(lambda _error: died.set())

            own_loop.call(die)
            assert died.wait(DEADLINE)

            sink.push(token_chunk(Kind.CHAT, "after"))
            raw.read_until(b"after")
            sink.finish()
            raw.read_until(b"0\r\n\r\n")


def test_an_abandoned_server_serves_again_after_a_restart(service: HttpService) -> None:
    brutal = replace(service.child(CancellationToken()), shutdown=0)
    tree = Supervisor.start(brutal)
    tree.stop_child("http")
    tree.restart_child("http")

    client = Client(service.address)
    assert client.post(PATH, CHAT).status == 200
    client.close()
    tree.stop(timeout=DEADLINE)


@pytest.fixture
def own_loop() -> Iterator[EventLoop]:
    """An event loop that may be broken."""
    loop = EventLoop()
    yield loop
    loop.stop()
    eventually(lambda: ended(loop), "the loop's thread has ended")
    loop.close()


def ended(loop: EventLoop) -> bool:
    """Whether no thread is inside the loop."""
    return loop.thread is None  # pyright: ignore[reportPrivateUsage]  # stop() only asks


def die() -> None:
    """End the thread that calls it."""
    raise SystemExit("the loop's thread is killed")
