"""An ask to an actor with a thread of its own: what the two hops cost."""

from __future__ import annotations

from typing import Final

from tests.bench.supervision.case import Case, Figures, Row, at_most_stock
from tests.bench.supervision.sampling import MICRO, Work, cpu, latencies, quantiles
from tests.bench.supervision.subjects import PATIENCE, Threaded, stock, supervised

__all__ = ["CASE"]

ASKS: Final = 5000
"""Asks a round and figure."""


def _figures(ask: Work) -> Figures:
    return {"cpu": cpu(ask, ASKS) * MICRO, **quantiles(latencies(ask, ASKS), MICRO)}


def _ours() -> Figures:
    with supervised(Threaded) as address:
        return _figures(lambda: address.ask(1, timeout=PATIENCE))


def _stock() -> Figures:
    with stock() as ref:
        return _figures(lambda: ref.ask(1, timeout=PATIENCE))


CASE: Final = Case(
    "ask, threaded actor",
    (
        Row("cpu", "CPU per ask, µs", at_most_stock()),
        Row("p50", "p50, µs"),
        Row("p99", "p99, µs"),
    ),
    _ours,
    _stock,
)
