"""Faults of clients: they leave, reset, read a byte at a time, dribble, talk nonsense.

Each takes the server's ``(host, port)`` and plain bytes, so they serve against any TCP server.
``happened`` counts clients that did what they are for; of ``Malformed``, cases that were said.
A server that takes no connection, or ends it too early, makes an injection raise
:class:`ClientFailed`.
"""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final, Literal, get_args

from actors.testing.faults.fault import Fault
from actors.testing.faults.tcp_link import linger_to_reset

__all__ = [
    "ClientFailed",
    "Disconnect",
    "IdleConnections",
    "Malformed",
    "Phase",
    "Said",
    "SlowReader",
    "Slowloris",
]

Address = tuple[str, int]
PATIENCE: Final = 10.0
"""Seconds to wait for any one thing of the server."""

Phase = Literal["before-body", "mid-body", "waiting", "mid-answer"]
"""When a client leaves: after its headers, within its body, before the answer, within it."""
PHASES: Final[tuple[Phase, ...]] = get_args(Phase)


class ClientFailed(OSError):
    """A client of a fault could not do what it is for; says which one, why, and what to do."""


@contextmanager
def doing(what: str, address: Address, number: int, count: int) -> Generator[None]:
    """Turn a bare error of the system into one that says what failed, and the next step."""
    try:
        yield
    except ClientFailed:
        raise
    except OSError as error:
        who = f"client {number} of {count} could not {what} {address[0]}:{address[1]}"
        raise ClientFailed(f"{who}: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    """Why, and the next step, in words; pure."""
    if isinstance(error, TimeoutError):
        return (
            f"nothing happened within {PATIENCE:g} s. Its backlog may be full, or it takes no more "
            "connections than it has: use a smaller count, or raise its limit"
        )
    if isinstance(error, ConnectionRefusedError):
        return "no server listens there: start the server first"
    if isinstance(error, ConnectionError):
        return "the server ended the connection first: use a smaller count, or a request it accepts"
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return "this process has no descriptor left: use a smaller count, or raise ulimit -n"
    if error.errno == errno.EADDRNOTAVAIL:
        return "no local port is free: use a smaller count, or wait for those in TIME_WAIT"
    return str(error)


class Disconnect(Fault):
    """``count`` clients send ``request`` and leave in ``phase``, with RST if ``reset``.

    Imitates closed browser tabs, clients' timeouts, and with RST crashed ones. Over as soon as it
    happened. For ``mid-answer`` the client reads ``read`` bytes first. ``stay`` is how many seconds
    a client waits before it leaves, so that the server has taken what it sent.
    """

    def __init__(
        self,
        address: Address,
        request: bytes,
        phase: Phase,
        *,
        reset: bool = False,
        count: int = 1,
        read: int = 1,
        stay: float = 0.0,
    ) -> None:
        if phase not in PHASES:
            raise ValueError(f"a client leaves in one of {', '.join(PHASES)}: not in {phase!r}")
        super().__init__(phase=phase, reset=reset, count=count, stay=stay)
        self._address, self._request = address, request
        self._phase: Phase = phase
        self._reset, self._count, self._read = reset, count, read
        self._stay = stay

    def _inject(self) -> None:
        sent = self._request[: _sent_until(self._request, self._phase)]
        for number in range(1, self._count + 1):
            with (
                doing(f"leave {self._phase} at", self._address, number, self._count),
                socket.create_connection(self._address, PATIENCE) as client,
            ):
                client.sendall(sent)
                if self._phase == "mid-answer":
                    _read_at_least(client, self._read)
                if self._stay:
                    threading.Event().wait(self._stay)
                if self._reset:
                    linger_to_reset(client)
            self.happened += 1


class _Crowd(Fault):
    """Holds connections that a thread does something to every so often."""

    def __init__(self, address: Address, count: int, every: float, **parameters: object) -> None:
        super().__init__(count=count, every=every, **parameters)
        self._address, self._count, self._every = address, count, every
        self.cut = 0
        """Connections that the server closed by itself."""
        self.open = 0
        """Connections that still stand."""
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def prepare(self, client: socket.socket) -> None:
        """Do the first thing on a new connection."""

    def again(self, client: socket.socket, turn: int) -> bool:
        """Do the next thing; False once the server has closed."""
        raise NotImplementedError

    def _inject(self) -> None:
        clients: list[socket.socket] = []
        try:
            for number in range(1, self._count + 1):
                with doing("connect to", self._address, number, self._count):
                    clients.append(self.connect())
        except BaseException:  # Ctrl-C, too
            for client in clients:
                client.close()
            raise
        self.open = len(clients)
        self.happened += len(clients)
        self._over.clear()
        self._thread = threading.Thread(
            target=self._tend, args=(clients,), name=self.name, daemon=True
        )
        self._thread.start()

    def _heal(self) -> None:
        self._over.set()
        if self._thread is not None and self._thread.ident is not None:
            self._thread.join(PATIENCE)

    def connect(self) -> socket.socket:
        """One more client."""
        client = socket.create_connection(self._address, PATIENCE)
        try:
            self.prepare(client)
        except BaseException:
            client.close()
            raise
        return client

    def _tend(self, clients: list[socket.socket]) -> None:
        turn = 0
        while not self._over.wait(self._every):
            for client in clients[:]:
                if not self._alive(client, turn):
                    clients.remove(client)
                    client.close()
                    self.cut += 1
                    self.open -= 1
            turn += 1
        for client in clients:
            client.close()
        self.open = 0

    def _alive(self, client: socket.socket, turn: int) -> bool:
        try:
            return self.again(client, turn)
        except OSError:
            return False


class SlowReader(_Crowd):
    """``count`` clients ask and then read ``size`` bytes every ``every`` seconds.

    Imitates phones on bad links, and attacks on a server's memory.
    """

    def __init__(
        self,
        address: Address,
        request: bytes,
        *,
        count: int = 1,
        size: int = 1,
        every: float = 0.05,
    ) -> None:
        super().__init__(address, count, every, size=size)
        self._request, self._size = request, size

    def connect(self) -> socket.socket:
        """A client with a receive buffer as small as the kernel allows."""
        client = socket.socket()
        try:
            client.settimeout(PATIENCE)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            client.connect(self._address)
            client.sendall(self._request)
            client.settimeout(0)
        except BaseException:
            client.close()
            raise
        return client

    def again(self, client: socket.socket, turn: int) -> bool:
        """Read a little."""
        del turn
        try:
            return bool(client.recv(self._size))
        except BlockingIOError:
            return True


class Slowloris(_Crowd):
    """``count`` clients send ``dribble`` one byte every ``every`` seconds after ``begin``.

    Imitates the attack of that name, and modems. With ``begin`` up to the blank line it is a slow
    body, else slow headers.
    """

    def __init__(
        self, address: Address, begin: bytes, dribble: bytes, *, count: int = 10, every: float = 0.1
    ) -> None:
        super().__init__(address, count, every)
        self._begin, self._dribble = begin, dribble

    def prepare(self, client: socket.socket) -> None:
        """Send what comes before the dribble."""
        client.sendall(self._begin)
        client.settimeout(0)

    def again(self, client: socket.socket, turn: int) -> bool:
        """Send one byte more; see whether the server has had enough."""
        client.send(self._dribble[turn % len(self._dribble) :][:1])
        try:
            return bool(client.recv(65536))
        except BlockingIOError:
            return True


class IdleConnections(_Crowd):
    """``count`` clients connect and say nothing. Imitates pools, port scanners, lost peers."""

    def __init__(self, address: Address, count: int) -> None:
        super().__init__(address, count, 0.2)

    def prepare(self, client: socket.socket) -> None:
        """Nothing is said."""
        client.settimeout(0)

    def again(self, client: socket.socket, turn: int) -> bool:
        """See whether the server has closed."""
        del turn
        try:
            return bool(client.recv(65536))
        except BlockingIOError:
            return True


@dataclass(frozen=True, slots=True)
class Said:
    """What a server answered to something malformed; ``ended``: whether it hung up."""

    case: str
    answer: bytes
    ended: bool

    @property
    def status(self) -> int:
        """The HTTP status; 0 for no answer at all."""
        words = self.answer.split(b" ", 2)
        return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0


class Malformed(Fault):
    """Sends each of ``cases`` (name and bytes) on a connection of its own; ``heard`` is the echo.

    Imitates fuzzers, broken proxies, and request smuggling. Over as soon as it happened. ``wait``
    is how many seconds a server may think about one case.
    """

    def __init__(
        self, address: Address, cases: Iterable[tuple[str, bytes]], *, wait: float = PATIENCE
    ) -> None:
        self._cases = tuple(cases)
        super().__init__(cases=[name for name, _ in self._cases])
        self.heard: list[Said] = []
        self._address, self._wait = address, wait

    def _inject(self) -> None:
        self.heard = []
        for name, data in self._cases:
            self.heard.append(self._say(name, data))
            self.happened += 1

    def _say(self, name: str, data: bytes) -> Said:
        answer, ended = b"", False
        number, count = len(self.heard) + 1, len(self._cases)
        with doing("connect to", self._address, number, count):
            client = socket.create_connection(self._address, PATIENCE)
        with client:
            client.settimeout(self._wait)
            with suppress(OSError):  # it may refuse before it has read everything
                client.sendall(data)
            try:
                while not _complete(answer):
                    piece = client.recv(65536)
                    if not piece:
                        ended = True
                        break
                    answer += piece
            except TimeoutError:
                ended = False
            except OSError:
                ended = True
        return Said(name, answer, ended)


def _complete(answer: bytes) -> bool:
    """Whether a response with a Content-Length is all there."""
    head, blank, body = answer.partition(b"\r\n\r\n")
    if not blank:
        return False
    for line in head.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return len(body) >= int(value)
    return False


def _sent_until(request: bytes, phase: Phase) -> int:
    body = request.find(b"\r\n\r\n") + 4
    if phase == "before-body":
        return body
    return body + (len(request) - body) // 2 if phase == "mid-body" else len(request)


def _read_at_least(client: socket.socket, size: int) -> None:
    seen = 0
    while seen < size:
        piece = client.recv(65536)
        if not piece:
            return
        seen += len(piece)
