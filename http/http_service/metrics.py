"""The service's metrics: what is counted, under which names and labels (Dynamo's, section 4).

Invariants:

* exactly one increment of ``requests_total`` per guarded request, and the gauge returns to where it
  was, however the request ends (:class:`InflightGuard`);
* a model name becomes a label value only if the registry knew it: whoever asks for made-up models
  can't make the time series grow.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client.registry import Collector

from http_service import buckets
from http_service.api_keys import ApiKeys, KeyMetrics
from http_service.config import ConfigError
from http_service.connection_metrics import ConnectionMetrics, no_connections
from http_service.exposition import Numbers, Registry, Table, Tables, wants_open_metrics
from http_service.model_metrics import InflightGuard, ModelMetrics, tables_of

__all__ = ["UNKNOWN_MODEL", "InflightGuard", "Metrics"]

UNKNOWN_MODEL: Final = "unknown_model"
"""The label under which every request for a model that is not served is counted."""


class Metrics(Tables):
    """All metrics of one service, in a registry of their own; thread-safe.

    A model has time series from its first request until it is gone: ``serves`` tells, once somebody
    has set it. ``prefix`` begins every name (checked by ``HttpServiceConfig``); ``clock`` tells
    seconds; ``duration_buckets`` are the bounds of the histograms of durations, in seconds. Raises
    :class:`~http_service.config.ConfigError` for what can't be bounds.
    """

    def __init__(
        self,
        prefix: str = "callboard_frontend",
        clock: Callable[[], float] = time.monotonic,
        duration_buckets: tuple[float, ...] = buckets.DURATION,
    ) -> None:
        if not buckets.are_bounds(duration_buckets):
            raise ConfigError(
                f"duration_buckets is {duration_buckets!r}, but must be "
                f"1 to {buckets.MOST} rising numbers of seconds above 0"
            )
        self.prefix: Final = prefix
        self.clock: Final = clock
        self.registry: Final = Registry()
        self.serves: Callable[[str], bool] | None = None
        """Whether a model is served now; ``None`` if that is not known."""
        self.key_files: Final[dict[str, ApiKeys]] = {}
        """The files of keys whose state is shown, by the setting that names them."""
        self._bounds: Final = (*map(float, duration_buckets),)
        self.connections: Callable[[], tuple[int, int]] = no_connections
        """How many connections are open, and were refused; set while a service has some."""
        self.models: dict[str, ModelMetrics] = {}
        """What was counted of each model; see :meth:`of`."""
        self._refused: dict[tuple[str, str], int] = {}
        self._refusing: Final = threading.RLock()
        self.register(self)
        self.register(KeyMetrics(prefix, self.key_files))
        self.register(ConnectionMetrics(prefix, lambda: self.connections()))

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
        """Begin to count one request; close the guard exactly when its answer has ended."""
        return InflightGuard(self.of(model), endpoint, request_type, self.clock)

    def refused(self, endpoint: str, status: int) -> None:
        """Count a request that was refused before it became one that is counted.

        ``endpoint`` is one of a few names: whoever asks for made-up paths makes no time series.
        """
        key = (endpoint, str(status))
        with self._refusing:
            self._refused[key] = self._refused.get(key, 0) + 1

    def render(self, accept: str) -> tuple[bytes, str]:
        """Every metric as text, in the format that ``accept`` prefers, and its content type.

        Takes its time where there are many models: see ``scraping``.
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
