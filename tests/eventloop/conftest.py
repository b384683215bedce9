"""Each test runs on every poller that this system has."""

from __future__ import annotations

import select
import selectors
import socket
from collections.abc import Callable, Iterator

import pytest

from actors.eventloop import EventLoop
from actors.eventloop.poller import EpollPoller, Poller, SelectorPoller

MakePoller = Callable[[], Poller]
Pair = tuple[socket.socket, socket.socket]

POLLERS: dict[str, MakePoller] = {
    "best selector": SelectorPoller,
    "select": lambda: SelectorPoller(selectors.SelectSelector()),
}
if hasattr(select, "epoll"):
    POLLERS["epoll"] = EpollPoller


@pytest.fixture(params=POLLERS.values(), ids=[*POLLERS])
def make_poller(request: pytest.FixtureRequest) -> MakePoller:
    make: MakePoller = request.param
    return make


@pytest.fixture
def loop(make_poller: MakePoller) -> Iterator[EventLoop]:
    """A loop that the test itself steps."""
    made = EventLoop(poller=make_poller, autostart=False)
    yield made
    made.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Two sockets that are connected to each other."""
    left, right = socket.socketpair()
    with left, right:
        left.settimeout(0)
        yield left, right
