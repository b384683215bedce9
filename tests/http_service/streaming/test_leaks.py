"""The guard that looks for leaks finds them, and nothing else."""

from __future__ import annotations

import socket
import threading

import pytest

from tests.http_service.leaks import Leaks, leaks


def test_a_thread_that_stays_is_found() -> None:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="forgotten", daemon=True)
    with pytest.raises(Leaks, match="thread forgotten"), leaks(0.05):
        thread.start()
    stop.set()
    thread.join(5)


def test_a_socket_that_stays_open_is_found() -> None:
    kept: list[socket.socket] = []
    with pytest.raises(Leaks, match=r"fd \d+ \(socket:"), leaks(0.05):
        kept.append(socket.socket())
    kept[0].close()


def test_what_ends_a_little_later_is_no_leak() -> None:
    stop = threading.Event()
    with leaks():
        threading.Timer(0.05, stop.set).start()
        threading.Thread(target=stop.wait, daemon=True).start()
        socket.socket().close()
