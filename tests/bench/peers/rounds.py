"""Rounds: all gateways run at once, and take turns in short slices, in random order.

A machine that changes its speed, or has other work to do, changes the figures of a whole round, not
the ratios within it: those are taken pair by pair, round by round, and their median is what counts.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from tests.bench.peers.cases import CASES, Case
from tests.bench.peers.clients import Clients, Request
from tests.bench.peers.gateways import Gateway
from tests.bench.peers.load import Load, Outcome, drive
from tests.bench.peers.process import Mock, Process
from tests.bench.peers.script import Script, post
from tests.support.cpu import Cores
from tests.support.stats import Quantiles

__all__ = ["Figures", "Run", "run", "scaled"]

READY_TIMEOUT: Final = 90.0
"""Seconds until the first answer; the slowest rival takes 20 s on a busy machine."""
CASE_TIMEOUT: Final = 60.0
"""Seconds for one slice; the slowest rival takes 2 s."""
WARM_UP: Final = 2
"""Slices of each case before the first round: connections are open then, caches filled."""

_MICRO: Final = 1e6


@dataclass(frozen=True, slots=True)
class Figures:
    """What one slice gave for one gateway and case; ``cpu`` in microseconds per unit."""

    gateway: str
    case: str
    round: int
    cpu: float
    latency: Quantiles
    rate: float
    done: int
    failed: dict[str, int]
    mock_cpu: float
    """Microseconds of the mock upstream per unit."""
    load_cpu: float
    """Microseconds of the load per unit."""


@dataclass(frozen=True, slots=True)
class Run:
    """Everything measured: the figures, and resident MiB by gateway, idle and after the last round.

    ``absent`` says why a gateway has no figures, or not all of them.
    """

    figures: list[Figures]
    memory: dict[str, list[float]]
    absent: dict[str, str] = field(default_factory=dict[str, str])
    seconds: float = 0.0

    def of(self, gateway: str, case: str) -> list[Figures]:
        """The rounds of one cell of the table."""
        return [each for each in self.figures if (each.gateway, each.case) == (gateway, case)]

    def ratios(self, gateway: str, case: str, reference: str) -> list[float]:
        """The gateway's CPU by that of ``reference``, a figure a round; empty without the pair."""
        costs = {each.round: each.cpu for each in self.of(reference, case) if each.done}
        pairs = [(each.cpu, costs.get(each.round)) for each in self.of(gateway, case) if each.done]
        return [cpu / other for cpu, other in pairs if other]


@dataclass(frozen=True, slots=True)
class _Running:
    """A gateway that runs, and the clients that stay connected to it."""

    gateway: Gateway
    process: Process
    clients: Clients

    def answers(self, case: Case) -> bool:
        return self.gateway.echo or not case.in_process

    def put(self, case: Case, requests: int) -> Outcome:
        load = Load(case.request, case.connections, requests, CASE_TIMEOUT)
        return drive(self.clients.address, load, self.clients)


def scaled(case: Case, scale: float) -> int:
    """Requests of one slice when everything is made shorter or longer."""
    return max(case.connections, int(case.requests * scale))


def run(
    gateways: Sequence[Gateway],
    mock: Mock,
    cores: Cores,
    *,
    rounds: int,
    scale: float,
    seed: int,
    report: Callable[[str], object],
) -> Run:
    """Start every gateway, then measure all of them ``rounds`` times, in an order from ``seed``."""
    result = Run([], {each.name: [] for each in gateways})
    begun, order = time.monotonic(), random.Random(seed)
    with ExitStack() as stack:
        running = _start(gateways, cores, result, stack, report)
        for number in range(-WARM_UP, rounds):
            if number == 0:
                _weigh(running, result)
            report(f"round {number + 1} of {rounds} …" if number >= 0 else "warming up …")
            for case in order.sample(CASES, len(CASES)):
                for each in order.sample(running, len(running)):
                    if each.answers(case) and each.gateway.name not in result.absent:
                        _slice(result, each, case, number, mock, scale, report)
        _weigh(running, result)
    return replace(result, seconds=time.monotonic() - begun)


def _start(
    gateways: Sequence[Gateway],
    cores: Cores,
    result: Run,
    stack: ExitStack,
    report: Callable[[str], object],
) -> list[_Running]:
    """Every gateway that came up; the others are marked absent."""
    running: list[_Running] = []
    for gateway in gateways:
        start = gateway.start()
        address = ("127.0.0.1", start.port)
        process = stack.enter_context(
            Process(gateway.name, start.command, cores.subject, start.environment, start.folder)
        )
        try:
            seconds = process.wait_until(partial(_answers, address), READY_TIMEOUT)
        except (RuntimeError, OSError) as error:
            report(f"{gateway.name}: {error}")
            result.absent[gateway.name] = "did not start"
            continue
        report(f"{gateway.name}: ready after {seconds:.1f} s")
        clients = Clients(address)
        stack.callback(clients.close_all)
        running.append(_Running(gateway, process, clients))
    return running


def _slice(
    result: Run,
    running: _Running,
    case: Case,
    number: int,
    mock: Mock,
    scale: float,
    report: Callable[[str], object],
) -> None:
    """One slice of one cell; a gateway that is gone is marked absent from here on."""
    name = running.gateway.name
    try:
        cell = _measure(running, case, number, mock, scale)
    except (RuntimeError, OSError) as error:
        report(f"{name}: {error}")
        result.absent[name] = "ended in the middle"
        return
    if number >= 0:
        result.figures.append(cell)
        report(f"  {case.name:<8}{name:<24}{cell.cpu:9.1f} µs/{case.unit} {cell.failed or ''}")


def _weigh(running: Sequence[_Running], result: Run) -> None:
    for each in running:
        if each.gateway.name not in result.absent:
            result.memory[each.gateway.name].append(each.process.rss_mib())


def _answers(address: tuple[str, int]) -> bool:
    """Whether a request comes back as it should."""
    script = Script(4)
    load = Load(Request(post(script), script.tokens), connections=1, requests=1, timeout=5.0)
    return drive(address, load).done == 1


def _measure(running: _Running, case: Case, number: int, mock: Mock, scale: float) -> Figures:
    own, upstream = running.process.cpu_seconds(), mock.cpu_seconds()
    seen = running.put(case, scaled(case, scale))
    own, upstream = running.process.cpu_seconds() - own, mock.cpu_seconds() - upstream
    # A gateway that fails may spend less; its figure is kept, and the failures stand beside it.
    units = max(1, case.units(seen.done, seen.events))
    return Figures(
        gateway=running.gateway.name,
        case=case.name,
        round=number,
        cpu=own / units * _MICRO,
        latency=Quantiles.of(_latencies(case, seen)),
        rate=seen.rate,
        done=seen.done,
        failed=dict(seen.failed),
        mock_cpu=upstream / units * _MICRO,
        load_cpu=seen.busy / units * _MICRO,
    )


def _latencies(case: Case, seen: Outcome) -> list[float]:
    return seen.added if case.script.pace else seen.whole
