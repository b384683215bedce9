"""Waiting for what has no event to wait for: another process, a port, a file."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

__all__ = ["eventually", "free_port"]

POLL: Final = 0.02
"""Seconds between two looks."""


def eventually(check: Callable[[], object], timeout: float = 10.0, what: str = "") -> float:
    """Return as soon as ``check()`` is true, with the seconds it took; fail after ``timeout``."""
    begun = time.monotonic()
    pause = threading.Event()  # never set: waiting for it is the pause between two looks
    while not check():
        if time.monotonic() - begun > timeout:
            raise AssertionError(f"not within {timeout:g} s: {what or check}")
        pause.wait(POLL)
    return time.monotonic() - begun


PORTS: Final = range(20_000, 32_000)
"""Below the ports that Linux gives to outgoing connections and to those who ask for port 0: one of
theirs might be taken again by the time that a process which was told of it listens."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago, and that nothing takes by chance."""
    for _ in range(1000):
        port = _chance.choice(PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError(f"no port is free from {PORTS.start} to {PORTS.stop}")


_chance: Final = random.Random()
