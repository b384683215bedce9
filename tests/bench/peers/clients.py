"""Clients on one epoll: many kept-alive connections, one request at a time on each, no threads."""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.bench.peers.answer import Answer

__all__ = ["Clients", "Connection", "Request"]

CONNECT_TIMEOUT: Final = 10.0
"""Seconds; on loopback only a full listen queue makes it wait at all."""

READ: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """The bytes of one request, and what its answer must have."""

    payload: bytes
    marks: int = 0
    stream: bool = False
    stamped: bool = False

    def judge(self, answer: Answer) -> str:
        """Empty for a good answer, else what is wrong."""
        return answer.verdict(self.marks, stream=self.stream)


class Connection:
    """One client. ``answer`` belongs to the request that was asked at ``asked``."""

    __slots__ = ("answer", "asked", "busy", "request", "sock")

    def __init__(self, sock: socket.socket, request: Request) -> None:
        self.sock = sock
        self.request = request
        self.answer = Answer()
        self.asked = 0.0
        self.busy = False


class Clients:
    """All connections to one address; everything on the caller's thread."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address: Final = address
        self._epoll = select.epoll()
        self._open: dict[int, Connection] = {}

    def ask(self, request: Request, connection: Connection | None = None) -> Connection:
        """Send ``request``, on a new connection unless one is given. Raises ``OSError``."""
        if connection is None:
            connection = self._connect(request)
        connection.request = request
        connection.answer = Answer(stamped=request.stamped)
        connection.busy = True
        connection.asked = time.monotonic()
        connection.sock.sendall(request.payload)
        return connection

    def poll(self, timeout: float) -> Iterator[Connection]:
        """Wait for at most ``timeout`` seconds; give every connection whose answer is over.

        Closed already are those that can't be used again (:meth:`is_open`).
        """
        for number, _ in self._epoll.poll(max(0.0, timeout), 4096):
            connection = self._open.get(number)
            if connection is not None and self._read(connection):
                connection.busy = False
                yield connection

    def busy(self) -> list[Connection]:
        """The connections that wait for an answer, or for the rest of one."""
        return [each for each in self._open.values() if each.busy]

    def idle(self) -> list[Connection]:
        """The connections that are open and wait for nothing."""
        for _ in self.poll(0):  # those that the other side closed meanwhile are closed here
            pass
        return [each for each in self._open.values() if not each.busy]

    def is_open(self, connection: Connection) -> bool:
        """Whether the connection can take another request."""
        return self._open.get(connection.sock.fileno()) is connection

    def close(self, connection: Connection, *, reset: bool = False) -> None:
        """End one connection; with ``reset`` as a process that died ends it."""
        number = connection.sock.fileno()
        if self._open.pop(number, None) is None:
            return
        self._epoll.unregister(number)
        if reset:
            connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sock.close()

    def close_all(self) -> None:
        """End all of them, and the epoll."""
        for connection in [*self._open.values()]:
            self.close(connection)
        self._epoll.close()

    def _connect(self, request: Request) -> Connection:
        sock = socket.create_connection(self.address, CONNECT_TIMEOUT)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = self._open[sock.fileno()] = Connection(sock, request)
        self._epoll.register(sock.fileno(), select.EPOLLIN)
        return connection

    def _read(self, connection: Connection) -> bool:
        """Read once; answer whether the answer is over. The socket is readable, so no wait."""
        answer = connection.answer
        try:
            data = connection.sock.recv(READ)
        except OSError:
            data = b""
        if not data:
            self.close(connection)
            answer.end()
            return connection.busy
        over = answer.feed(data, time.monotonic())
        if over and (answer.broken or not answer.keep_alive):
            self.close(connection)
        return over
