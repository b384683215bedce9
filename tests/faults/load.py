"""An open-loop HTTP load on one thread: requests are due by the clock, whatever the answers do.

Every answer is read to its last byte and judged (:mod:`tests.faults.answers`). Requests use
connections again as clients do, and never retry: a failure is seen as one.
"""

from __future__ import annotations

import json
import random
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from tests.faults.answers import Broken, Question, judged, read_answer
from tests.faults.evidence import Request

__all__ = ["HttpLoad", "Target", "request_bytes"]

IDLE: Final = 0.05
MOST_IDLE: Final = 16
"""Idle connections that are kept for the next request."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a share of the load asks for; ``words`` is the length of question and answer."""

    model: str
    stream: bool = False
    words: int = 6
    any_text: bool = False
    max_tokens: int | None = None
    """For models that would not end by themselves."""

    @property
    def name(self) -> str:
        """As it is called in reports."""
        return f"{self.model} stream" if self.stream else self.model


class Call:
    """One request under way on its connection."""

    __slots__ = ("due", "question", "received", "sock", "target", "unsent")

    def __init__(self, due: float, target: Target, question: Question, data: bytes) -> None:
        self.due, self.target, self.question = due, target, question
        self.unsent = data
        self.received = b""
        self.sock: socket.socket | None = None


class HttpLoad:
    """``rate`` requests a second, dealt to ``targets`` in turn; ``base`` is when time began."""

    def __init__(
        self,
        address: tuple[str, int],
        targets: Sequence[Target],
        rate: float,
        *,
        base: float,
        deadline: float = 10.0,
    ) -> None:
        self.cpu = 0.0
        """Seconds of CPU that the load's thread has used."""
        self._address, self._targets = address, tuple(targets)
        self._gap, self._deadline, self._base = 1.0 / rate, deadline, base
        self._selector = selectors.DefaultSelector()
        self._idle: deque[socket.socket] = deque()
        self._calls: dict[socket.socket, Call] = {}
        self._done: list[Request] = []
        self._stopping = threading.Event()
        self._random = random.Random(0)
        self._number = 0
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    @property
    def running(self) -> bool:
        """Whether it was started and was not told to stop."""
        return self._thread.is_alive() and not self._stopping.is_set()

    def start(self) -> None:
        """Begin, now."""
        self._thread.start()

    def stop(self) -> tuple[Request, ...]:
        """Send nothing more; wait for what is under way; every request."""
        self._stopping.set()
        self._thread.join(self._deadline + 10.0)
        return tuple(self._done)

    def recent(self, seconds: float) -> list[Request]:
        """What was due within the last so many seconds and has ended."""
        since = time.monotonic() - self._base - seconds
        return [each for each in self._done[-2000:] if each.end >= since]

    def _run(self) -> None:
        next_due = time.monotonic()
        next_check = next_due
        try:
            while not self._stopping.is_set() or self._calls:
                now = time.monotonic()
                while next_due <= now and not self._stopping.is_set():
                    self._begin(next_due)
                    next_due += self._gap
                if now >= next_check:
                    self._expire(now)
                    next_check = now + IDLE
                    self.cpu = time.thread_time()
                wait = IDLE if self._stopping.is_set() else min(IDLE, max(0.0, next_due - now))
                for key, mask in self._selector.select(wait):
                    self._ready(key.fileobj, mask)
        finally:
            for sock in [*self._idle, *self._calls]:
                sock.close()
            self._selector.close()
            self.cpu = time.thread_time()

    def _begin(self, due: float) -> None:
        self._number += 1
        target = self._targets[self._number % len(self._targets)]
        words = [f"w{self._number}", *(f"x{n}" for n in range(target.words - 1))]
        text = " ".join(words)
        question = Question(target.model, target.stream, None if target.any_text else text)
        call = Call(due, target, question, request_bytes(target, text))
        sock = self._connection()
        if sock is None:
            self._end(call, "refused")
            return
        call.sock = sock
        self._calls[sock] = call
        self._selector.modify(sock, selectors.EVENT_READ | selectors.EVENT_WRITE)

    def _connection(self) -> socket.socket | None:
        if self._idle:
            return self._idle.pop()
        sock = socket.socket()
        sock.settimeout(0)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            sock.connect_ex(self._address)
            self._selector.register(sock, selectors.EVENT_WRITE)
        except OSError:
            sock.close()
            return None
        return sock

    def _ready(self, sock: Any, mask: int) -> None:
        call = self._calls.get(sock)
        if call is None:  # an idle connection that the server closed
            self._forget(sock)
            with suppress(ValueError):
                self._idle.remove(sock)
            return
        if call.unsent and mask & selectors.EVENT_WRITE:
            self._send(call, sock)
        elif mask & selectors.EVENT_READ:
            self._receive(call, sock)

    def _send(self, call: Call, sock: socket.socket) -> None:
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._drop(call, sock, "refused")
            return
        try:
            call.unsent = call.unsent[sock.send(call.unsent) :]
        except BlockingIOError:
            return
        except OSError:
            self._drop(call, sock, "cut")
            return
        if not call.unsent:
            self._selector.modify(sock, selectors.EVENT_READ)

    def _receive(self, call: Call, sock: socket.socket) -> None:
        try:
            piece = sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not piece:
            self._drop(call, sock, "cut")
            return
        call.received += piece
        try:
            answer = read_answer(call.received)
        except Broken as broken:
            self._drop(call, sock, f"wrong: {broken}")
            return
        if answer is None:
            return
        outcome = judged(call.question, answer)
        if answer.size != len(call.received):
            outcome = "wrong: bytes after the end of the answer"
        if answer.closes or outcome.startswith("wrong") or len(self._idle) >= MOST_IDLE:
            self._drop(call, sock, outcome)
        else:
            del self._calls[sock]
            self._idle.append(sock)
            self._end(call, outcome)

    def _expire(self, now: float) -> None:
        late = [c for c in self._calls.values() if now - c.due > self._deadline]
        for call in late:
            if call.sock is not None:
                self._drop(call, call.sock, "late")

    def _drop(self, call: Call, sock: socket.socket, outcome: str) -> None:
        del self._calls[sock]
        self._forget(sock)
        self._end(call, outcome)

    def _forget(self, sock: socket.socket) -> None:
        self._selector.unregister(sock)
        sock.close()

    def _end(self, call: Call, outcome: str) -> None:
        now = time.monotonic()
        self._done.append(Request(call.due - self._base, now - call.due, call.target.name, outcome))


def request_bytes(target: Target, text: str) -> bytes:
    """One chat request, ready to be sent."""
    message = {"role": "user", "content": text}
    asked: dict[str, object] = {
        "model": target.model,
        "stream": target.stream,
        "messages": [message],
    }
    if target.max_tokens is not None:
        asked["max_tokens"] = target.max_tokens
    body = json.dumps(asked, separators=(",", ":")).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
