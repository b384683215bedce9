"""The server as a child of a bigger tree: it may crash and restart, its address stays."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from actors.supervision import Address, Supervisor, Tree
from actors.supervision.cancellation import CancellationToken
from http_service import HttpService
from http_service.server.http_server import LoopEnded
from http_service.server.io_loop import LOOP_NAME
from http_service.server.waitress_server import WaitressServer
from tests.http_service.engines import DEADLINE
from tests.http_service.serving import CHAT, Client, RawClient, eventually

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
    address.tell(LoopEnded(RuntimeError("a poison event")))
    eventually(lambda: address.epoch > before, "a new incarnation")


def test_a_crashed_loop_crashes_the_actor_which_is_restarted(
    service: HttpService, grown: Tree
) -> None:
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


def test_a_crashed_server_leaves_no_loop_behind(service: HttpService, grown: Tree) -> None:
    with RawClient(service.address) as raw:
        raw.send(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
        raw.read_answer()
        crash(grown.address("http"))

        assert raw.read_to_end() == b"", "its connections are closed"

    eventually(lambda: loops() == 1, "one loop is left")


def test_an_abandoned_server_leaves_no_loop_behind(service: HttpService) -> None:
    brutal = replace(service.child(CancellationToken()), shutdown=0)
    tree = Supervisor.start(brutal)
    tree.stop_child("http")
    eventually(lambda: loops() == 0, "its loop has ended")
    tree.restart_child("http")

    client = Client(service.address)
    assert client.post(PATH, CHAT).status == 200
    client.close()
    tree.stop(timeout=DEADLINE)


def loops() -> int:
    """How many I/O loops are running."""
    return sum(thread.name == LOOP_NAME for thread in threading.enumerate())
