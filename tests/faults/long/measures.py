"""What is asked of the requests of a load: how many failed and how, and their 99th percentile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from tests.faults.evidence import Request
from tests.support.stats import quantile

__all__ = ["between", "failures", "milliseconds", "slope"]


def failures(requests: Iterable[Request]) -> Counter[str]:
    """The requests that did not go well, by outcome."""
    return Counter(each.outcome for each in requests if not each.ok)


def between(requests: Iterable[Request], begin: float, end: float) -> list[Request]:
    """The requests that were due within ``begin <= at < end``."""
    return [each for each in requests if begin <= each.at < end]


def milliseconds(requests: Iterable[Request], share: float = 0.99) -> float:
    """The quantile of how long they took; NaN for none."""
    return quantile([each.took for each in requests], share) * 1000


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The slope of the straight line through ``points`` by least squares; 0 where there is none."""
    if len(points) < 2:
        return 0.0
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0
