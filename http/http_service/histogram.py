"""A Prometheus histogram for the request path: several observations of one value in one step.

PERF: a chunk that carries sixty tokens makes sixty equal observations; prometheus-client's own
histogram takes a microsecond for each, and a lock. The exposition is the client library's.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate
from typing import Final

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry

__all__ = ["ModelHistogram", "ModelHistogramChild"]


class ModelHistogram(Collector):
    """A histogram with the label ``model``, registered with ``registry``. Thread-safe."""

    def __init__(
        self, name: str, text: str, bounds: tuple[float, ...], registry: CollectorRegistry
    ) -> None:
        self._name: Final = name
        self._text: Final = text
        self._bounds: Final = bounds
        self._names = [*(str(bound) for bound in bounds), "+Inf"]
        self._lock: Final = threading.Lock()
        self._children: dict[str, ModelHistogramChild] = {}
        registry.register(self)

    def labels(self, model: str) -> ModelHistogramChild:
        """The histogram of one model; look it up once."""
        with self._lock:
            child = self._children.get(model)
            if child is None:
                child = self._children[model] = ModelHistogramChild(self._bounds)
            return child

    def describe(self) -> Iterable[HistogramMetricFamily]:
        """Its name, for the registry's check of clashes."""
        return [HistogramMetricFamily(self._name, self._text, labels=["model"])]

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """Every model's buckets at one moment each."""
        family = HistogramMetricFamily(self._name, self._text, labels=["model"])
        with self._lock:
            children = [*self._children.items()]
        for model, child in children:
            counts, total = child.read()
            buckets = [*zip(self._names, accumulate(counts), strict=True)]
            family.add_metric([model], buckets, total)
        return [family]


class ModelHistogramChild:
    """One model's observations. Thread-safe."""

    __slots__ = ("_bounds", "_counts", "_lock", "_sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0
        self._lock = threading.Lock()

    def observe(self, value: float, count: int = 1) -> None:
        """``count`` observations of ``value``; a bucket's bound belongs to it."""
        place = bisect_left(self._bounds, value)
        with self._lock:
            self._counts[place] += count
            self._sum += value * count

    def read(self) -> tuple[list[float], float]:
        """The count of each bucket on its own, and the sum."""
        with self._lock:
            return [*self._counts], self._sum
