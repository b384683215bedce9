"""What big request bodies cost: the peak of memory, and how long everybody else waits.

``make bench ARGS='body_memory'``: the front-end as a process of its own, relaying to a worker that
takes every request and answers none until the case is over. ``--root`` measures another checkout,
with its own ``.venv``, by the same requests.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Self
from urllib.parse import urlsplit

from tests.support.callboard import Callboard
from tests.support.chat import wait_for_model

__all__ = ["main"]

MIB: Final = 1 << 20
PIECE: Final = 1 * MIB
SETTLE: Final = 1.5
"""Seconds that a case goes on after its last byte: what was taken in is relayed by then."""

DEADLINE: Final = 120.0
PROBE_PAUSE: Final = 0.005

_ROOT: Final = Path(__file__).parents[2]
_KEY: Final = "sk-of-the-measurement"


@dataclass(frozen=True, slots=True)
class Case:
    """``clients`` send one body each, at once; ``key`` is theirs, where the service wants one."""

    name: str
    clients: int
    body: Callable[[], bytes]
    key: str | None = _KEY


def text(size: int) -> bytes:
    """A conversation with one message of ``size`` bytes."""
    return b'{"model":"m","messages":[{"role":"user","content":"%b"}]}' % (b"x" * size)


def arrays(size: int) -> bytes:
    """A conversation with ``size`` bytes of empty arrays beside its message."""
    many = b"[]," * (size // 3) + b"[]"
    return b'{"model":"m","messages":[{"role":"user","content":"x"}],"x":[%b]}' % many


def tokens(count: int) -> bytes:
    """A conversation with ``count`` numbers beside its message."""
    many = b",".join(b"%d" % number for number in range(count))
    return b'{"model":"m","messages":[{"role":"user","content":"x"}],"x":[%b]}' % many


CASES: Final = (
    Case("20 bodies of 40 MiB", 20, lambda: text(40 * MIB)),
    Case("one body of 37 MiB of empty arrays", 1, lambda: arrays(37 * MIB)),
    Case("one body of a million token ids", 1, lambda: tokens(1_000_000)),
    Case("60 bodies of 44 MiB without a key", 60, lambda: text(44 * MIB), key=None),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; answer the exit code."""
    parser = argparse.ArgumentParser(prog="make bench ARGS='body_memory …'", description=__doc__)
    parser.add_argument("--root", type=Path, default=_ROOT, help="the checkout to measure")
    options = parser.parse_args(arguments)
    print(f"{'case':<36} {'before':>8} {'peak':>8}   longest /live   answers")
    for case in CASES:
        with TemporaryDirectory() as folder, _Worker() as worker:
            _measure(case, options.root.resolve(), Path(folder), worker)
    return 0


def _measure(case: Case, root: Path, folder: Path, worker: _Worker) -> None:
    keys, entries = folder / "keys", folder / "entries"
    keys.write_text(f"{_KEY}\n")
    entries.mkdir()
    entry = {"name": "m", "model_type": "chat", "endpoint": {"url": worker.url}}
    (entries / "m.json").write_text(json.dumps(entry))
    words = ["--host", "127.0.0.1", "--port", "0", "--etcd", "", "--discovery-dir", str(entries)]
    if case.key is None:
        words += ["--api-key-file", str(keys)]
    program = (str(root / ".venv" / "bin" / "python"), "-m", "actors.main")
    with Callboard(*words, program=program, cwd=root) as front:
        _wait_until_served(front, case)
        pid = front.process.pid
        before = _resident(pid, "VmRSS")
        answers, longest = _attack(case, front.url)
        peak = _resident(pid, "VmHWM")
    told = ", ".join(f"{count} x {status}" for status, count in sorted(answers.items()))
    print(f"{case.name:<36} {before:>6} M {peak:>6} M {longest * 1e3:>12.0f} ms   {told}")


def _wait_until_served(front: Callboard, case: Case) -> None:
    if case.key is None:
        front.wait_for("listening")
    else:
        wait_for_model(front.url, "m")


def _attack(case: Case, url: str) -> tuple[Counter[str], float]:
    """What the clients were answered, and the longest that ``/live`` took meanwhile."""
    body = case.body()
    address = (urlsplit(url).hostname or "", urlsplit(url).port or 0)
    answers: Counter[str] = Counter()
    threads = [
        threading.Thread(target=_send, args=(address, body, case.key, answers))
        for _ in range(case.clients)
    ]
    over = threading.Event()
    waits: list[float] = []
    probe = threading.Thread(target=_probe, args=(address, waits, over))
    for each in (probe, *threads):
        each.start()
    for each in threads:
        each.join(DEADLINE)
    over.set()
    probe.join(DEADLINE)
    return answers, max(waits)


def _send(address: tuple[str, int], body: bytes, key: str | None, answers: Counter[str]) -> None:
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    head += f"Content-Length: {len(body)}\r\n"
    head += "" if key is None else f"Authorization: Bearer {key}\r\n"
    with socket.create_connection(address, timeout=DEADLINE) as sock:
        # Whoever is refused early may be cut off while it sends.
        with contextlib.suppress(ConnectionError):
            sock.sendall(head.encode() + b"\r\n")
            for begin in range(0, len(body), PIECE):
                sock.sendall(body[begin : begin + PIECE])
        sock.settimeout(SETTLE)
        try:
            status = sock.recv(4096)[9:12].decode() or "closed"
        except TimeoutError:
            status = "taken in"
        except ConnectionError:
            status = "reset"
    answers[status] += 1


def _probe(address: tuple[str, int], waits: list[float], over: threading.Event) -> None:
    with socket.create_connection(address, timeout=DEADLINE) as sock:
        while not over.wait(PROBE_PAUSE):
            begun = time.monotonic()
            sock.sendall(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
            sock.recv(4096)
            waits.append(time.monotonic() - begun)


def _resident(pid: int, field: str) -> int:
    """MiB of memory, now (``VmRSS``) or at most (``VmHWM``), as Linux tells it."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = next(line for line in lines if line.startswith(f"{field}:"))
    return int(found.split()[1]) // 1024


class _Worker:
    """Takes every request whole and says nothing: its front-end holds what it sent."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._taken: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_exception: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._taken:
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self._taken.append(sock)
                threading.Thread(target=self._drop, args=(sock,), daemon=True).start()

    @staticmethod
    def _drop(sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while sock.recv(PIECE):
                pass


if __name__ == "__main__":
    sys.exit(main())
