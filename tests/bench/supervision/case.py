"""A case: what is measured on both sides, and what was promised about each of its figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

__all__ = [
    "NOTHING",
    "Case",
    "Figures",
    "Measure",
    "Promise",
    "Row",
    "at_least_stock",
    "at_most",
    "at_most_stock",
]

Figures = Mapping[str, float]
"""What one round of one side gave, by the key of its row."""

Measure = Callable[[], Figures]


@dataclass(frozen=True, slots=True)
class Promise:
    """A promise in words, and whether ``holds(ours, stock)`` keeps it; ``None`` promises nothing.

    ``stock`` is NaN where there is no such figure.
    """

    words: str
    holds: Callable[[float, float], bool] | None = None


NOTHING: Final = Promise("")
"""For a figure that explains the others."""


def at_most(limit: float, unit: str) -> Promise:
    """Our figure is ``limit`` or less."""
    return Promise(f"≤ {limit:g} {unit}", lambda ours, _stock: ours <= limit)


def at_most_stock() -> Promise:
    """Our figure is no worse than stock's, where less is better."""
    return Promise("≤ stock", lambda ours, stock: ours <= stock)


def at_least_stock() -> Promise:
    """Our figure is no worse than stock's, where more is better."""
    return Promise("≥ stock", lambda ours, stock: ours >= stock)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: the figure's key, its name with the unit, the promise about it."""

    key: str
    name: str
    promise: Promise = NOTHING


@dataclass(frozen=True, slots=True)
class Case:
    """One measurement, made on our side and, where Pykka has such a thing, on stock's."""

    name: str
    rows: tuple[Row, ...]
    ours: Measure
    stock: Measure | None = None
    most_rounds: int = 99
    """Rounds at most: a case of many seconds is not repeated as often as one of milliseconds."""
