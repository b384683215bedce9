"""From a crash to the answer of the next incarnation, as one asker sees it.

Stock Pykka has nothing to compare it with: there a dead actor stays dead.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from actors import Address
from tests.bench.supervision.case import Case, Figures, Row, at_most
from tests.bench.supervision.sampling import MILLI, latencies, quantiles
from tests.bench.supervision.subjects import CRASH, PATIENCE, Threaded, Turn, supervised

__all__ = ["THREADED", "TURN"]

CRASHES: Final = 500
"""Crashes a round."""

ROWS: Final = (
    Row("p50", "p50, ms", at_most(1, "ms")),
    Row("p99", "p99, ms", at_most(10, "ms")),
)


def _crash_and_ask(address: Address) -> None:
    address.tell(CRASH)
    address.ask(1, timeout=PATIENCE)


def _figures(kind: type[Threaded | Turn]) -> Figures:
    with supervised(kind) as address:
        return quantiles(latencies(partial(_crash_and_ask, address), CRASHES), MILLI)


THREADED: Final = Case("crash to next answer, threaded actor", ROWS, partial(_figures, Threaded))
TURN: Final = Case("crash to next answer, turn actor", ROWS, partial(_figures, Turn))
