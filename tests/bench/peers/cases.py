"""The cases of the comparison, as a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.bench.peers.clients import Request
from tests.bench.peers.script import Script, post

__all__ = ["CASES", "Case"]


@dataclass(frozen=True, slots=True)
class Case:
    """One case: what is asked, by how many clients, how often, and per what the CPU is counted.

    ``unit`` is ``request``, ``stream`` or ``event``; ``latency`` says of what p50 and p99 are. A
    case with ``in_process`` is answered by Callboard's own echo engine, so only by Callboard.
    """

    name: str
    title: str
    unit: str
    latency: str
    script: Script
    stream: bool
    connections: int
    requests: int
    in_process: bool = False

    @property
    def request(self) -> Request:
        """The request, and what its answer must have."""
        tokens = self.script.tokens
        if self.in_process:  # echo's tokens are the words of the question
            words = " ".join(["@word"] * tokens)
            payload = post(self.script, model="echo", stream=self.stream, text=words)
        else:
            payload = post(self.script, stream=self.stream)
        return Request(payload, tokens, self.stream, stamped=self.script.pace > 0)

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
        requests=400,
    ),
    Case(
        name="BURST64",
        title="relay, 64 tokens at once, streamed, 16 clients",
        unit="stream",
        latency="whole answer",
        script=Script(64),
        stream=True,
        connections=16,
        requests=120,
    ),
    Case(
        name="PACED64",
        title="relay, 64 tokens 10 ms apart, 64 clients",
        unit="event",
        latency="added to a token",
        script=Script(64, pace=10),
        stream=True,
        connections=64,
        requests=64,
    ),
    Case(
        name="ECHO",
        title="in process, unary, 16 tokens, 16 clients",
        unit="request",
        latency="whole answer",
        script=Script(16),
        stream=False,
        connections=16,
        requests=400,
        in_process=True,
    ),
    Case(
        name="ECHO64",
        title="in process, 64 tokens at once, streamed, 16 clients",
        unit="stream",
        latency="whole answer",
        script=Script(64),
        stream=True,
        connections=16,
        requests=120,
        in_process=True,
    ),
)
