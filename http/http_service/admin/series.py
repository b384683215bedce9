"""Figures over the last twenty minutes, a value a second: rings of floats, and what goes into them.

Everything here is pure: the counts, the time and the rings are handed in. ``nan`` stands for a
second in which nothing was observed.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from msgspec import Struct

__all__ = [
    "MODELS",
    "PER_MODEL",
    "STEPS",
    "TOTALS",
    "Counts",
    "Sample",
    "Series",
    "SeriesDocument",
    "quantile",
    "rates_of",
    "summed",
]

STEPS: Final = 1_200
"""Values of a series: twenty minutes."""

MODELS: Final = 50
"""Models that have series of their own: the busiest."""

TOTALS: Final = (
    "requests",
    "errors",
    "tokens",
    "first_token_p50",
    "first_token_p99",
    "inflight",
    "connections",
    "cpu",
    "memory",
    "loop_lag",
)
"""The series of the whole front-end. Rates are per second, times are in seconds."""

PER_MODEL: Final = ("requests", "errors", "tokens", "first_token_p50")
"""The series of one model."""

FORGETS: Final = 0.99
"""What is left of a model's busyness after each second."""

NOTHING: Final = math.nan


class Counts(NamedTuple):
    """What was counted until some moment; ``first_token`` by bucket."""

    requests: int
    errors: int
    tokens: int
    first_token: Sequence[int]


class Sample(Struct):
    """The newest value of each series; ``at`` is Unix time in seconds."""

    at: float
    series: dict[str, float | None]
    models: dict[str, dict[str, float | None]]


class SeriesDocument(Struct):
    """Each series, the newest value last, which is that of ``end`` (Unix time in seconds)."""

    step: float
    end: float
    series: dict[str, list[float | None]]
    models: dict[str, dict[str, list[float | None]]]


class Series:
    """The rings: those of the whole, and those of the busiest models. One writer."""

    def __init__(self) -> None:
        self.end = 0.0
        self._filled = 0
        self._next = 0
        self._totals: Final = _rings(TOTALS)
        self._models: dict[str, dict[str, array[float]]] = {}
        self._busyness: dict[str, float] = {}

    def skip(self, steps: int) -> None:
        """So many seconds passed without a sample."""
        for _ in range(min(steps, STEPS)):
            self._write({}, {})

    def add(
        self,
        at: float,
        totals: Mapping[str, float],
        models: Mapping[str, Mapping[str, float]],
    ) -> None:
        """The values of one second that ended ``at``; only models in which something happened."""
        self._make_room(models)
        self._write(totals, models)
        self.end = at

    def newest(self) -> Sample:
        """The newest value of each. Any thread."""
        at = (self._next - 1) % STEPS
        return Sample(
            round(self.end, 3),
            {name: _shown(ring[at]) for name, ring in self._totals.items()},
            {
                model: {name: _shown(ring[at]) for name, ring in rings.items()}
                for model, rings in {**self._models}.items()
            },
        )

    def document(self) -> SeriesDocument:
        """All of it. Any thread."""
        return SeriesDocument(
            1.0,
            round(self.end, 3),
            self._unrolled(self._totals),
            {model: self._unrolled(rings) for model, rings in {**self._models}.items()},
        )

    def _write(
        self, totals: Mapping[str, float], models: Mapping[str, Mapping[str, float]]
    ) -> None:
        place = self._next
        for name, ring in self._totals.items():
            ring[place] = totals.get(name, NOTHING)
        for model, rings in self._models.items():
            values = models.get(model)
            for name, ring in rings.items():
                ring[place] = _IDLE[name] if values is None else values[name]
        self._next = (place + 1) % STEPS
        self._filled = min(self._filled + 1, STEPS)

    def _make_room(self, models: Mapping[str, Mapping[str, float]]) -> None:
        """Have rings for the busiest models, the new ones among them."""
        for model in self._busyness:
            self._busyness[model] *= FORGETS
        for model, values in models.items():
            if model in self._models:
                self._busyness[model] += values["requests"] + 1.0
                continue
            if len(self._models) >= MODELS:
                idlest = min(self._busyness, key=self._busyness.__getitem__)
                if self._busyness[idlest] >= values["requests"] + 1.0:
                    continue
                del self._busyness[idlest]
                self._models = {
                    name: rings for name, rings in self._models.items() if name != idlest
                }
            self._busyness[model] = values["requests"] + 1.0
            self._models = {**self._models, model: _rings(PER_MODEL)}

    def _unrolled(self, rings: Mapping[str, array[float]]) -> dict[str, list[float | None]]:
        begin, count = self._next - self._filled, self._filled
        places = range(begin, begin + count)
        return {
            name: [_shown(ring[place % STEPS]) for place in places] for name, ring in rings.items()
        }


_IDLE: Final = {"requests": 0.0, "errors": 0.0, "tokens": 0.0, "first_token_p50": NOTHING}
"""The values of a model in a second in which it did nothing."""


def _rings(names: Iterable[str]) -> dict[str, array[float]]:
    return {name: array("f", [NOTHING]) * STEPS for name in names}


def _shown(value: float) -> float | None:
    return None if math.isnan(value) else float(f"{value:.6g}")


def rates_of(
    before: Counts, after: Counts, seconds: float, bounds: Sequence[float]
) -> dict[str, float]:
    """What happened between two counts that are ``seconds`` apart."""
    buckets = [new - old for new, old in zip(after.first_token, before.first_token, strict=True)]
    return {
        "requests": (after.requests - before.requests) / seconds,
        "errors": (after.errors - before.errors) / seconds,
        "tokens": (after.tokens - before.tokens) / seconds,
        "first_token_p50": quantile(buckets, bounds, 0.5),
        "first_token_p99": quantile(buckets, bounds, 0.99),
    }


def summed(counts: Iterable[Counts], buckets: int) -> Counts:
    """All of ``counts`` together; each has so many ``buckets``."""
    rows = [*counts]
    first_token = [sum(column) for column in zip(*(each.first_token for each in rows), strict=True)]
    return Counts(
        sum(each.requests for each in rows),
        sum(each.errors for each in rows),
        sum(each.tokens for each in rows),
        first_token or [0] * buckets,
    )


def quantile(buckets: Sequence[int], bounds: Sequence[float], share: float) -> float:
    """The value below which ``share`` of the observations are; within a bucket, by its middle part.

    ``buckets`` has one more than ``bounds``, for what is above; that counts as the last bound.
    ``nan`` without observations. As Prometheus' ``histogram_quantile``.
    """
    total = sum(buckets)
    if total <= 0:
        return NOTHING
    rank, below, lower = share * total, 0, 0.0
    for count, upper in zip(buckets, bounds, strict=False):
        if below + count >= rank and count > 0:
            return lower + (upper - lower) * (rank - below) / count
        below, lower = below + count, upper
    return float(bounds[-1])
