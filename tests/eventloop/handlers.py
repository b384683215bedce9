"""A handler that remembers, and threads that run a loop."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

from actors.eventloop import READ, EventLoop


class Recorder:
    """A handler that reads, remembers, and does what it is told."""

    def __init__(self, sock: socket.socket, then: Callable[[], object] = lambda: None) -> None:
        self.sock = sock
        self.then = then
        self.events: list[int] = []
        self.data = b""
        self.errors: list[BaseException] = []

    def ready(self, events: int) -> None:
        self.events.append(events)
        if events & READ:
            self.data += self.sock.recv(100)
        self.then()

    def failed(self, error: BaseException) -> None:
        self.errors.append(error)


def fail() -> None:
    raise ZeroDivisionError


def running(loop: EventLoop) -> threading.Thread:
    """Run ``loop`` on a thread of its own."""
    thread = threading.Thread(target=loop.run, daemon=True)
    thread.start()
    return thread


def reached(loop: EventLoop) -> threading.Event:
    """Set once the loop has come to a call made now."""
    event = threading.Event()
    loop.call(event.set)
    return event
