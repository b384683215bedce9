"""The TCP proxy: invisible while healthy, and sick in exactly the way it was told to be."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.testing.faults import (
    Bandwidth,
    Down,
    Fault,
    FaultUnavailable,
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
from actors.testing.faults.shaping import CLEAN, Passage, Shape, plan
from tests.support.waiting import free_port

WAIT = 10.0


class Echo:
    """A TCP server that says back what it hears, and says goodbye when its client is done."""

    def __init__(self) -> None:
        self._door = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._door.getsockname()
        threading.Thread(target=self._run, daemon=True).start()

    def close(self) -> None:
        self._door.close()

    def _run(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._door.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            while data := client.recv(65536):
                client.sendall(data)
            client.sendall(b"bye")


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[TcpProxy]:
    with TcpProxy(echo.address) as proxy:
        yield proxy


def dial(proxy: TcpProxy) -> socket.socket:
    client = socket.create_connection(proxy.address, WAIT)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def trip(client: socket.socket, data: bytes = b"ping") -> float:
    begun = time.perf_counter()
    client.sendall(data)
    seen = b""
    while len(seen) < len(data):
        piece = client.recv(65536)
        assert piece, "cut"
        seen += piece
    assert seen == data
    return time.perf_counter() - begun


def ends(client: socket.socket) -> str:
    try:
        while client.recv(65536):
            pass
    except ConnectionResetError:
        return "reset"
    return "closed"


def test_bytes_pass_unchanged_in_both_directions_and_so_does_the_end(proxy: TcpProxy) -> None:
    with dial(proxy) as client:
        trip(client, bytes(range(256)) * 4096)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(10) == b"bye"
        assert client.recv(10) == b""
    assert proxy.connections == 1


def test_latency_delays_and_goes(proxy: TcpProxy) -> None:
    with dial(proxy) as client:
        trip(client)
        with Latency(proxy, 0.1):
            assert trip(client) >= 0.1
        assert trip(client) < 0.1


def test_bandwidth_stretches_a_long_answer(proxy: TcpProxy) -> None:
    with dial(proxy) as client, Bandwidth(proxy, 100_000):
        assert trip(client, b"x" * 20_000) >= 0.19


def test_slices_arrive_apart(proxy: TcpProxy) -> None:
    with dial(proxy) as client, Slicer(proxy, 2, 0.03, directions=("down",)):
        begun = time.perf_counter()
        client.sendall(b"abcd")
        assert client.recv(10) == b"ab"
        assert client.recv(10) == b"cd"
        assert time.perf_counter() - begun >= 0.03


def test_a_timeout_swallows_and_then_closes(proxy: TcpProxy) -> None:
    with dial(proxy) as client:
        trip(client)
        with Timeout(proxy, 0.1):
            client.sendall(b"into the void")
            assert ends(client) == "closed"


def test_a_peer_resets(proxy: TcpProxy) -> None:
    with dial(proxy) as client:
        trip(client)
        with ResetPeer(proxy, 0.05):
            assert ends(client) == "reset"


def test_a_limit_lets_exactly_so_many_bytes_pass(proxy: TcpProxy) -> None:
    with dial(proxy) as client, LimitData(proxy, 10):
        client.sendall(b"0123456789ABCDEF")
        seen = b""
        while piece := client.recv(100):
            seen += piece
        assert seen == b"0123456789"


def test_a_slow_close_delays_the_end_only(proxy: TcpProxy) -> None:
    with dial(proxy) as client, SlowClose(proxy, 0.1):
        trip(client)
        begun = time.perf_counter()
        client.shutdown(socket.SHUT_WR)
        assert client.recv(10) == b"bye"
        assert client.recv(10) == b""
        assert time.perf_counter() - begun >= 0.1


def test_down_cuts_and_refuses_and_comes_back_at_the_same_port(proxy: TcpProxy) -> None:
    with dial(proxy) as client:
        trip(client)
        with Down(proxy):
            assert ends(client) in {"closed", "reset"}
            with pytest.raises(ConnectionRefusedError):
                dial(proxy)
    with dial(proxy) as client:
        trip(client)


@pytest.mark.parametrize("directions", [("up",), ("down",), ("up", "down")])
def test_a_partition_delivers_after_healing_what_was_sent_during_it(
    proxy: TcpProxy, directions: tuple[str, ...]
) -> None:
    with dial(proxy) as client:
        trip(client)
        with Partition(proxy, directions=directions):  # type: ignore[arg-type]  # literals all
            client.sendall(b"held")
            client.settimeout(0.1)
            with pytest.raises(TimeoutError):
                client.recv(10)
            client.settimeout(WAIT)
        assert client.recv(10) == b"held"


def test_a_connection_made_during_a_partition_works_after_it(proxy: TcpProxy) -> None:
    with Partition(proxy):
        client = dial(proxy)
        client.sendall(b"held")
    with client:
        assert client.recv(10) == b"held"


def test_a_half_close_ends_one_direction(proxy: TcpProxy) -> None:
    with dial(proxy) as client:
        trip(client)
        HalfClose(proxy).inject()
        assert client.recv(10) == b"bye"


def test_a_dead_server_is_a_cut_and_no_hang() -> None:
    with TcpProxy(("127.0.0.1", free_port())) as proxy:
        try:
            with dial(proxy) as client:
                how = ends(client)
        except ConnectionResetError:
            how = "reset"
    assert how in {"closed", "reset"}


def test_an_unhealthy_proxy_still_closes_at_once(echo: Echo) -> None:
    with TcpProxy(echo.address) as proxy, dial(proxy) as client:
        faults: list[Fault] = [Latency(proxy, 60.0), Partition(proxy)]
        for fault in faults:
            fault.inject()
        client.sendall(b"never")
        begun = time.monotonic()
    assert time.monotonic() - begun < WAIT


def test_of_two_partitions_each_heals_itself_only(proxy: TcpProxy) -> None:
    one_way, both = Partition(proxy, directions=("down",)), Partition(proxy)
    with dial(proxy) as client:
        trip(client)
        one_way.inject()
        both.inject()
        one_way.heal()
        client.settimeout(0.1)
        client.sendall(b"held")
        with pytest.raises(TimeoutError):
            client.recv(10)
        both.heal()
        client.settimeout(WAIT)
        assert client.recv(10) == b"held"


def test_a_shorter_latency_that_heals_leaves_the_longer_one_on(proxy: TcpProxy) -> None:
    with dial(proxy) as client, Latency(proxy, 0.1):
        with Latency(proxy, 0.0):
            pass
        assert trip(client) >= 0.1


@pytest.mark.parametrize("directions", ["down", ("sideways",), ()], ids=str)
def test_a_direction_that_is_none_is_refused_when_the_fault_is_made(
    proxy: TcpProxy, directions: Any
) -> None:
    with pytest.raises(ValueError, match="directions are a tuple of 'up', 'down' or both"):
        Partition(proxy, directions=directions)


def test_a_proxy_that_does_not_run_says_so_at_once(echo: Echo) -> None:
    proxy = TcpProxy(echo.address)
    fault = Latency(proxy, 0.1)
    with pytest.raises(FaultUnavailable, match=r"not started: use it in a with block"):
        fault.inject()
    with proxy:
        fault.inject()
        down = Down(proxy)
        down.inject()
    fault.heal()
    down.heal()
    with pytest.raises(FaultUnavailable, match="is closed"):
        fault.inject()


def test_an_order_that_fails_is_told_to_its_giver_and_the_proxy_lives_on(proxy: TcpProxy) -> None:
    with pytest.raises(TypeError, match="colour"):
        proxy.afflict(Latency(proxy, 0.0), ("up",), {"colour": "green"})
    with dial(proxy) as client:
        trip(client)


@given(
    st.lists(st.binary(max_size=200), max_size=8),
    st.builds(
        Shape,
        latency=st.floats(0, 1),
        jitter=st.floats(0, 1),
        bandwidth=st.sampled_from([0.0, 10.0, 1e4]),
        slice_size=st.integers(0, 9),
        slice_delay=st.floats(0, 0.1),
    ),
)
def test_no_shape_loses_or_reorders_a_byte(pieces: list[bytes], shape: Shape) -> None:
    passage, rng = Passage(), random.Random(1)
    out: list[tuple[float, bytes]] = []
    for moment, data in enumerate(pieces):
        out += plan(shape, passage, data, float(moment), rng)
    assert b"".join(piece for _, piece in out) == b"".join(pieces)
    moments = [moment for moment, _ in out]
    assert moments == sorted(moments)


@given(st.binary(), st.integers(0, 100))
def test_a_limit_passes_a_prefix(data: bytes, limit: int) -> None:
    out = plan(Shape(limit=limit), Passage(), data, 0.0, random.Random(1))
    assert b"".join(piece for _, piece in out) == data[:limit]


def test_a_clean_shape_passes_at_once() -> None:
    assert CLEAN.clean
    assert plan(CLEAN, Passage(), b"x", 5.0, random.Random(1)) == [(5.0, b"x")]
