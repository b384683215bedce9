"""The end of a stream passes a sick network as its data do; what a fault changed is counted."""

from __future__ import annotations

import math
import random
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from actors.testing.faults import (
    Bandwidth,
    Down,
    Fault,
    HalfClose,
    Latency,
    LimitData,
    Partition,
    ResetPeer,
    Slicer,
    SlowClose,
    TcpProxy,
    Timeout,
)
from actors.testing.faults.shaping import CLEAN, Passage, Shape, end_due, struck
from actors.testing.faults.tcp_link import linger_to_reset
from tests.support.waiting import eventually

WAIT = 10.0
SILENCE = 0.1
"""Real seconds in which nothing may arrive; a failure shows at once, a pass takes so long."""


class Pair:
    """A client and a server's side of one connection through a proxy."""

    def __init__(self, stack: ExitStack) -> None:
        door = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.proxy = stack.enter_context(TcpProxy(door.getsockname()))
        self.client = stack.enter_context(socket.create_connection(self.proxy.address, WAIT))
        door.settimeout(WAIT)
        self.server = stack.enter_context(door.accept()[0])
        for end in (self.client, self.server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            end.settimeout(WAIT)

    def ends(self, direction: str) -> tuple[socket.socket, socket.socket]:
        """Who sends, who reads."""
        pair = (self.client, self.server)
        return pair if direction == "up" else (pair[1], pair[0])


@pytest.fixture
def pair() -> Iterator[Pair]:
    with ExitStack() as stack:
        yield Pair(stack)


def silent(reader: socket.socket) -> bool:
    reader.settimeout(SILENCE)
    try:
        reader.recv(1)
    except TimeoutError:
        return True
    except OSError:
        return False
    finally:
        reader.settimeout(WAIT)
    return False


def how_it_ends(sock: socket.socket) -> str:
    try:
        while sock.recv(65536):
            pass
    except ConnectionError:
        return "reset"
    return "closed"


def shut(sock: socket.socket) -> None:
    sock.shutdown(socket.SHUT_WR)


def close(sock: socket.socket) -> None:
    sock.close()


def reset(sock: socket.socket) -> None:
    linger_to_reset(sock)
    sock.close()


@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("leave", [shut, close, reset])
def test_no_end_of_a_stream_passes_a_timeout_of_0_nor_comes_back_on_healing(
    pair: Pair, direction: Any, leave: Callable[[socket.socket], None]
) -> None:
    sender, reader = pair.ends(direction)
    with Timeout(pair.proxy, directions=(direction,)) as fault:
        sender.sendall(b"lost")
        leave(sender)
        eventually(lambda: fault.happened >= 1, WAIT)
        assert silent(reader)
    assert silent(reader)


def test_a_sender_behind_a_timeout_is_not_told_that_its_reader_left(pair: Pair) -> None:
    with Timeout(pair.proxy) as fault:
        reset(pair.server)
        eventually(lambda: fault.happened, WAIT)
        for _ in range(3):
            pair.client.sendall(b"x" * 1000)
        assert silent(pair.client)


def test_a_timeout_of_seconds_ends_the_connection_that_lost_its_end(pair: Pair) -> None:
    with Timeout(pair.proxy, 0.2):
        shut(pair.server)
        assert how_it_ends(pair.client) == "closed"


LATE: dict[str, Callable[[TcpProxy, Any], Fault]] = {
    "latency": lambda proxy, way: Latency(proxy, 0.2, directions=way),
    "slow-close": lambda proxy, way: SlowClose(proxy, 0.2, directions=way),
    "bandwidth": lambda proxy, way: Bandwidth(proxy, 100.0, directions=way),
    "slicer": lambda proxy, way: Slicer(proxy, 5, 0.07, directions=way),
}


@pytest.mark.parametrize("name", LATE)
@pytest.mark.parametrize("direction", ["up", "down"])
def test_an_end_is_as_late_as_data_are_and_never_before_them(
    pair: Pair, direction: Any, name: str
) -> None:
    sender, reader = pair.ends(direction)
    begun = time.monotonic()
    with LATE[name](pair.proxy, (direction,)) as fault:
        sender.sendall(b"x" * 20)
        shut(sender)
        seen = b""
        while piece := reader.recv(100):
            seen += piece
        assert time.monotonic() - begun >= 0.19
    assert seen == b"x" * 20
    assert fault.happened >= 1


@pytest.mark.parametrize("leave", [shut, close])
def test_an_end_without_data_is_late_too(pair: Pair, leave: Any) -> None:
    begun = time.monotonic()
    with Latency(pair.proxy, 0.2):
        leave(pair.server)
        assert how_it_ends(pair.client) == "closed"
    assert time.monotonic() - begun >= 0.19


@pytest.mark.parametrize(("leave", "how"), [(shut, "closed"), (reset, "reset")])
def test_an_end_behind_a_partition_arrives_when_it_heals(pair: Pair, leave: Any, how: str) -> None:
    with Partition(pair.proxy) as fault:
        leave(pair.server)
        eventually(lambda: fault.happened, WAIT)
        assert silent(pair.client)
    assert how_it_ends(pair.client) == how


def test_a_partition_that_holds_data_back_takes_no_processor(pair: Pair) -> None:
    with Partition(pair.proxy) as fault:
        pair.client.sendall(b"held")
        eventually(lambda: fault.happened, WAIT)
        begun = time.process_time()
        assert silent(pair.server)
        assert time.process_time() - begun < SILENCE / 2
    assert pair.server.recv(10) == b"held"


@pytest.mark.parametrize(
    ("shape", "passage", "expected"),
    [
        (CLEAN, Passage(), 10.0),
        (CLEAN, Passage(free_at=12.0), 12.0),
        (Shape(latency=2.0), Passage(), 12.0),
        (Shape(latency=2.0), Passage(free_at=15.0), 15.0),
        (Shape(slow_close=3.0), Passage(free_at=11.0), 14.0),
        (Shape(latency=1.0, slow_close=3.0), Passage(), 14.0),
        (Shape(swallow=0.0), Passage(), None),
        (Shape(swallow=5.0, latency=1.0), Passage(), None),
    ],
)
def test_when_an_end_comes_out(shape: Shape, passage: Passage, expected: float | None) -> None:
    assert end_due(shape, passage, 10.0, random.Random(1)) == expected


@pytest.mark.parametrize(
    ("shape", "data", "expected"),
    [
        (CLEAN, b"x", ()),
        (CLEAN, b"", ()),
        (Shape(latency=1.0), b"x", ("latency",)),
        (Shape(latency=1.0), b"", ("latency",)),
        (Shape(slice_size=4), b"xxxx", ()),
        (Shape(slice_size=4), b"xxxxx", ("slice_size",)),
        (Shape(slow_close=1.0), b"x", ()),
        (Shape(slow_close=1.0), b"", ("slow_close",)),
        (Shape(swallow=0.0), b"", ("swallow",)),
        (Shape(blocked=True), b"x", ("blocked",)),
        (Shape(bandwidth=9.0), b"x", ("bandwidth",)),
        (Shape(limit=0, reset=math.inf), b"x", ()),
    ],
)
def test_what_strikes_a_piece_of_data_or_an_end(
    shape: Shape, data: bytes, expected: tuple[str, ...]
) -> None:
    assert struck(shape, data) == expected


SHAPING: dict[str, Callable[[TcpProxy], Fault]] = {
    "latency": lambda proxy: Latency(proxy, 0.001),
    "bandwidth": lambda proxy: Bandwidth(proxy, 1e6),
    "slicer": lambda proxy: Slicer(proxy, 2),
    "slow-close": lambda proxy: SlowClose(proxy, 0.001),
    "timeout": Timeout,
    "reset": ResetPeer,
    "limit": lambda proxy: LimitData(proxy, 2),
    "partition": Partition,
    "down": Down,
    "half-close": HalfClose,
}


@pytest.mark.parametrize("name", SHAPING)
def test_a_network_fault_counts_what_it_changed(pair: Pair, name: str) -> None:
    fault = SHAPING[name](pair.proxy)
    pair.server.sendall(b"before")
    assert pair.client.recv(6) == b"before"
    assert fault.happened == 0
    with fault:
        with suppress(OSError):  # cut already, by some
            pair.server.sendall(b"answer")
            shut(pair.server)
        eventually(lambda: fault.happened > 0, WAIT)


@pytest.mark.parametrize("name", sorted(set(SHAPING) - {"reset", "down", "half-close"}))
def test_a_network_fault_of_an_idle_connection_has_not_happened(pair: Pair, name: str) -> None:
    fault = SHAPING[name](pair.proxy)
    with fault:
        pass
    pair.server.sendall(b"after")
    assert pair.client.recv(5) == b"after"
    assert fault.happened == 0


def test_a_fault_of_one_direction_does_not_count_the_other(pair: Pair) -> None:
    with Latency(pair.proxy, 0.001, directions=("up",)) as fault:
        pair.server.sendall(b"answer")
        assert pair.client.recv(6) == b"answer"
        assert fault.happened == 0


def test_a_connection_that_a_partition_keeps_from_being_made_is_counted(pair: Pair) -> None:
    with (
        Partition(pair.proxy) as fault,
        socket.create_connection(pair.proxy.address, WAIT),
    ):
        eventually(lambda: fault.happened == 1, WAIT)
