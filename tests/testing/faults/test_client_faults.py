"""Client faults against a server of three lines that writes down what it saw."""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from actors.testing import FakeClock
from actors.testing.faults import (
    ClientFailed,
    ClockJump,
    Disconnect,
    Fault,
    IdleConnections,
    Malformed,
    Slowloris,
    SlowReader,
    Stall,
    client,
)
from actors.testing.faults.client import Phase
from tests.support.waiting import eventually, free_port

WAIT = 10.0
REQUEST = b"POST / HTTP/1.1\r\nContent-Length: 8\r\n\r\n12345678"


class Server:
    """Takes connections, answers what ``answer`` is, and notes what each client sent and how it
    left."""

    def __init__(self, answer: bytes = b"") -> None:
        self._door = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._door.getsockname()
        self.answer = answer
        self.heard: list[tuple[bytes, str]] = []
        threading.Thread(target=self._run, daemon=True).start()

    def close(self) -> None:
        self._door.close()

    def _run(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._door.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        seen, how = b"", "closed"
        with client:
            try:
                if self.answer:
                    seen = client.recv(65536)
                    client.sendall(self.answer)
                while piece := client.recv(65536):
                    seen += piece
            except OSError:
                how = "reset"
        self.heard.append((seen, how))


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.mark.parametrize(
    ("phase", "body"), [("before-body", b""), ("mid-body", b"1234"), ("waiting", b"12345678")]
)
@pytest.mark.parametrize("reset", [False, True])
def test_a_client_leaves_where_it_was_told_to(
    server: Server, phase: Phase, body: bytes, reset: bool
) -> None:
    Disconnect(server.address, REQUEST, phase, reset=reset).inject()
    eventually(lambda: server.heard, WAIT)
    seen, how = server.heard[0]
    assert how == ("reset" if reset else "closed")
    assert reset or seen.partition(b"\r\n\r\n")[2] == body


def test_a_phase_that_is_none_is_refused_with_those_there_are(server: Server) -> None:
    phase: Any = "midbody"
    with pytest.raises(ValueError, match="before-body, mid-body, waiting, mid-answer: not in"):
        Disconnect(server.address, REQUEST, phase)


def test_a_client_that_stays_a_while_was_read_before_its_reset(server: Server) -> None:
    Disconnect(server.address, REQUEST, "mid-body", reset=True, stay=0.5).inject()
    eventually(lambda: server.heard, WAIT)
    seen, how = server.heard[0]
    assert (seen.partition(b"\r\n\r\n")[2], how) == (b"1234", "reset")


def test_a_client_leaves_within_the_answer(server: Server) -> None:
    server.answer = b"x" * 100
    Disconnect(server.address, REQUEST, "mid-answer", read=5, reset=True, count=2).inject()
    eventually(lambda: len(server.heard) == 2, WAIT)


def test_a_slow_reader_reads_a_little_at_a_time(server: Server) -> None:
    server.answer = b"x" * 5_000_000
    with SlowReader(server.address, REQUEST, count=2, size=10, every=0.01) as fault:
        eventually(lambda: fault.open == 2, WAIT)
        assert not server.heard  # still sending
    eventually(lambda: len(server.heard) == 2, WAIT)


def test_a_slowloris_dribbles_until_it_is_cut(server: Server) -> None:
    with Slowloris(server.address, b"GET", b"/", count=3, every=0.01) as fault:
        assert fault.open == 3
    eventually(lambda: len(server.heard) == 3, WAIT)
    assert all(seen.startswith(b"GET") for seen, _ in server.heard)


def test_idle_clients_say_nothing(server: Server) -> None:
    with IdleConnections(server.address, 20) as fault:
        assert fault.open == 20
    eventually(lambda: len(server.heard) == 20, WAIT)
    assert {seen for seen, _ in server.heard} == {b""}


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    """A server that takes no connection: its backlog is one, and full."""
    monkeypatch.setattr(client, "PATIENCE", 0.1)
    with socket.socket() as door, ExitStack() as stack:
        door.bind(("127.0.0.1", 0))
        door.listen(0)
        stack.enter_context(socket.create_connection(door.getsockname(), WAIT))
        yield door.getsockname()


TWENTY: dict[str, Callable[[tuple[str, int]], Fault]] = {
    "idle": lambda address: IdleConnections(address, 20),
    "slowloris": lambda address: Slowloris(address, b"GET", b"/", count=20),
    "reader": lambda address: SlowReader(address, REQUEST, count=20),
    "disconnect": lambda address: Disconnect(address, REQUEST, "waiting", count=20),
    "malformed": lambda address: Malformed(address, [("nul", b"\0")] * 20),
}


@pytest.mark.parametrize("name", TWENTY)
def test_a_server_that_takes_no_connection_is_named_with_the_cure(
    full: tuple[str, int], name: str
) -> None:
    fault = TWENTY[name](full)
    with pytest.raises(ClientFailed, match=r"client \d+ of 20 .*use a smaller count, or raise"):
        fault.inject()
    assert not fault.active


def test_a_client_that_waits_in_vain_for_an_answer_to_leave_in_says_so(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PATIENCE", 0.05)
    with pytest.raises(ClientFailed, match="client 1 of 1 could not leave mid-answer at"):
        Disconnect(server.address, REQUEST, "mid-answer").inject()


@pytest.mark.parametrize(
    ("error", "cure"),
    [
        (TimeoutError(), "use a smaller count, or raise its limit"),
        (ConnectionRefusedError(), "start the server first"),
        (ConnectionResetError(), "a request it accepts"),
        (BrokenPipeError(), "a request it accepts"),
        (OSError(errno.EMFILE, "too many"), "raise ulimit -n"),
        (OSError(errno.EADDRNOTAVAIL, "none"), "TIME_WAIT"),
        (OSError(errno.EHOSTUNREACH, "no route to host"), "no route to host"),
    ],
)
def test_each_reason_has_its_next_step(error: OSError, cure: str) -> None:
    def fail() -> None:
        with client.doing("connect to", ("127.0.0.1", 1), 3, 20):
            raise error

    with pytest.raises(ClientFailed, match="client 3 of 20 could not connect to 127") as failed:
        fail()
    assert cure in str(failed.value)
    assert failed.value.__cause__ is error


def test_nobody_listens_is_said_at_once() -> None:
    with pytest.raises(ClientFailed, match="no server listens there"):
        IdleConnections(("127.0.0.1", free_port()), 3).inject()


def test_a_client_fault_counts_its_clients(server: Server) -> None:
    server.answer = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno"
    faults: list[tuple[Fault, int]] = [
        (Disconnect(server.address, REQUEST, "waiting", count=2), 2),
        (SlowReader(server.address, REQUEST, count=3), 3),
        (Slowloris(server.address, b"GET", b"/", count=4), 4),
        (IdleConnections(server.address, 5), 5),
        (Malformed(server.address, [("nul", b"\0"), ("empty line", b"\r\n")]), 2),
    ]
    for fault, times in faults:
        assert fault.happened == 0
        with fault:
            assert fault.happened == times, fault


def test_what_is_answered_to_nonsense_is_kept(server: Server) -> None:
    server.answer = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno"
    fault = Malformed(server.address, [("nul", b"\0"), ("empty line", b"\r\n")])
    fault.inject()
    assert [(said.case, said.status, said.ended) for said in fault.heard] == [
        ("nul", 400, False),
        ("empty line", 400, False),
    ]


def test_silence_is_no_answer(server: Server) -> None:
    fault = Malformed(server.address, [("half", b"GET")], wait=0.05)
    fault.inject()
    assert (fault.heard[0].status, fault.heard[0].ended) == (0, False)


def test_the_wall_clock_jumps_and_is_put_back() -> None:
    real = time.time
    with ClockJump(-3600.0) as fault:
        assert fault.happened == 0
        assert time.time() < real() - 3000
        assert fault.happened >= 1
    assert time.time is real


def test_a_stall_makes_every_timer_due() -> None:
    clock = FakeClock()
    rung: list[int] = []
    clock.call_later(5.0, lambda: rung.append(5))
    clock.call_later(50.0, lambda: rung.append(50))
    stall = Stall(clock, 10.0)
    stall.inject()
    assert rung == [5]
    assert stall.happened == 1
