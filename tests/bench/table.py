"""The table of ``make bench``: what a request costs, beside stock Waitress, in which threads."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

from tests.bench.measure import Figures, Result
from tests.support.stats import middle

__all__ = ["lines", "thread_lines"]

COLUMNS: Final = "{:<49} {:>8} {:>8} {:>6}  {:>8} {:>8}  {:>8}  {}"
THREADS: Final = "{:<49} {}"


def lines(results: Iterable[Result]) -> list[str]:
    """CPU per unit on both sides, their ratio, the latency that ours showed; medians."""
    heads = ("case", "CPU µs", "stock", "ratio", "p50 ms", "p99 ms", "rate/s", "failed")
    text = [COLUMNS.format(*heads).rstrip()]
    for result in results:
        ours = result.ours
        cells = (
            f"{result.case.name} / {result.case.unit}",
            _number(_cpu(ours)),
            _number(_cpu(result.stock)),
            _number(result.ratio),
            _number(middle([each.latency.p50 for each in ours])),
            _number(middle([each.latency.p99 for each in ours])),
            _number(middle([each.rate for each in ours])),
            _failures("", ours) + _failures("stock ", result.stock),
        )
        text.append(COLUMNS.format(*cells).rstrip())
    return text


def thread_lines(results: Iterable[Result]) -> list[str]:
    """Where ours spent it, by the role of the thread; shares below one percent left out."""
    text: list[str] = []
    for result in results:
        roles = sorted({role for each in result.ours for role in each.roles})
        costs = {role: middle([e.roles.get(role, 0.0) for e in result.ours]) for role in roles}
        whole = sum(costs.values()) or 1.0
        shown = [f"{role} {_number(cost)}" for role, cost in costs.items() if cost / whole >= 0.01]
        text.append(THREADS.format(result.case.name, ", ".join(shown)))
    return text


def _cpu(figures: Sequence[Figures]) -> float:
    return middle([each.cpu for each in figures])


def _failures(side: str, figures: Sequence[Figures]) -> str:
    total: dict[str, int] = {}
    for each in figures:
        for reason, count in each.failed.items():
            total[reason] = total.get(reason, 0) + count
    return "".join(f"{side}{count}: {reason}; " for reason, count in total.items())


def _number(value: float) -> str:
    """Three digits that mean something; a dash for what was not measured."""
    if math.isnan(value):
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
