"""The three cases of the comparison, as a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.bench.peers.clients import Request
from tests.bench.peers.script import Script, post

__all__ = ["CASES", "Case"]


@dataclass(frozen=True, slots=True)
class Case:
    """One case: what is asked, by how many clients, how often, and per what the CPU is counted.

    ``unit`` is ``request``, ``stream`` or ``event``; ``latency`` says of what p50 and p99 are.
    """

    name: str
    title: str
    unit: str
    latency: str
    script: Script
    stream: bool
    connections: int
    requests: int
    warm_up: int

    @property
    def request(self) -> Request:
        """The request, and what its answer must have."""
        stamped = self.script.pace > 0
        payload = post(self.script, stream=self.stream)
        return Request(payload, self.script.tokens, self.stream, stamped)

    def units(self, done: int, events: int) -> int:
        """By how many the CPU time is divided."""
        return events if self.unit == "event" else done


CASES: Final = (
    Case(
        name="UNARY",
        title="relay, unary, 16 tokens, 16 clients",
        unit="request",
        latency="whole answer",
        script=Script(16),
        stream=False,
        connections=16,
        requests=4000,
        warm_up=800,
    ),
    Case(
        name="BURST64",
        title="relay, 64 tokens at once, streamed, 16 clients",
        unit="stream",
        latency="whole answer",
        script=Script(64),
        stream=True,
        connections=16,
        requests=1000,
        warm_up=200,
    ),
    Case(
        name="PACED64",
        title="relay, 64 tokens 10 ms apart, 64 clients",
        unit="event",
        latency="added to a token",
        script=Script(64, pace=10),
        stream=True,
        connections=64,
        requests=448,
        warm_up=0,
    ),
)
