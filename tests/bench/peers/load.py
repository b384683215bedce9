"""The load: a closed loop of clients, bounded in requests and time, that counts only the truth."""

from __future__ import annotations

import gc
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from tests.bench.peers.clients import Clients, Connection, Request

__all__ = ["Load", "Outcome", "drive"]

TICK: Final = 0.25
"""Seconds between two looks at the deadline when nothing comes."""


@dataclass(frozen=True, slots=True)
class Load:
    """``requests`` of one kind over ``connections`` clients, for ``timeout`` seconds at most."""

    request: Request
    connections: int
    requests: int
    timeout: float = 120.0


@dataclass(slots=True)
class Outcome:
    """What the clients saw. Times are in seconds; ``failed`` counts by reason."""

    asked: int = 0
    done: int = 0
    failed: Counter[str] = field(default_factory=Counter[str])
    seconds: float = 0.0
    busy: float = 0.0
    """CPU seconds of the load itself."""
    events: int = 0
    marks: int = 0
    whole: list[float] = field(default_factory=list[float])
    """From the request to the end of its answer."""
    first: list[float] = field(default_factory=list[float])
    """From the request to its first token."""
    added: list[float] = field(default_factory=list[float])
    """From the making of a token to its arrival, for stamped ones."""

    @property
    def failures(self) -> int:
        """Requests that were not answered as they should be."""
        return sum(self.failed.values())

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return self.done / self.seconds if self.seconds else 0.0

    def note(self, connection: Connection, now: float) -> None:
        """Judge one answer that is over."""
        answer = connection.answer
        reason = connection.request.judge(answer)
        if reason:
            self.failed[reason] += 1
            return
        self.done += 1
        self.events += answer.events
        self.marks += answer.marks
        self.whole.append(now - connection.asked)
        if answer.first:
            self.first.append(answer.first - connection.asked)
        self.added.extend(answer.added)


def drive(address: tuple[str, int], load: Load, kept: Clients | None = None) -> Outcome:
    """Put ``load`` on ``address``; returns when every request is answered or given up.

    ``kept`` clients are used first, and stay open.
    """
    outcome, clients = Outcome(), kept or Clients(address)
    # A collection in the middle would look like a slow answer.
    gc.collect()
    gc.disable()
    begun, cpu = time.monotonic(), time.process_time()
    try:
        _closed_loop(clients, load, outcome, begun + load.timeout)
    finally:
        gc.enable()
        outcome.seconds = time.monotonic() - begun
        outcome.busy = time.process_time() - cpu
        if kept is None:
            clients.close_all()
    return outcome


def _closed_loop(clients: Clients, load: Load, outcome: Outcome, deadline: float) -> None:
    idle = clients.idle()
    for _ in range(min(load.connections, load.requests)):
        _next(clients, load, outcome, idle.pop() if idle else None)
    while outcome.done + outcome.failures < outcome.asked:
        for connection in clients.poll(TICK):
            outcome.note(connection, time.monotonic())
            _next(clients, load, outcome, connection)
        if time.monotonic() > deadline:
            missing = outcome.asked - outcome.done - outcome.failures
            outcome.failed["not answered in time"] += missing
            return


def _next(clients: Clients, load: Load, outcome: Outcome, connection: Connection | None) -> None:
    """Ask once more, on ``connection`` if it is still open; where that fails, on a new one."""
    usable = connection if connection is not None and clients.is_open(connection) else None
    while outcome.asked < load.requests:
        outcome.asked += 1
        try:
            clients.ask(load.request, usable)
        except OSError as error:
            outcome.failed[f"could not ask: {type(error).__name__}"] += 1
            if usable is not None:
                clients.close(usable)
                usable = None
        else:
            return
