"""Dialling on the loop: every address, each with its deadline, and it can be given up any time."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator

import pytest

from actors.engines.upstream.dial import Dial, Place
from actors.engines.upstream.names import Address, Names
from actors.eventloop import EventLoop
from actors.eventloop.poller import closed
from tests.engines.raw_server import closed_port
from tests.engines.recording import DEADLINE, wait_until


class Dialled:
    """A dial on a loop of its own that the test steps."""

    def __init__(self, place: Place, names: Names | None = None, seconds: float = DEADLINE) -> None:
        self.loop = EventLoop(autostart=False)
        self.sockets: list[socket.socket] = []
        self.errors: list[OSError] = []
        self.dial = Dial(
            self.loop, names or Names(), place, seconds, self.sockets.append, self.errors.append
        )

    def step_until(self, condition: Callable[[], object]) -> None:
        def stepped() -> object:
            self.loop.step(0.01)
            return condition()

        wait_until(stepped)

    def close_sockets(self) -> None:
        for sock in self.sockets:
            closed(sock.fileno())  # as whoever uses a socket does
            sock.close()

    def socket(self) -> socket.socket:
        self.step_until(lambda: self.sockets or self.errors)
        (sock,) = self.sockets
        return sock

    def error(self) -> OSError:
        self.step_until(lambda: self.sockets or self.errors)
        (error,) = self.errors
        return error


Dialling = Callable[..., Dialled]


@pytest.fixture
def dialling() -> Iterator[Dialling]:
    with contextlib.ExitStack() as stack:

        def make(
            port: int,
            *,
            host: str = "127.0.0.1",
            tls: ssl.SSLContext | None = None,
            names: Names | None = None,
            seconds: float = DEADLINE,
        ) -> Dialled:
            dialled = Dialled(Place(host, port, tls), names, seconds)
            stack.callback(dialled.loop.close)
            stack.callback(dialled.close_sockets)
            return dialled

        yield make


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(DEADLINE)
        yield listening


@pytest.fixture
def full_port() -> Iterator[int]:
    """A listener whose queue is full: further connections get no answer."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        # The queue of a listener that accepts nobody holds one; further SYNs are dropped.
        with socket.create_connection(listening.getsockname()):
            yield listening.getsockname()[1]


def port_of(sock: socket.socket) -> int:
    port: int = sock.getsockname()[1]
    return port


def names_of(*ports: int) -> Names:
    """A resolver whose every name has an address on loopback for each of ``ports``."""
    found = [Address(socket.AF_INET, ("127.0.0.1", port)) for port in ports]
    return Names(lambda host, port: found)


def test_a_connected_socket_does_not_block_and_sends_small_packets_at_once(
    dialling: Dialling, listener: socket.socket
) -> None:
    sock = dialling(port_of(listener)).socket()
    assert sock.getpeername() == listener.getsockname()
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert sock.gettimeout() == 0


def test_nobody_is_called_from_within_the_constructor(dialling: Dialling) -> None:
    dialled = dialling(closed_port())
    assert (dialled.sockets, dialled.errors) == ([], [])


def test_nobody_listening_is_told_as_refused(dialling: Dialling) -> None:
    assert isinstance(dialling(closed_port()).error(), ConnectionRefusedError)


def test_every_address_of_a_name_is_tried(dialling: Dialling, listener: socket.socket) -> None:
    names = names_of(closed_port(), closed_port(), port_of(listener))
    assert dialling(1, host="name", names=names).socket().getpeername() == listener.getsockname()


def test_the_last_addresss_failure_is_told_when_none_answers(dialling: Dialling) -> None:
    names = names_of(closed_port(), closed_port())
    assert isinstance(dialling(1, host="name", names=names).error(), ConnectionRefusedError)


def test_a_name_without_address_is_told(dialling: Dialling) -> None:
    assert "no address" in str(dialling(1, host="nowhere", names=names_of()).error())


def test_of_thousands_of_dead_addresses_the_last_failure_is_told(dialling: Dialling) -> None:
    assert isinstance(dialling(1, host="name", names=names_of(*[-1] * 2_000)).error(), OSError)


@pytest.mark.parametrize(
    "address",
    [
        Address(socket.AF_INET, ("127.0.0.1", 1 << 20)),
        Address(socket.AF_INET, ("127.0.0.1", -1)),
        Address(socket.AF_INET6, ("fe80::1%nowhere", 1)),
        Address(9_999, ("127.0.0.1", 1)),
    ],
    ids=["port too high", "port too low", "zone", "family"],
)
def test_an_address_that_no_socket_takes_is_told_and_the_next_one_tried(
    dialling: Dialling, listener: socket.socket, address: Address
) -> None:
    good = Address(socket.AF_INET, listener.getsockname())
    names = [Names(lambda host, port: [address]), Names(lambda host, port: [address, good])]
    assert isinstance(dialling(1, host="name", names=names[0]).error(), OSError)
    assert dialling(1, host="name", names=names[1]).socket().getpeername() == good.place


def test_a_host_that_no_certificate_can_name_is_told(
    dialling: Dialling, listener: socket.socket
) -> None:
    tls = ssl.create_default_context()
    names = names_of(port_of(listener))
    assert isinstance(dialling(1, host=".leading.dot", tls=tls, names=names).error(), OSError)


def test_an_address_that_does_not_answer_is_given_up_for_the_next(
    dialling: Dialling, full_port: int, listener: socket.socket
) -> None:
    names = names_of(full_port, port_of(listener))
    dialled = dialling(1, host="name", names=names, seconds=0.05)
    assert dialled.socket().getpeername() == listener.getsockname()


def test_a_listener_that_does_not_answer_is_a_timeout(dialling: Dialling, full_port: int) -> None:
    assert isinstance(dialling(full_port, seconds=0.05).error(), TimeoutError)


def test_a_handshake_that_does_not_end_is_a_timeout(
    dialling: Dialling, listener: socket.socket
) -> None:
    tls = ssl.create_default_context()
    assert isinstance(dialling(port_of(listener), tls=tls, seconds=0.05).error(), TimeoutError)


def test_a_listener_that_speaks_no_tls_is_told(dialling: Dialling, listener: socket.socket) -> None:
    dialled = dialling(port_of(listener), tls=ssl.create_default_context())
    dialled.loop.step(0)
    peer, _ = listener.accept()
    with peer:
        peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        assert isinstance(dialled.error(), ssl.SSLError)


def test_who_gives_up_hears_nothing_and_the_peer_hears_of_it(
    dialling: Dialling, listener: socket.socket
) -> None:
    dialled = dialling(port_of(listener), tls=ssl.create_default_context())
    dialled.loop.step(0)
    peer, _ = listener.accept()
    dialled.loop.step(0.1)
    dialled.dial.close()
    dialled.dial.close()
    with peer:
        peer.settimeout(DEADLINE)
        while peer.recv(4096):
            pass
    dialled.loop.step(0)
    assert (dialled.sockets, dialled.errors) == ([], [])


def test_a_loop_that_is_closed_meanwhile_fails_the_dial(dialling: Dialling, full_port: int) -> None:
    dialled = dialling(full_port)
    dialled.loop.step(0)
    dialled.loop.close()
    assert len(dialled.errors) == 1
