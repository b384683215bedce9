"""How soon an engine hears that its client has left: while it speaks, while it is silent, relayed.

``make bench ARGS='disconnects'`` closes clients in the middle of their answers, half of them by a
reset. In process, the delay ends when the engine's cancellation token rings; relayed, when the
upstream sees its connection closed. The exit code is 1 if somebody was never told.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from tests.bench.peers.clients import Clients, Connection, Request
from tests.bench.peers.process import Mock
from tests.bench.peers.script import Script, post
from tests.bench.relaying import relaying_with_mock
from tests.bench.served import Served
from tests.bench.subject import MODEL
from tests.support.stats import Quantiles
from tests.support.waiting import eventually

__all__ = ["CASES", "Case", "delays", "main"]

PATIENCE: Final = 5.0
"""Seconds to hear of it; promised are 0.01."""
START: Final = 10.0
"""Seconds for a request to reach its engine, and for the first token to come back."""
_TICK: Final = 0.05
PACE: Final = 50
TOKENS: Final = 1000
"""Far more than are ever spoken."""


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of leaving."""

    name: str
    model: str
    stream: bool
    silent: bool

    def request(self, tag: int) -> Request:
        """A request whose end is remembered under ``tag``."""
        script = Script(TOKENS, 0 if self.silent else PACE, silent=self.silent, tag=tag)
        return Request(post(script, model=self.model, stream=self.stream), TOKENS, self.stream)


CASES: Final = (
    Case("stream, in process", MODEL, stream=True, silent=False),
    Case("silent stream, in process", MODEL, stream=True, silent=True),
    Case("unary, in process", MODEL, stream=False, silent=True),
    Case("stream, upstream", "mock", stream=True, silent=False),
    Case("silent stream, upstream", "mock", stream=True, silent=True),
    Case("unary, upstream", "mock", stream=False, silent=True),
)

COLUMNS: Final = "{:<28} {:>6} {:>9} {:>9} {:>9}  {}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure every case and print a line for each; answer the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.disconnects",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--clients", type=int, default=100, help="clients that leave, a case")
    options = parser.parse_args(arguments)
    print(COLUMNS.format("left during", "n", "p50 ms", "p99 ms", "max ms", "never told"))
    missing = 0
    with relaying_with_mock() as (served, mock):
        for number, case in enumerate(CASES):
            tags = range(1 + number * options.clients, 1 + (number + 1) * options.clients)
            engine = _Engine(case, served, mock)
            left = _leave(served.ours, case, engine, tags)
            found = delays(left, _told(engine, tags))
            missing += len(left) - len(found)
            print(_line(case, found, len(left) - len(found)), flush=True)
    return 1 if missing else 0


def delays(left: Mapping[int, float], heard: Mapping[int, float]) -> list[float]:
    """Seconds from each leaving to its being heard of; who was never told is left out."""
    return [heard[tag] - moment for tag, moment in left.items() if tag in heard]


class _Engine:
    """Whoever answers: the engine in the process, or the upstream."""

    def __init__(self, case: Case, served: Served, mock: Mock) -> None:
        self._served = served if case.model == MODEL else None
        self._mock = mock

    def has_started(self, tag: int) -> bool:
        """Whether it has begun to answer, or to be silent."""
        return tag in (self._served.started() if self._served else self._mock.tags()[0])

    def told(self) -> dict[int, float]:
        """When it was told that the client has left, by tag."""
        return self._served.cancelled() if self._served else self._mock.tags()[1]


def _leave(
    address: tuple[str, int], case: Case, engine: _Engine, tags: Sequence[int]
) -> dict[int, float]:
    """One client after the other asks, waits until it is being answered, and leaves."""
    left: dict[int, float] = {}
    clients = Clients(address)
    for tag in tags:
        connection = clients.ask(case.request(tag))
        eventually(partial(engine.has_started, tag), START, f"{case.name}: begun")
        if not case.silent:
            _wait_for_a_token(clients, connection)
        left[tag] = time.monotonic()
        clients.close(connection, reset=tag % 2 == 0)
    clients.close_all()
    return left


def _wait_for_a_token(clients: Clients, connection: Connection) -> None:
    deadline = time.monotonic() + START
    while not connection.answer.marks:
        for over in clients.poll(_TICK):
            raise RuntimeError(f"answered too early, with status {over.answer.status}")
        if time.monotonic() > deadline:
            raise RuntimeError(f"no token within {START:g} s")


def _told(engine: _Engine, tags: Sequence[int]) -> dict[int, float]:
    """When each was told; whoever is missing after a while never was."""
    with contextlib.suppress(AssertionError):  # the table says who is missing
        eventually(lambda: set(tags) <= set(engine.told()), PATIENCE)
    return engine.told()


def _line(case: Case, found: list[float], missing: int) -> str:
    times = Quantiles.of(found)
    most = max(found, default=float("nan")) * 1e3
    figures = (f"{times.p50:.2f}", f"{times.p99:.2f}", f"{most:.2f}")
    return COLUMNS.format(case.name, len(found), *figures, missing or "-")


if __name__ == "__main__":
    raise SystemExit(main())
