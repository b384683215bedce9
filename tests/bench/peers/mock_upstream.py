"""The mock upstream: one thread, one epoll, answers that cost next to nothing to make.

``python -m tests.bench.peers.mock_upstream`` prints its port and serves until its standard input
ends, or for ``--max-seconds``. What it answers, the request says (``script``). ``GET /tags`` gives
the tags of the answers begun so far (``started``), and when, on the monotonic clock, the other side
left one of them unfinished (``left``).
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import select
import socket
import sys
import time
from typing import Final

from tests.bench.peers.dialect_bytes import CHAT, DOCUMENTS, WORDS
from tests.bench.peers.script import Script
from tests.bench.peers.upstream_bytes import EMPTY, PROBES, STREAM_HEAD, document, unary

__all__ = ["MockUpstream", "main"]

READ: Final = 64 * 1024
IDLE: Final = 0.5
"""Seconds between two looks at the clock when nothing happens."""


class _Peer:
    """One connection; ``script`` is set while an answer is unfinished, ``spoken`` counts tokens."""

    __slots__ = ("buffer", "script", "sock", "spoken", "words")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.buffer = b""
        self.script: Script | None = None
        self.spoken = 0
        self.words = CHAT


class MockUpstream:
    """Serves on a port of its own; all of it on the thread that calls :meth:`run`."""

    def __init__(self, port: int = 0) -> None:
        self._listener = socket.create_server(("127.0.0.1", port), backlog=4096)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._epoll = select.epoll()
        self._epoll.register(self._listener.fileno(), select.EPOLLIN)
        self._peers: dict[int, _Peer] = {}
        self._due: list[tuple[float, int, _Peer]] = []
        self._serial = 0
        self._started: set[int] = set()
        self._left: dict[int, float] = {}

    def run(self, until: float, control: int) -> None:
        """Serve until the monotonic clock says ``until`` or the descriptor ``control`` ends."""
        self._epoll.register(control, select.EPOLLIN)
        listener = self._listener.fileno()
        while (now := time.monotonic()) < until:
            self._speak(now)
            wait = min(IDLE, max(0.0, self._due[0][0] - now)) if self._due else IDLE
            for number, _ in self._epoll.poll(wait, 1024):
                if number == listener:
                    self._accept()
                elif number == control:
                    if not os.read(control, READ):
                        return
                elif number in self._peers:
                    self._read(self._peers[number])

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._peers[sock.fileno()] = _Peer(sock)
            self._epoll.register(sock.fileno(), select.EPOLLIN)

    def _read(self, peer: _Peer) -> None:
        try:
            data = peer.sock.recv(READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(peer)
            return
        peer.buffer += data
        while peer.script is None and (request := _cut_request(peer)) is not None:
            self._answer(peer, *request)

    def _answer(self, peer: _Peer, head: bytes, body: bytes) -> None:
        method, _, rest = head.partition(b" ")
        path, _, rest = rest.partition(b" ")
        if not rest.startswith(b"HTTP/1."):
            self._drop(peer)  # some routers try whether their worker speaks HTTP/2
            return
        if method != b"POST":
            self._send(peer, self._tags() if path == b"/tags" else PROBES.get(path, EMPTY))
            return
        script = Script.find(body)
        if script.tag:
            self._started.add(script.tag)
        stream = b'"stream":true' in body or b'"stream": true' in body
        words = WORDS.get(path, CHAT)
        if script.silent:
            peer.script = script
        elif not stream:
            self._send(peer, DOCUMENTS.get(path) or unary(script.tokens))
        elif not script.pace:
            self._send(peer, words.burst(script.tokens))
        else:
            peer.script, peer.spoken, peer.words = script, 0, words
            self._send(peer, STREAM_HEAD + words.first())
            self._plan(peer, time.monotonic())

    def _tags(self) -> bytes:
        known = {"started": sorted(self._started), "left": self._left}
        return document(json.dumps(known).encode())

    def _plan(self, peer: _Peer, due: float) -> None:
        self._serial += 1
        heapq.heappush(self._due, (due, self._serial, peer))

    def _speak(self, now: float) -> None:
        """Send every token that is due."""
        while self._due and self._due[0][0] <= now:
            due, _, peer = heapq.heappop(self._due)
            script = peer.script
            if script is None:
                continue  # the other side has left
            peer.spoken += 1
            if peer.spoken < script.tokens:
                self._plan(peer, due + script.pace / 1000)
                self._send(peer, peer.words.token(time.monotonic()))
            else:
                peer.script = None
                last = peer.words.last(script.tokens)
                self._send(peer, peer.words.token(time.monotonic()) + last)

    def _send(self, peer: _Peer, data: bytes) -> None:
        try:
            sent = peer.sock.send(data)
        except OSError:
            self._drop(peer)
            return
        if sent < len(data):
            # A gateway that lets megabytes wait is not what these benchmarks measure.
            self._drop(peer)

    def _drop(self, peer: _Peer) -> None:
        if self._peers.pop(peer.sock.fileno(), None) is None:
            return
        if peer.script is not None and peer.script.tag:
            self._left[peer.script.tag] = time.monotonic()
        peer.script = None
        peer.sock.close()


def _cut_request(peer: _Peer) -> tuple[bytes, bytes] | None:
    """Take one complete request, head and body, out of the buffer; ``None`` if there is none."""
    head, mark, rest = peer.buffer.partition(b"\r\n\r\n")
    if not mark:
        return None
    fields = head.lower()
    if b"transfer-encoding: chunked" in fields:
        body, end, rest = rest.partition(b"0\r\n\r\n")
        if not end:
            return None
    else:
        _, _, after = fields.partition(b"content-length:")
        length = int(after.split(b"\r\n", 1)[0] or 0)
        if len(rest) < length:
            return None
        body, rest = rest[:length], rest[length:]
    peer.buffer = rest
    return head, body


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--max-seconds", type=float, default=3600.0)
    options = parser.parse_args()
    upstream = MockUpstream(options.port)
    print(upstream.port, flush=True)
    upstream.run(time.monotonic() + options.max_seconds, sys.stdin.fileno())


if __name__ == "__main__":
    main()
