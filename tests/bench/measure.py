"""One measurement, and rounds of them: the cases take turns, the two sides follow one another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.bench.cases import Case
from tests.bench.peers.load import Outcome, drive
from tests.bench.served import Served, Spent
from tests.support.stats import Quantiles, middle

__all__ = ["Figures", "Result", "measure", "run"]

_MICRO = 1e6


@dataclass(frozen=True, slots=True)
class Figures:
    """One side of one case in one round. CPU in microseconds per unit, latency in milliseconds."""

    cpu: float
    roles: dict[str, float]
    latency: Quantiles
    rate: float
    failed: dict[str, int]


@dataclass(frozen=True, slots=True)
class Result:
    """What every round gave for one case."""

    case: Case
    ours: list[Figures] = field(default_factory=list[Figures])
    stock: list[Figures] = field(default_factory=list[Figures])

    @property
    def ratio(self) -> float:
        """Ours over stock's CPU, the median of the rounds; NaN without a stock side."""
        pairs = zip(self.ours, self.stock, strict=False)
        return middle([one.cpu / other.cpu for one, other in pairs if other.cpu])


def measure(served: Served, case: Case, scale: float, *, stock: bool) -> Figures:
    """Warm up, unless it holds streams, then measure."""
    load = case.load(scale, stock=stock)
    address = served.stock if stock else served.ours
    if not case.held:
        drive(address, case.load(scale / 10, stock=stock))
    spent = Spent(served)
    seen = drive(address, load)
    whole, roles = spent.so_far()
    units = case.units(seen.done, seen.marks)
    return Figures(
        cpu=whole / units * _MICRO,
        roles={name: seconds / units * _MICRO for name, seconds in roles.items()},
        latency=Quantiles.of(_times(case, seen)),
        rate=seen.done / seen.seconds,
        failed=dict(seen.failed),
    )


def run(
    served: Served,
    cases: Sequence[Case],
    *,
    rounds: int,
    scale: float,
    with_stock: bool,
    report: Callable[[str], object],
) -> list[Result]:
    """Measure every case ``rounds`` times; every other round stock goes first."""
    results = [Result(case) for case in cases]
    for number in range(rounds):
        for result in results:
            report(f"round {number + 1}: {result.case.name} …")
            sides = [(False, result.ours), (True, result.stock)][: 1 + with_stock]
            for stock, figures in reversed(sides) if number % 2 else sides:
                figures.append(measure(served, result.case, scale, stock=stock))
    return results


def _times(case: Case, seen: Outcome) -> list[float]:
    return seen.added if case.mark == "added" else seen.whole
