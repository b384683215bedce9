"""The table: each figure beside stock's, and the promise about it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from tests.bench.supervision.case import Promise
from tests.bench.supervision.rounds import Result

__all__ = ["lines"]

COLUMNS: Final = "{:<40} {:>9} {:>10} {:>9}   {:<14} {}"


def lines(results: Iterable[Result]) -> list[str]:
    """The table, line by line."""
    text = [COLUMNS.format("case", "ours", "stock", "ratio", "promise", "kept").rstrip()]
    for result in results:
        text.append(result.case.name)
        for row in result.case.rows:
            ours, stock, ratio = result.middle(row)
            kept = _kept(row.promise, ours, stock)
            cells = (_number(ours), _number(stock), _number(ratio), row.promise.words, kept)
            text.append(COLUMNS.format(f"  {row.name}", *cells).rstrip())
    return text


def _number(value: float) -> str:
    """Three digits that mean something; a dash where there is nothing to compare with."""
    if math.isnan(value):
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # three digits


def _kept(promise: Promise, ours: float, stock: float) -> str:
    if promise.holds is None:
        return ""
    return "yes" if promise.holds(ours, stock) else "NO"
