"""Measures a gateway while it is attacked, from a process of its own that does little else.

``python -m tests.faults.long.attack_probe HOST PORT KEY`` asks ``/live`` every 20 ms and the model
``innocent`` every 100 ms until its standard input ends; says that it has begun, and in the end
prints the seconds that each took as JSON. Both are open loops: a request counts from when it was
due, not from when it could be sent.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

__all__ = ["PATIENCE", "Asker", "answer", "main", "requests_of"]

PATIENCE: Final = 10.0
"""Seconds for one answer; a request that gets none counts as failed, and as this long."""
EVERY: Final = {"live": 0.02, "chat": 0.1}


def requests_of(host: str, key: str, model: str = "innocent") -> dict[str, bytes]:
    """The bytes of both requests."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}]})
    common = f"Host: {host}\r\n" + (f"Authorization: Bearer {key}\r\n" if key else "")
    post = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    return {
        "live": f"GET /live HTTP/1.1\r\n{common}\r\n".encode(),
        "chat": f"POST /v1/chat/completions HTTP/1.1\r\n{common}{post}".encode(),
    }


@dataclass
class Asker:
    """Asks one thing over and over on a kept connection; :meth:`run` is a thread's."""

    address: tuple[str, int]
    request: bytes
    every: float
    over: threading.Event
    took: list[float] = field(default_factory=list[float])
    failed: int = 0
    _sock: socket.socket | None = None

    def run(self) -> None:
        """Until ``over``; what is due then and not yet answered still counts."""
        due = time.monotonic()
        while not self.over.wait(max(0.0, due - time.monotonic())):
            well = self._ask()
            self.failed += not well
            self.took.append(time.monotonic() - due if well else PATIENCE)
            due += self.every
        self._drop()

    def _ask(self) -> bool:
        try:
            if self._sock is None:
                self._sock = socket.create_connection(self.address, PATIENCE)
                self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sock.sendall(self.request)
            status, closes = answer(self._sock)
        except (OSError, ValueError):
            self._drop()
            return False
        if closes:
            self._drop()
        return status == 200

    def _drop(self) -> None:
        if self._sock is not None:
            self._sock.close()
        self._sock = None


def answer(sock: socket.socket) -> tuple[int, bool]:
    """The status of one answer that has a Content-Length, and whether the server closes."""
    seen = b""
    while b"\r\n\r\n" not in seen:
        seen += _more(sock)
    head, _, body = seen.partition(b"\r\n\r\n")
    length, closes = 0, False
    for line in head.lower().split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        length = int(value) if name == b"content-length" else length
        closes = closes or (name == b"connection" and b"close" in value)
    while len(body) < length:
        body += _more(sock)
    return int(head.split(b" ", 2)[1]), closes


def _more(sock: socket.socket) -> bytes:
    piece = sock.recv(65536)
    if not piece:
        raise ConnectionResetError("the answer is not whole")
    return piece


def main() -> None:
    """Ask until standard input ends."""
    host, port, key = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    over = threading.Event()
    askers = {
        name: Asker((host, port), request, EVERY[name], over)
        for name, request in requests_of(host, key).items()
    }
    threads = [threading.Thread(target=each.run, daemon=True) for each in askers.values()]
    for thread in threads:
        thread.start()
    with suppress(KeyboardInterrupt):
        print(json.dumps("begun"), flush=True)
        sys.stdin.read()
    over.set()
    for thread in threads:
        thread.join(PATIENCE * 2)
    found = {name: {"took": each.took, "failed": each.failed} for name, each in askers.items()}
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
