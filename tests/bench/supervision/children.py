"""Many children, dynamic or named: whether starting and stopping them is linear in their number.

Judged with the garbage collector off: each of its full passes looks at every living object, so with
it nothing that keeps what it makes is quite linear. The plain figures have it on, as programs do.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import partial
from typing import Final

from actors import Child, DynamicSupervisor, Supervised, Supervisor
from tests.bench.supervision.case import Case, Figures, Promise, Row
from tests.bench.supervision.sampling import MICRO, seconds
from tests.bench.supervision.subjects import PATIENCE, Stock, Threaded, Turn

__all__ = ["NAMED", "THREADED", "TURN"]

FEW: Final = 1000
MANY: Final = 10_000
LINEAR: Final = 1.5
"""What a child among many may cost of one among few; a quadratic supervisor would show ten."""


def _dynamic(kind: type[Supervised], count: int) -> None:
    tree = DynamicSupervisor.start(Child("child", kind.start, shutdown=PATIENCE))
    children = tree.dynamic()
    for _ in range(count):
        children.start_child()
    tree.stop(10 * PATIENCE)


def _named(count: int) -> None:
    children = (Child(f"child-{number}", Turn.start) for number in range(count))
    Supervisor.start(*children).stop(10 * PATIENCE)


def _stock_children(count: int) -> None:
    refs = [Stock.start() for _ in range(count)]
    stops = [ref.stop(block=False) for ref in refs]
    for stop in stops:
        stop.get(timeout=PATIENCE)


def _figures(start_and_stop: Callable[[int], None]) -> Figures:
    few, many = _each(start_and_stop, FEW), _each(start_and_stop, MANY)
    gc.disable()
    try:
        growth = _each(start_and_stop, MANY) / _each(start_and_stop, FEW)
    finally:
        gc.enable()
    return {"few": few * MICRO, "many": many * MICRO, "growth": growth}


def _each(start_and_stop: Callable[[int], None], count: int) -> float:
    """Seconds a child."""
    return seconds(partial(start_and_stop, count)) / count


def _ours(kind: type[Supervised]) -> Figures:
    return _figures(partial(_dynamic, kind))


def _stock() -> Figures:
    return _figures(_stock_children)


def _rows(linear: Promise) -> tuple[Row, ...]:
    return (
        Row("few", f"start and stop one of {FEW:,}, µs"),
        Row("many", f"start and stop one of {MANY:,}, µs"),
        Row("growth", "many over few, collector off", linear),
    )


THREADED: Final = Case(
    "dynamic children, threaded",
    # Ten thousand threads cost the kernel more than ten times a thousand, whoever starts them.
    _rows(Promise(f"≤ {LINEAR:g} stock", lambda ours, stock: ours <= LINEAR * stock)),
    partial(_ours, Threaded),
    _stock,
    most_rounds=3,
)
TURN: Final = Case(
    "dynamic children, turn",
    _rows(Promise(f"linear: ≤ {LINEAR:g}", lambda ours, _stock: ours <= LINEAR)),
    partial(_ours, Turn),
    most_rounds=3,
)
NAMED: Final = Case(
    "named children, turn",
    _rows(Promise(f"linear: ≤ {LINEAR:g}", lambda ours, _stock: ours <= LINEAR)),
    partial(_figures, _named),
    most_rounds=3,
)
