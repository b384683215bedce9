"""The contract of a poller, held by every one that we have.

The waker wakes a poller: readable from the first wake until it is reset.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterator

import pytest

from actors.eventloop.poller import HANGUP, READ, WRITE, Poller, Waker
from tests.eventloop.conftest import MakePoller, Pair


@pytest.fixture
def poller(make_poller: MakePoller) -> Iterator[Poller]:
    made = make_poller()
    yield made
    made.close()


def told(poller: Poller, sock: socket.socket, timeout: float = 0.0) -> int:
    """What is told of ``sock``, and that nothing is told of others."""
    events = dict(poller.poll(timeout))
    assert set(events) <= {sock.fileno()}
    return events.get(sock.fileno(), 0)


def test_a_quiet_socket_is_not_told_of(poller: Poller, pair: Pair) -> None:
    poller.add(pair[0].fileno(), READ)
    assert told(poller, pair[0]) == 0


def test_bytes_are_told_until_they_are_read(poller: Poller, pair: Pair) -> None:
    left, right = pair
    poller.add(left.fileno(), READ)
    right.send(b"x")
    assert told(poller, left, 1.0) == READ
    assert told(poller, left) == READ
    left.recv(1)
    assert told(poller, left) == 0


def test_room_to_write_is_told_only_to_who_wants_it(poller: Poller, pair: Pair) -> None:
    left, _ = pair
    poller.add(left.fileno(), READ)
    assert told(poller, left) == 0
    poller.change(left.fileno(), READ | WRITE)
    assert told(poller, left) == WRITE


def test_bytes_that_nobody_wants_are_not_told_of(poller: Poller, pair: Pair) -> None:
    left, right = pair
    poller.add(left.fileno(), 0)
    right.send(b"x")
    assert [told(poller, left, 0.01) for _ in range(3)] == [0, 0, 0]


def test_bytes_that_waited_are_told_when_they_are_wanted_again(poller: Poller, pair: Pair) -> None:
    left, right = pair
    poller.add(left.fileno(), 0)
    right.send(b"x")
    assert told(poller, left, 0.01) == 0
    poller.change(left.fileno(), READ)
    assert told(poller, left, 1.0) == READ


@pytest.mark.parametrize("interest", [0, READ])
def test_a_peer_that_left_is_told_whatever_is_wanted(
    poller: Poller, pair: Pair, interest: int
) -> None:
    left, right = pair
    poller.add(left.fileno(), interest)
    right.close()
    assert told(poller, left, 1.0) & (HANGUP | interest)


def test_a_peer_that_only_stopped_sending_is_told_as_gone(poller: Poller, pair: Pair) -> None:
    left, right = pair
    poller.add(left.fileno(), 0)
    right.shutdown(socket.SHUT_WR)
    assert told(poller, left, 1.0) & HANGUP


def test_a_failed_connect_is_told_and_its_error_is_left_to_the_asker(poller: Poller) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
    with socket.socket() as sock:
        sock.settimeout(0)
        sock.connect_ex(address)
        poller.add(sock.fileno(), WRITE)
        assert told(poller, sock, 1.0) & WRITE
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0


def test_a_listener_that_accepts_nobody_now_is_left_alone(poller: Poller) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        poller.add(listener.fileno(), 0)
        with socket.create_connection(listener.getsockname()):
            assert told(poller, listener, 0.01) == 0
            poller.change(listener.fileno(), READ)
            assert told(poller, listener, 1.0) == READ


def test_a_removed_descriptor_is_not_told_of(poller: Poller, pair: Pair) -> None:
    left, right = pair
    poller.add(left.fileno(), READ)
    right.send(b"x")
    poller.remove(left.fileno())
    assert told(poller, left) == 0
    poller.add(left.fileno(), READ)
    assert told(poller, left) == READ


def test_removing_what_is_closed_or_unknown_does_no_harm(poller: Poller, pair: Pair) -> None:
    left, right = pair
    fd = left.fileno()
    poller.add(fd, READ)
    left.close()
    poller.remove(fd)
    poller.remove(fd)
    poller.remove(right.fileno())


def test_a_descriptor_is_added_once(poller: Poller, pair: Pair) -> None:
    poller.add(pair[0].fileno(), READ)
    with pytest.raises(FileExistsError):
        poller.add(pair[0].fileno(), READ)


def test_a_descriptor_that_is_not_open_can_not_be_added(poller: Poller) -> None:
    with socket.socket() as sock:
        fd = sock.fileno()
    with pytest.raises(OSError):
        poller.add(fd, READ)


def test_closing_twice_does_no_harm(make_poller: MakePoller) -> None:
    poller = make_poller()
    poller.close()
    poller.close()


@pytest.fixture(params=["eventfd", "pipe"])
def waker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Waker]:
    if request.param == "pipe":
        monkeypatch.delattr(os, "eventfd", raising=False)
    elif not hasattr(os, "eventfd"):
        pytest.skip("this system has no eventfd")
    made = Waker()
    yield made
    made.close()


def is_awake(waker: Waker) -> bool:
    return bool(select.select([waker.fd], [], [], 0)[0])


def test_a_waker_is_readable_until_it_is_reset(waker: Waker) -> None:
    assert not is_awake(waker)
    waker.wake()
    waker.wake()
    assert is_awake(waker)
    waker.reset()
    assert not is_awake(waker)


def test_resetting_an_idle_waker_does_no_harm(waker: Waker) -> None:
    waker.reset()
    assert not is_awake(waker)


def test_waking_without_end_never_blocks(waker: Waker) -> None:
    for _ in range(10_000):
        waker.wake()
    assert is_awake(waker)


def test_a_closed_waker_may_be_woken_and_closed_again(waker: Waker) -> None:
    waker.close()
    waker.wake()
    waker.close()
