"""A TCP proxy on loopback whose network can be made sick; one thread, one selector.

While nothing is wrong with it, a piece of data goes from one socket to the other in the same turn
of the loop: it costs two system calls and a wake-up, far below 0.2 ms.
"""

from __future__ import annotations

import random
import selectors
import socket
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Self, TypeVar

from actors.testing.faults.fault import Fault, FaultUnavailable
from actors.testing.faults.shaping import CLEAN, Shape
from actors.testing.faults.tcp_link import Link

__all__ = ["Direction", "TcpProxy"]

T = TypeVar("T")
Direction = Literal["up", "down"]
"""``up``: from the client to the server; ``down``: the way back."""

BACKLOG: Final = 512
JOIN: Final = 10.0
"""Seconds for the proxy's thread to end; it takes milliseconds."""
IDLE: Final = 5.0
"""Seconds between two turns of the loop when nothing is due."""


@dataclass(frozen=True, slots=True)
class Sickness:
    """What both directions of the proxy suffer from now."""

    up: Shape = CLEAN
    down: Shape = CLEAN


class TcpProxy:
    """Passes each connection to ``127.0.0.1:port`` on to ``upstream``; a context manager.

    ``port`` stays the same over :meth:`close_door` and :meth:`open_door`. Every method may be
    called from any thread; it has taken effect when it returns.
    """

    def __init__(self, upstream: tuple[str, int], *, seed: int = 0) -> None:
        self.upstream: tuple[str, int] = upstream
        self.connections = 0
        """Connections taken so far."""
        self.passed = 0
        """Bytes passed on so far, both ways."""
        self.random: Any = random.Random(seed)  # noqa: S311  # jitter, not secrets
        self.sick = Sickness()
        self.selector: Any = selectors.DefaultSelector()
        self.links: set[Link] = set()
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.settimeout(0)
        self._wake_out.settimeout(0)
        self._orders: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._faults: dict[Fault, tuple[tuple[Direction, ...], dict[str, Any]]] = {}
        self._door: socket.socket | None = _listen(0)
        self.port: Final[int] = self._door.getsockname()[1]
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="tcp-proxy", daemon=True)

    @property
    def address(self) -> tuple[str, int]:
        """Where clients connect."""
        return "127.0.0.1", self.port

    @property
    def url(self) -> str:
        """:attr:`address` as an HTTP URL."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def start(self) -> None:
        """Begin to pass connections on."""
        assert self._door is not None  # noqa: S101  # made in the constructor
        self.selector.register(self._wake_out, selectors.EVENT_READ, self._drain_wakes)
        self.selector.register(self._door, selectors.EVENT_READ, self._accept)
        self._thread.start()

    def close(self) -> None:
        """Cut everything and end the thread."""
        if not self._closing:
            self._closing = True
            self._wake()
            if self._thread.ident is not None:
                self._thread.join(JOIN)
            for each in (self._door, self._wake_in, self._wake_out):
                if each is not None:
                    each.close()
            self.selector.close()

    def afflict(
        self, fault: Fault, directions: tuple[Direction, ...], changes: dict[str, Any]
    ) -> None:
        """Have ``fault`` change the shape of these directions; open connections feel it at once."""

        def change() -> None:
            self._feel({**self._faults, fault: (directions, changes)})

        self._order(change)

    def relieve(self, fault: Fault) -> None:
        """End what ``fault`` did, and nothing of what others do; a closed proxy has no faults."""

        def change() -> None:
            if fault in self._faults:
                self._feel({key: how for key, how in self._faults.items() if key != fault})

        if not self._closing:
            self._order(change)

    def note(self, direction: str, *fields: str) -> None:
        """Count for each fault that changes one of these fields that it has struck once."""
        for fault, (directions, changes) in self._faults.items():
            if direction in directions and any(field in changes for field in fields):
                fault.happened += 1

    def close_door(self) -> int:
        """Cut every connection and refuse new ones; how many were cut."""

        def shut() -> int:
            cut = len(self.links)
            self._cut_all()
            if self._door is not None:
                self.selector.unregister(self._door)
                self._door.close()
                self._door = None
            return cut

        return self._order(shut)

    def open_door(self) -> None:
        """Take connections again, at the same port."""

        def open_again() -> None:
            if self._door is None:
                self._door = _listen(self.port)
                self.selector.register(self._door, selectors.EVENT_READ, self._accept)

        if not self._closing:
            self._order(open_again)

    def reset_all(self) -> None:
        """Reset every connection that is open now."""
        self._order(lambda: self._cut_all(reset=True))

    def half_close(self) -> int:
        """Tell every server that its client sends nothing more; how many. Answers still pass."""
        return self._order(lambda: sum([link.half_close() for link in list(self.links)]))

    def _order(self, work: Callable[[], T]) -> T:
        """Have the proxy's thread do something, and wait until it has."""
        if self._closing or not self._thread.is_alive():
            state = "closed" if self._closing else "not started: use it in a with block, or start()"
            raise FaultUnavailable(f"the proxy to {self.upstream} is {state}")
        done: Future[T] = Future()
        self._orders.append((work, done))
        self._wake()
        return done.result(JOIN)

    def _feel(self, faults: dict[Fault, tuple[tuple[Direction, ...], dict[str, Any]]]) -> None:
        """Suffer from exactly these, in their order."""
        sick: dict[str, Shape] = {"up": CLEAN, "down": CLEAN}
        for directions, changes in faults.values():
            for direction in directions:
                sick[direction] = replace(sick[direction], **changes)
        self._faults, self.sick = faults, Sickness(**sick)
        for link in list(self.links):
            link.reshaped()

    def _wake(self) -> None:
        with suppress(BlockingIOError):  # full: it is awake already
            self._wake_in.send(b"!")

    def _run(self) -> None:
        try:
            while not self._closing:
                for key, mask in self.selector.select(self._next_due()):
                    key.data(mask)
                for link in [each for each in self.links if each.timed]:
                    link.tick()
                while self._orders:
                    work, done = self._orders.popleft()
                    try:
                        done.set_result(work())
                    except Exception as error:  # noqa: BLE001  # passed to the caller
                        done.set_exception(error)
        finally:
            self._cut_all()

    def _next_due(self) -> float:
        return min((link.due_in() for link in self.links if link.timed), default=IDLE)

    def _drain_wakes(self, _mask: int) -> None:
        with suppress(BlockingIOError):
            self._wake_out.recv(4096)

    def _accept(self, _mask: int) -> None:
        assert self._door is not None  # noqa: S101  # registered only while it is open
        try:
            client, _ = self._door.accept()
        except OSError:  # gone again, or no descriptor left
            return
        self.connections += 1
        self.links.add(Link(self, client))

    def _cut_all(self, *, reset: bool = False) -> None:
        for link in list(self.links):
            link.close(reset=reset)


def _listen(port: int) -> socket.socket:
    door = socket.socket()
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    door.bind(("127.0.0.1", port))
    door.listen(BACKLOG)
    door.settimeout(0)
    return door
