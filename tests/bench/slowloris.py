"""The slow clients of ``slow_clients``, in a process of their own: ``slowloris PORT --count N``.

Prints a line when all are connected, drips until its standard input ends or ``--max-seconds`` are
over, and then prints, by kind, how many were thrown out (each came back).
"""

from __future__ import annotations

import argparse
import json
import resource
import select
import socket
import sys
import time
from collections import Counter
from dataclasses import dataclass
from typing import Final

from tests.bench.peers.script import Script, post
from tests.bench.subject import MODEL

__all__ = ["KINDS", "Kind", "main"]

DRIP: Final = 1.0
"""Seconds between two bytes of one client."""
CONNECT_TIMEOUT: Final = 10.0
UNREAD: Final = Script(tokens=1000, pace=250, size=65_536)
"""What the stalled reader asks for and leaves unread: 256 KiB a second, more than buffers hold."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One way of being slow: what is sent at first, and then byte by byte, for ever."""

    name: str
    opening: bytes
    drip: bytes


KINDS: Final = (
    Kind("header drip", b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", b"a"),
    Kind(
        "body drip",
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n{",
        b" ",
    ),
    Kind("stalled reader", post(UNREAD, model=MODEL, stream=True), b""),
)


class _Slow:
    """All slow clients, on one thread."""

    def __init__(self, port: int, count: int) -> None:
        self._port = port
        self._sockets: dict[socket.socket, Kind] = {}
        self.thrown: Counter[str] = Counter({kind.name: 0 for kind in KINDS})
        for number in range(count):
            self._connect(KINDS[number % len(KINDS)])

    def drip(self) -> None:
        """One byte from each; whoever is thrown out comes back."""
        for sock, kind in [*self._sockets.items()]:
            if (
                (kind.drip and not _sent(sock, kind.drip))
                or (kind.drip and _answered(sock))
                or (not kind.drip and _gone(sock))
            ):
                self._replace(sock, kind)

    def close(self) -> None:
        """All of them leave."""
        for sock in self._sockets:
            sock.close()

    def _replace(self, sock: socket.socket, kind: Kind) -> None:
        self.thrown[kind.name] += 1
        del self._sockets[sock]
        sock.close()
        self._connect(kind)

    def _connect(self, kind: Kind) -> None:
        sock = socket.socket()
        # The kernel's own buffer would swallow what the stalled reader does not read.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(CONNECT_TIMEOUT)
        try:
            sock.connect(("127.0.0.1", self._port))
            sock.sendall(kind.opening)
        except OSError:
            self.thrown[kind.name] += 1
            sock.close()
            return
        sock.setblocking(False)
        self._sockets[sock] = kind


def _sent(sock: socket.socket, data: bytes) -> bool:
    """Whether the connection still takes bytes, or might."""
    try:
        sock.send(data)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return True


def _answered(sock: socket.socket) -> bool:
    """Whether an answer, or the end, has come: both mean that the server has had enough."""
    try:
        sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _gone(sock: socket.socket) -> bool:
    """Whether the server has reset the connection; unread bytes stay unread."""
    return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))


def main() -> None:
    """Be slow until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--max-seconds", type=float, default=300.0)
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    slow = _Slow(options.port, options.count)
    print(json.dumps("in place"), flush=True)
    end = time.monotonic() + options.max_seconds
    while time.monotonic() < end and not select.select([sys.stdin], [], [], DRIP)[0]:
        slow.drip()
    slow.close()
    print(json.dumps(slow.thrown), flush=True)


if __name__ == "__main__":
    main()
