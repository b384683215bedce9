"""The status of each source as Prometheus metrics, read from its board at each scrape.

::

    registry.register(DiscoveryMetrics("callboard_frontend", [board]))
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from discovery.status import DiscoveryStatus, StatusBoard

__all__ = ["DiscoveryMetrics"]

_Read = Callable[[DiscoveryStatus, float], float]

_GAUGES: Final[tuple[tuple[str, str, _Read], ...]] = (
    ("synced", "Whether changes arrive as they happen (1) or not (0).", lambda s, _: s.synced),
    (
        "stale_seconds",
        "For how long the source has been away; 0 while it is not.",
        lambda s, now: 0.0 if s.stale_since is None else max(0.0, now - s.stale_since),
    ),
    (
        "lag_seconds",
        "Time between the arrival of the last change and its application.",
        lambda s, _: s.lag,
    ),
    ("waiting", "Changes that had arrived and were not applied yet.", lambda s, _: s.waiting),
    ("instances", "Announced instances that serve.", lambda s, _: s.entries),
    ("draining", "Announced instances that get no new request.", lambda s, _: s.draining),
    ("quarantined", "Entries that can't be used.", lambda s, _: s.quarantined_count),
    ("revision", "The source's revision that was applied.", lambda s, _: s.revision),
)
_COUNTERS: Final[tuple[tuple[str, str, _Read], ...]] = (
    ("resyncs", "How often the source was away and came back.", lambda s, _: s.resyncs),
    ("repairs", "Changes that the source had missed and found later.", lambda s, _: s.repairs),
)


class DiscoveryMetrics(Collector):
    """A collector over the boards of all sources, told apart by the label ``source``."""

    def __init__(
        self,
        prefix: str,
        boards: Sequence[StatusBoard],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._prefix: Final = f"{prefix}_discovery"
        self._boards: Final = tuple(boards)
        self._clock: Final = clock

    def collect(self) -> Iterable[Metric]:
        """Every metric as it is now. Runs on the scraping thread; loads one attribute a source."""
        now, statuses = self._clock(), [board.status for board in self._boards]
        for table, family in ((_GAUGES, GaugeMetricFamily), (_COUNTERS, CounterMetricFamily)):
            for name, text, read in table:
                metric = family(f"{self._prefix}_{name}", text, labels=("source",))
                for status in statuses:
                    metric.add_metric((status.source,), float(read(status, now)))
                yield metric
