"""Waiting for what has no event to wait for: another process, a port, a file."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
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


def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
