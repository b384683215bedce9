"""What ``make bench`` measures: each case is a request, how many at once, per what it counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.bench.peers.clients import Request
from tests.bench.peers.load import Load
from tests.bench.peers.script import Script, post
from tests.bench.subject import MODEL, STOCK_THREADS

__all__ = ["CASES", "Case"]

TIMEOUT: Final = 60.0
"""Seconds for one case and side; none comes near it on a quiet machine."""


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of request, measured on ours and on stock Waitress.

    ``unit`` is what CPU time is divided by: ``request``, ``stream`` or ``token``. ``held`` streams
    keep a thread of stock Waitress each, so stock gets no more of them than it has threads.

    """

    name: str
    unit: str
    request: Request
    connections: int
    requests: int
    held: bool = False

    @property
    def mark(self) -> str:
        """Which latency tells something."""
        return "added" if self.request.stamped else "whole"

    def load(self, scale: float, *, stock: bool = False) -> Load:
        """How it is driven on one side."""
        clients = min(self.connections, STOCK_THREADS) if stock and self.held else self.connections
        count = max(clients, int(self.requests * scale))
        if self.held:
            count = clients  # every stream at once, and once
        return Load(self.request, clients, count, TIMEOUT)

    def units(self, done: int, marks: int) -> int:
        """By how many the CPU time is divided."""
        return max(1, marks if self.unit == "token" else done)


def _scripted(model: str, script: Script, *, stream: bool) -> Request:
    payload = post(script, model=model, stream=stream)
    return Request(payload, script.tokens, stream, stamped=script.pace > 0)


def _echo(tokens: int, *, stream: bool) -> Request:
    # Echo's tokens are the words of the question.
    payload = post(Script(tokens), model="echo", stream=stream, text=" ".join(["@word"] * tokens))
    return Request(payload, tokens, stream)


_LIVE: Final = Request(b"GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
_TWENTY_A_SECOND: Final = Script(60, pace=50)
_HUNDRED_A_SECOND: Final = Script(64, pace=10)

CASES: Final = (
    Case("GET /live", "request", _LIVE, 8, 3000),
    Case("echo, unary, 16 tokens", "request", _echo(16, stream=False), 8, 2000),
    Case("echo, stream, 64 tokens at once", "stream", _echo(64, stream=True), 8, 600),
    Case(
        "in process, 200 streams, 20 tokens/s each",
        "token",
        _scripted(MODEL, _TWENTY_A_SECOND, stream=True),
        connections=200,
        requests=200,
        held=True,
    ),
    Case(
        "relay, unary, 16 tokens",
        "request",
        _scripted("mock", Script(16), stream=False),
        connections=16,
        requests=1500,
    ),
    Case(
        "relay, stream, 64 tokens at once",
        "stream",
        _scripted("mock", Script(64), stream=True),
        connections=16,
        requests=400,
    ),
    Case(
        "relay, 64 streams, 100 tokens/s each",
        "token",
        _scripted("mock", _HUNDRED_A_SECOND, stream=True),
        connections=64,
        requests=64,
        held=True,
    ),
)
