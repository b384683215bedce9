"""A flood of tells: how many a second are sent and handled, the last one included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from tests.bench.supervision.case import Case, Figures, Row, at_least_stock
from tests.bench.supervision.sampling import seconds
from tests.bench.supervision.subjects import PATIENCE, Threaded, Turn, stock, supervised

__all__ = ["CASE", "TURN"]

TELLS: Final = 50_000
"""Messages a round."""


def _rate(tell: Callable[[Any], object], ask: Callable[[], object]) -> Figures:
    def flood() -> None:
        for _ in range(TELLS):
            tell(1)
        ask()  # comes after all of them: its answer says that they were handled

    return {"rate": TELLS / seconds(flood) / 1000}


def _ours() -> Figures:
    with supervised(Threaded) as address:
        return _rate(address.tell, lambda: address.ask(1, timeout=PATIENCE))


def _turn() -> Figures:
    with supervised(Turn) as address:
        return _rate(address.tell, lambda: address.ask(1, timeout=PATIENCE))


def _stock() -> Figures:
    with stock() as ref:
        return _rate(ref.tell, lambda: ref.ask(1, timeout=PATIENCE))


ROWS: Final = (Row("rate", "1,000 messages a second", at_least_stock()),)

CASE: Final = Case("tell, threaded actor", ROWS, _ours, _stock)
TURN: Final = Case("tell, turn actor", ROWS, _turn, _stock)
