"""Dialling can be broken off by another thread, in each of its phases."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Sequence

import pytest

from actors.engines.dial import dial, hang_up
from tests.engines.raw_server import closed_port
from tests.engines.recording import DEADLINE


def no_hold(sock: socket.socket) -> None:
    """Nobody will hang up."""


def broken_off(port: int, tls: ssl.SSLContext | None, phase: int) -> BaseException | None:
    """Dial on another thread, hang up once ``hold`` was called ``phase`` times."""
    held: list[socket.socket] = []
    reached = threading.Event()
    ended: list[BaseException | None] = []

    def hold(sock: socket.socket) -> None:
        held.append(sock)
        if len(held) == phase:
            reached.set()

    def run() -> None:
        try:
            dial("127.0.0.1", port, tls, DEADLINE * 2, hold).close()
            ended.append(None)
        except OSError as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert reached.wait(DEADLINE)
    while thread.is_alive():  # the socket may not have begun to wait yet: hang up until it heard
        hang_up(held[-1])
        thread.join(0.01)
    return ended[0]


def resolve_to(monkeypatch: pytest.MonkeyPatch, found: Sequence[object]) -> None:
    """Have every name look up to ``found``."""

    def getaddrinfo(host: str, port: int, *, type: int) -> Sequence[object]:  # noqa: A002  # theirs
        return found

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def test_a_connected_socket_sends_small_packets_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with dial("127.0.0.1", port, None, DEADLINE, no_hold) as sock:
            assert sock.getpeername() == ("127.0.0.1", port)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_nobody_listening_is_told_as_refused() -> None:
    with pytest.raises(ConnectionRefusedError):
        dial("127.0.0.1", closed_port(), None, DEADLINE, no_hold)


def test_every_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        found = socket.getaddrinfo("127.0.0.1", port, type=socket.SOCK_STREAM)
        dead = socket.getaddrinfo("127.0.0.1", closed_port(), type=socket.SOCK_STREAM)
        resolve_to(monkeypatch, dead + found)
        dial("two-addresses", port, None, DEADLINE, no_hold).close()


def test_a_name_without_address_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, [])
    with pytest.raises(OSError, match="no address"):
        dial("nowhere", 1, None, DEADLINE, no_hold)


def test_a_full_listener_can_be_hung_up_on_while_it_does_not_answer() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        # The queue of a listener that accepts nobody holds one; further SYNs are dropped.
        with socket.create_connection(("127.0.0.1", port)):
            assert isinstance(broken_off(port, None, phase=1), OSError)


def test_a_silent_handshake_can_be_hung_up_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        context = ssl.create_default_context()
        assert isinstance(broken_off(listener.getsockname()[1], context, phase=2), OSError)


def test_an_owner_may_refuse_a_socket() -> None:
    def refuse(sock: socket.socket) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        dial("127.0.0.1", closed_port(), None, DEADLINE, refuse)


def test_hanging_up_twice_does_no_harm() -> None:
    left, right = socket.socketpair()
    with left, right:
        hang_up(left)
        hang_up(left)
        assert right.recv(1) == b""
    hang_up(left)
