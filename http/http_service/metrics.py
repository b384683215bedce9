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
from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import Any, Final

from prometheus_client.registry import Collector

from http_service import buckets
from http_service.api_keys import ApiKeys, KeyMetrics
from http_service.config import ConfigError
from http_service.connection_metrics import ConnectionMetrics, no_connections
from http_service.error_types import ErrorType
from http_service.exposition import Numbers, Registry, Table, Tables, wants_open_metrics
from http_service.model_metrics import ModelMetrics, tables_of

__all__ = ["UNKNOWN_MODEL", "InflightGuard", "Metrics"]

UNKNOWN_MODEL: Final = "unknown_model"
"""The label under which every request for a model that is not served is counted."""

MOST_TOKENS: Final = 10_000_000
"""Completion tokens that one answer may claim: more than any model's context."""


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


class InflightGuard:
    """Counts one request exactly once, from its start to the end of its answer.

    Opened as an internal error: what is not marked otherwise is one. ``error_type`` may be set
    again, the last one counts. Thread-safe; ``close`` is idempotent.

    PERF: what a step changes is changed here, under the one lock of the model's metrics.
    """

    __slots__ = (
        "_clock",
        "_closed",
        "_last",
        "elapsed",
        "endpoint",
        "error_type",
        "metrics",
        "request_type",
        "started",
        "tokens",
    )

    def __init__(
        self,
        metrics: ModelMetrics,
        endpoint: str,
        request_type: str,
        clock: Callable[[], float],
    ) -> None:
        self.metrics = metrics
        self.endpoint = endpoint
        self.request_type = request_type
        self.error_type = ErrorType.INTERNAL
        self.tokens = 0
        self.elapsed = 0.0
        self._clock = clock
        self._closed = False
        self._last: float | None = None
        self.started = clock()
        with metrics.lock:
            metrics.inflight += 1

    def saw_tokens(self, count: int, now: float | None = None) -> None:
        """``count`` output tokens came just now, in one chunk; 0 is ignored."""
        if count <= 0:
            return
        if now is None:
            now = self._clock()
        metrics = self.metrics
        with metrics.lock:
            if self._closed:
                return
            before, self._last = self._last, now
            self.tokens += count
            metrics.output_tokens += count
            if before is None:
                metrics.first_token.observe(now - self.started)
            else:
                # PERF: ``observe``, without the call: for each event.
                between = metrics.inter_token
                between.counts[bisect_left(between.bounds, (now - before) / count)] += count
                between.total += now - before

    def saw_usage(self, completion_tokens: int) -> None:
        """The engine's own count: what the chunks did not show is added, never taken back.

        A count that no answer can have is not believed.
        """
        metrics = self.metrics
        with metrics.lock:
            missing = completion_tokens - self.tokens
            if missing > 0 and completion_tokens <= MOST_TOKENS and not self._closed:
                self.tokens += missing
                metrics.output_tokens += missing

    def close(self) -> bool:
        """Count the request; only the first call does, and returns True."""
        metrics = self.metrics
        with metrics.lock:
            if self._closed:
                return False
            self._closed = True
            self.elapsed = self._clock() - self.started
            metrics.inflight -= 1
            metrics.duration.observe(self.elapsed)
            outcome = (self.endpoint, self.request_type, self.error_type)
            metrics.outcomes[outcome] = metrics.outcomes.get(outcome, 0) + 1
        return True

    def summary(self) -> dict[str, Any]:
        """The request's part of its line in the log."""
        return {
            "model": self.metrics.model,
            "endpoint": self.endpoint,
            "request_type": self.request_type,
            "error_type": self.error_type or None,
            "tokens": self.tokens,
        }
