"""Mock upstreams that fail as told, several in one process: cheap as the benchmarks' mock.

``python -m tests.faults.long.upstreams --count 4`` prints their ports as JSON and serves until its
standard input ends. ``GET /be/MODE/MILLISECONDS`` sets how requests are answered from then on, and
``GET /seen`` gives the counts. Other GETs, and so probes, are answered whatever the mode.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import signal
import socket
import struct
import sys
import threading
import time
import urllib.request
from typing import Any, Final

from actors.testing.faults.process import wait_until_stopped
from tests.bench.peers.mock_upstream import MockUpstream
from tests.bench.peers.script import Script
from tests.bench.peers.upstream_bytes import burst, document, unary
from tests.support.child import Child

__all__ = ["FAILURES", "FailingUpstream", "Upstreams"]

FAILURES: Final = ("500", "503", "429", "reset", "hang", "slow")
"""The ways to fail; ``well`` is the other mode. ``slow`` answers well, after its milliseconds."""

STOP: Final = 10.0
CALL: Final = 5.0

_ERROR: Final = b'{"error": {"message": "told to", "type": "t", "param": null, "code": "c"}}'
_REFUSALS: Final = {
    "500": document(_ERROR, b"500 Internal Server Error"),
    "503": document(_ERROR, b"503 Service Unavailable"),
    "429": document(_ERROR, b"429 Too Many Requests"),
}


class FailingUpstream(MockUpstream):
    """One of them, on the thread that runs it; ``delay``: seconds before a good answer."""

    def __init__(self, delay: float = 0.0) -> None:
        super().__init__()
        self.mode = "well"
        self.delay = delay
        self.seen = 0
        """Requests that came."""
        self.abandoned = 0
        """Answers that were still to come when the other side left."""
        self._late: dict[Any, bytes] = {}

    def _answer(self, peer: Any, head: bytes, body: bytes) -> None:
        if not head.startswith(b"POST"):
            self._obey(peer, head)
            return
        self.seen += 1
        if self.mode in _REFUSALS:
            self._send(peer, _REFUSALS[self.mode])
        elif self.mode == "reset":
            peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._drop(peer)
        elif self.mode == "hang":
            peer.script = Script(1, silent=True)
        elif self.delay:
            peer.script = Script.find(body)
            make = burst if b'"stream":true' in body or b'"stream": true' in body else unary
            self._late[peer] = make(peer.script.tokens)
            self._plan(peer, time.monotonic() + self.delay)
        else:
            super()._answer(peer, head, body)

    def _obey(self, peer: Any, head: bytes) -> None:
        path = head.split(b" ", 2)[1].decode()
        if path == "/seen":
            known = {"seen": self.seen, "abandoned": self.abandoned}
            self._send(peer, document(json.dumps(known).encode()))
        elif path.startswith("/be/"):
            self.mode, milliseconds = path.removeprefix("/be/").split("/")
            self.delay = int(milliseconds) / 1000
            self._send(peer, document(b"{}"))
        else:
            super()._answer(peer, head, b"")

    def _speak(self, now: float) -> None:
        due = [each for each in self._due if each[0] <= now and each[2] in self._late]
        if due:
            self._due = [each for each in self._due if each not in due]
            heapq.heapify(self._due)
        for _, _, peer in due:
            data = self._late.pop(peer)
            if peer.script is not None:
                peer.script = None
                self._send(peer, data)
        super()._speak(now)

    def _drop(self, peer: Any) -> None:
        self.abandoned += peer.script is not None
        super()._drop(peer)


class Upstreams(Child):
    """``count`` of them in one process, each answering after ``delay`` seconds."""

    def __init__(self, count: int, delay: float = 0.0) -> None:
        words = ("--count", str(count), "--delay", str(delay))
        super().__init__("tests.faults.long.upstreams", *words)
        self.urls: Final = [f"http://127.0.0.1:{port}" for port in self.greeting]

    def __len__(self) -> int:
        return len(self.urls)

    def be(self, number: int, mode: str, delay: float = 0.0) -> None:
        """Have one of them answer so from now on."""
        self._get(number, f"be/{mode}/{round(delay * 1000)}")

    def seen(self) -> list[int]:
        """The requests that came to each."""
        return [self._get(number, "seen")["seen"] for number in range(len(self))]

    def abandoned(self) -> list[int]:
        """The answers of each that nobody waited for."""
        return [self._get(number, "seen")["abandoned"] for number in range(len(self))]

    def freeze(self) -> None:
        """SIGSTOP, and wait until it took effect: connections open and nothing answers."""
        self.popen.send_signal(signal.SIGSTOP)
        wait_until_stopped(self.popen.pid)

    def thaw(self) -> None:
        """SIGCONT."""
        self.popen.send_signal(signal.SIGCONT)

    def _get(self, number: int, path: str) -> Any:
        with urllib.request.urlopen(f"{self.urls[number]}/{path}", timeout=CALL) as answer:
            return json.load(answer)

    def close(self) -> None:
        """End it, frozen or not."""
        self.thaw()
        super().close()


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--max-seconds", type=float, default=7200.0)
    options = parser.parse_args()
    until = time.monotonic() + options.max_seconds
    upstreams = [FailingUpstream(options.delay) for _ in range(options.count)]
    reader, writer = os.pipe()  # its end is what ends all of them
    threads = [threading.Thread(target=each.run, args=(until, reader)) for each in upstreams]
    for thread in threads:
        thread.start()
    print(json.dumps([each.port for each in upstreams]), flush=True)
    sys.stdin.read()
    os.close(writer)
    for thread in threads:
        thread.join(STOP)


if __name__ == "__main__":
    main()
