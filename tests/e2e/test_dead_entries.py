"""Thousands of entries whose servers are dead leave every other model, and the log, in peace."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.engines.pool.probe_queue import MOST
from tests.support.callboard import Callboard
from tests.support.chat import chat, wait_for_model
from tests.support.slow_upstream import SlowUpstream
from tests.support.waiting import eventually

ENTRIES = 2000
ENOUGH = 80
"""Probes after which the front-end is judged."""


class Silent:
    """Accepts on every address of 127/8, reads nothing and says nothing."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("0.0.0.0", 0), backlog=1024)
        self.port = int(self._listener.getsockname()[1])
        self.accepted: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                self.accepted.append(self._listener.accept()[0])
            except OSError:
                return

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self.accepted:
            each.close()


@pytest.fixture
def silent() -> Iterator[Silent]:
    server = Silent()
    yield server
    server.close()


def entry(name: str, url: str) -> dict[str, object]:
    return {"name": name, "model_type": "chat", "endpoint": {"url": url}}


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux: 127/8 and /proc")
def test_dead_entries_are_probed_within_bounds_while_others_are_served(
    silent: Silent, tmp_path: Path
) -> None:
    where = ("--host", "127.0.0.1", "--port", "0", "--discovery-dir", str(tmp_path))
    with SlowUpstream() as upstream, Callboard("serve", *where) as front:
        port = silent.port
        dead = [
            entry(f"dead{number}", f"http://127.9.{number // 250}.{number % 250 + 1}:{port}/v1")
            for number in range(ENTRIES)
        ]
        (tmp_path / "dead.part").write_text(json.dumps([*dead, entry("good", upstream.url)]))
        (tmp_path / "dead.part").rename(tmp_path / "dead.json")
        wait_for_model(front.url, "good")
        eventually(lambda: len(silent.accepted) >= ENOUGH, 60, "they are probed")
        assert {chat(front.url, "good")[0] for _ in range(20)} == {200}
        descriptors = len([*Path(f"/proc/{front.process.pid}/fd").iterdir()])
        assert descriptors < 2 * MOST + 50
        ejected = [line for line in front.output.splitlines() if "instance ejected" in line]
        assert len(ejected) <= 11
        assert "an upstream failed" not in front.output
