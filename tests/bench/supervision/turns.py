"""An ask to a turn actor, alone and beside busy threads, where a hop waits for the GIL twice."""

from __future__ import annotations

from typing import Final

from tests.bench.supervision.case import Case, Figures, Row, at_most
from tests.bench.supervision.sampling import MICRO, busy_threads, latencies, quantiles
from tests.bench.supervision.subjects import PATIENCE, Turn, stock, supervised

__all__ = ["ALONE", "BESIDE_BUSY_THREADS"]

ASKS: Final = 20_000
"""Asks a round: some milliseconds, so that the GIL changes hands meanwhile."""
STOCK_ASKS: Final = 5000
"""Fewer for the stock actor, each of them takes ten times as long."""
STOCK_ASKS_BESIDE: Final = 30
"""Each of these takes about a tenth of a second."""
BUSY: Final = 8
"""Threads that compute."""


def _ours() -> Figures:
    with supervised(Turn) as address:
        return quantiles(latencies(lambda: address.ask(1, timeout=PATIENCE), ASKS), MICRO)


def _stock(asks: int = STOCK_ASKS) -> Figures:
    with stock() as ref:
        return quantiles(latencies(lambda: ref.ask(1, timeout=PATIENCE), asks), MICRO)


def _ours_beside() -> Figures:
    with busy_threads(BUSY):
        return _ours()


def _stock_beside() -> Figures:
    with busy_threads(BUSY):
        return _stock(STOCK_ASKS_BESIDE)


ALONE: Final = Case(
    "ask, turn actor",
    (Row("p50", "p50, µs", at_most(5, "µs")), Row("p99", "p99, µs")),
    _ours,
    _stock,
)
BESIDE_BUSY_THREADS: Final = Case(
    f"ask, turn actor, beside {BUSY} busy threads",
    (Row("p50", "p50, µs"), Row("p99", "p99, µs", at_most(20, "µs"))),
    _ours_beside,
    _stock_beside,
    most_rounds=3,
)
