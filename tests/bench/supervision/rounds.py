"""Rounds: the cases take turns, and the two sides of a case follow one another."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from tests.bench.supervision.case import Case, Figures, Row

__all__ = ["Result", "run"]


@dataclass(frozen=True, slots=True)
class Result:
    """What every round gave for one case; the ratio is taken within a round."""

    case: Case
    ours: list[Figures] = field(default_factory=list[Figures])
    stock: list[Figures] = field(default_factory=list[Figures])

    def middle(self, row: Row) -> tuple[float, float, float]:
        """The medians of ``row``: ours, stock, and ours over stock; NaN without a stock side."""
        ours = [figures[row.key] for figures in self.ours]
        stock = [figures[row.key] for figures in self.stock]
        ratios = [one / other for one, other in zip(ours, stock, strict=False)]
        return _median(ours), _median(stock), _median(ratios)


def run(cases: Sequence[Case], rounds: int, report: Callable[[str], object]) -> list[Result]:
    """Measure every case ``rounds`` times, or as often as it bears; ``report`` tells how far."""
    results = [Result(case) for case in cases]
    for number in range(rounds):
        for result in results:
            if number < result.case.most_rounds:
                report(f"round {number + 1}: {result.case.name} …")
                _one_round(result, swap=number % 2 == 1)
    return results


def _one_round(result: Result, *, swap: bool) -> None:
    """Both sides once; every other round the other side first, as one may warm the other up."""
    case = result.case
    sides = [(case.ours, result.ours)]
    if case.stock is not None:
        sides.append((case.stock, result.stock))
    for measure, figures in reversed(sides) if swap else sides:
        figures.append(measure())


def _median(figures: Iterable[float]) -> float:
    known = [*figures]
    return statistics.median(known) if known else float("nan")
