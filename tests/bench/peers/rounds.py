"""Rounds: every gateway in turn, each freshly started, each through all cases, twice or more."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from tests.bench.peers.cases import CASES, Case
from tests.bench.peers.clients import Request
from tests.bench.peers.cpu import Cores
from tests.bench.peers.gateways import Gateway
from tests.bench.peers.load import Load, Outcome, drive
from tests.bench.peers.process import Mock, Process
from tests.bench.peers.script import Script, post
from tests.bench.peers.stats import Quantiles

__all__ = ["Figures", "Run", "run", "scaled"]

READY_TIMEOUT: Final = 90.0
"""Seconds until the first answer; the slowest rival takes 20 s on a busy machine."""
CASE_TIMEOUT: Final = 60.0
"""Seconds for one case; the slowest rival takes 12 s."""

_MICRO: Final = 1e6


@dataclass(frozen=True, slots=True)
class Figures:
    """What one round gave for one gateway and case; ``cpu`` in microseconds per unit."""

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
    """Everything measured: the figures, and resident MiB by gateway after each round.

    ``absent`` says why a gateway has no figures, or not all of them.
    """

    figures: list[Figures]
    memory: dict[str, list[float]]
    absent: dict[str, str] = field(default_factory=dict[str, str])
    seconds: float = 0.0

    def of(self, gateway: str, case: str) -> list[Figures]:
        """The rounds of one cell of the table."""
        return [each for each in self.figures if (each.gateway, each.case) == (gateway, case)]


def scaled(case: Case, scale: float) -> tuple[int, int]:
    """Requests and warm-up requests of a case when everything is made shorter or longer."""
    least = case.connections
    return max(least, int(case.requests * scale)), int(case.warm_up * scale)


def run(
    gateways: Sequence[Gateway],
    mock: Mock,
    cores: Cores,
    *,
    rounds: int,
    scale: float,
    report: Callable[[str], object],
) -> Run:
    """Measure everything; every other round goes through the gateways backwards."""
    result = Run([], {each.name: [] for each in gateways})
    begun = time.monotonic()
    for number in range(rounds):
        for gateway in reversed(gateways) if number % 2 else gateways:
            report(f"round {number + 1}: {gateway.name} …")
            try:
                _one_round(result, gateway, number, mock, cores, scale, report)
            except (RuntimeError, OSError) as error:
                report(f"  {error}")
                result.absent[gateway.name] = "did not start, or ended in the middle"
    return replace(result, seconds=time.monotonic() - begun)


def _one_round(
    result: Run,
    gateway: Gateway,
    number: int,
    mock: Mock,
    cores: Cores,
    scale: float,
    report: Callable[[str], object],
) -> None:
    """Start one gateway and take it through all cases. Raises ``RuntimeError``, ``OSError``."""
    start = gateway.start()
    with Process(gateway.name, start.command, cores.subject, start.environment) as process:
        address = ("127.0.0.1", start.port)
        seconds = process.wait_until(partial(_answers, address), READY_TIMEOUT)
        report(f"  ready after {seconds:.1f} s")
        for case in CASES:
            cell = _measure(gateway, case, number, process, mock, address, scale)
            result.figures.append(cell)
            report(f"  {case.name:<8}{cell.cpu:9.1f} µs/{case.unit} {cell.failed or ''}")
        result.memory[gateway.name].append(process.rss_mib())


def _answers(address: tuple[str, int]) -> bool:
    """Whether a request comes back as it should."""
    script = Script(4)
    load = Load(Request(post(script), script.tokens), connections=1, requests=1, timeout=5.0)
    return drive(address, load).done == 1


def _measure(
    gateway: Gateway,
    case: Case,
    number: int,
    process: Process,
    mock: Mock,
    address: tuple[str, int],
    scale: float,
) -> Figures:
    requests, warm_up = scaled(case, scale)
    if warm_up:
        drive(address, Load(case.request, case.connections, warm_up, CASE_TIMEOUT))
    own, upstream = process.cpu_seconds(), mock.cpu_seconds()
    seen = drive(address, Load(case.request, case.connections, requests, CASE_TIMEOUT))
    own, upstream = process.cpu_seconds() - own, mock.cpu_seconds() - upstream
    # A gateway that fails may spend less; its figure is kept, and the failures stand beside it.
    units = max(1, case.units(seen.done, seen.events))
    return Figures(
        gateway=gateway.name,
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
