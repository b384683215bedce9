"""The service's metrics: what is counted, under which names and labels (Dynamo's, section 4).

Invariants:

* exactly one increment of ``requests_total`` per guarded request, and the gauge returns to where it
  was, however the request ends (:class:`InflightGuard`);
* a model name becomes a label value only if the registry knew it: requests for made-up models
  add no time series.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import repeat
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from http_service.config import (
    DURATION_BUCKETS,
    MAX_BUCKETS,
    ConfigError,
    are_bounds,
)
from http_service.telemetry.exposition import (
    MetricsRegistry,
    Numbers,
    Table,
    Tables,
    wants_open_metrics,
)
from http_service.telemetry.model_metrics import InflightGuard, ModelMetrics, tables_of

__all__ = [
    "UNKNOWN_MODEL",
    "ConnectionMetrics",
    "InflightGuard",
    "Metrics",
    "no_connections",
]

UNKNOWN_MODEL: Final = "unknown_model"
"""The label under which every request for a model that is not served is counted."""


class Metrics(Tables):
    """All metrics of one service, in a registry of their own; thread-safe.

    A model has time series from its first request until it is gone: ``serves`` decides, once it
    is set. ``prefix`` begins every name (checked by ``HttpServiceConfig``); ``clock`` tells
    seconds; ``duration_buckets`` are the bounds of the histograms of durations, in seconds. Raises
    :class:`~http_service.config.ConfigError` for what can't be bounds.
    """

    def __init__(
        self,
        prefix: str = "callboard_frontend",
        clock: Callable[[], float] = time.monotonic,
        duration_buckets: tuple[float, ...] = DURATION_BUCKETS,
    ) -> None:
        if not are_bounds(duration_buckets):
            raise ConfigError(
                f"duration_buckets is {duration_buckets!r}, but must be "
                f"1 to {MAX_BUCKETS} rising numbers of seconds above 0"
            )
        self.prefix: Final = prefix
        self.clock: Final = clock
        self.registry: Final = MetricsRegistry()
        self.serves: Callable[[str], bool] | None = None
        """Whether a model is served now; ``None`` if that is not known."""
        self.key_files: Final[dict[str, Callable[[], float | None]]] = {}
        """Since when (Unix time) each file of keys is stale, by the setting that names the file."""
        self._bounds: Final = (*map(float, duration_buckets),)
        self.connections: Callable[[], tuple[int, int]] = no_connections
        """How many connections are open, and were refused; set while a service has some."""
        self.stored: Callable[[], tuple[int, int, int]] | None = None
        """Responses that are stored, their bytes, and how many made room; set where any may be."""
        self.models: dict[str, ModelMetrics] = {}
        """What was counted of each model; see :meth:`of`."""
        self.watched: Iterator[bool] = repeat(False)  # noqa: FBT003  # a value, not a flag
        """Whether it is kept when the next streamed request's tokens came. PERF: a call in C."""
        self._refused: dict[tuple[str, str], int] = {}
        self._refusing: Final = threading.RLock()
        self.register(self)
        self.register(KeyMetrics(prefix, self.key_files))
        self.register(ConnectionMetrics(prefix, lambda: self.connections()))
        self.register(StoreMetrics(prefix, lambda: self.stored))

    def register(self, collector: Collector) -> None:
        """Show a further collector's metrics; its names must not clash (``ValueError``)."""
        self.registry.register(collector)

    def of(self, model: str) -> ModelMetrics:
        """The metrics of one model that the registry knows, or of ``UNKNOWN_MODEL``."""
        found = self.models.get(model)
        if found is None:
            found = self.models.setdefault(model, ModelMetrics(model, self._bounds))
        return found

    def forget(self, model: str) -> None:
        """The model is gone, and its time series with it; its requests in flight go on."""
        self.models.pop(model, None)

    def guard(self, model: str, endpoint: str, request_type: str) -> InflightGuard:
        """Begin to count one request; close the guard exactly when its response has ended."""
        return InflightGuard(self.of(model), endpoint, request_type, self.clock)

    def refused(self, endpoint: str, status: int) -> None:
        """Count a request that was refused before it became one that is counted.

        ``endpoint`` is one of a few names: requests for made-up paths add no time series.
        """
        key = (endpoint, str(status))
        with self._refusing:
            self._refused[key] = self._refused.get(key, 0) + 1

    def render(self, accept: str) -> tuple[bytes, str]:
        """Every metric as text, in the format that ``accept`` prefers, and its content type.

        Slow where there are many models: see ``scraping``.
        """
        return self.registry.render(open_metrics=wants_open_metrics(accept))

    def tables(self) -> Iterable[Table]:
        """What is counted here."""
        yield from tables_of(self.prefix, self._of_all(), self._bounds)
        yield Numbers(
            f"{self.prefix}_refused_requests_total",
            "Requests refused before they were counted as requests, by status.",
            ("endpoint", "status"),
            [*self._refused.copy().items()],
        )

    def _of_all(self) -> list[ModelMetrics]:
        """What is counted of each model; models that are gone are dropped.

        A request may find its model just before that goes, and begin to count just after.
        """
        serves = self.serves
        for model in [*self.models]:
            if serves is not None and model != UNKNOWN_MODEL and not serves(model):
                self.forget(model)
        return [*self.models.values()]


class KeyMetrics(Collector):
    """For how long each file of keys has not been what is in force.

    ``files`` give, by setting, since when (Unix time); ``None`` while the keys are in force.
    """

    def __init__(self, prefix: str, files: Mapping[str, Callable[[], float | None]]) -> None:
        self._name: Final = f"{prefix}_api_keys_stale_seconds"
        self._files: Final = files

    def collect(self) -> Iterator[Metric]:
        """One gauge, as it is now; nothing without files."""
        if not self._files:
            return
        text = "For how long the file of keys can't be used; the last good keys are in force then."
        family = GaugeMetricFamily(self._name, text, labels=("file",))
        now = time.time()
        for setting, stale_since in self._files.items():
            since = stale_since()
            family.add_metric((setting,), 0.0 if since is None else max(now - since, 0.0))
        yield family


class StoreMetrics(Collector):
    """Shows what is stored of responses, where ``counts()`` gives who counts it."""

    def __init__(
        self, prefix: str, counts: Callable[[], Callable[[], tuple[int, int, int]] | None]
    ) -> None:
        self._prefix: Final = f"{prefix}_stored_responses"
        self._counts: Final = counts

    def collect(self) -> Iterator[Metric]:
        """Three as they are now; nothing where no responses are stored."""
        count = self._counts()
        if count is None:
            return
        stored, size, evicted = count()
        yield GaugeMetricFamily(self._prefix, "Responses that are stored.", value=stored)
        yield GaugeMetricFamily(
            f"{self._prefix}_bytes", "Bytes of --responses-store that are taken.", value=size
        )
        yield CounterMetricFamily(
            f"{self._prefix}_evicted", "Stored responses that made room for others.", value=evicted
        )


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
