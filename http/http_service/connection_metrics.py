"""The connections of a service, as metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

__all__ = ["ConnectionMetrics", "no_connections"]


def no_connections() -> tuple[int, int]:
    """What is counted while no service is bound."""
    return 0, 0


class ConnectionMetrics(Collector):
    """Shows ``count()``: how many connections are open, and how many were refused until now."""

    def __init__(self, prefix: str, count: Callable[[], tuple[int, int]]) -> None:
        self._prefix: Final = prefix
        self._count: Final = count

    def collect(self) -> Iterator[Metric]:
        """Both as they are now."""
        open_now, refused = self._count()
        yield GaugeMetricFamily(
            f"{self._prefix}_connections", "Open connections of clients.", value=open_now
        )
        yield CounterMetricFamily(
            f"{self._prefix}_connections_refused",
            "Connections beyond --connection-limit or --connections-per-address.",
            value=refused,
        )
