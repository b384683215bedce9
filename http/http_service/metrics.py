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
from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from http_service import buckets
from http_service.api_keys import ApiKeys, KeyMetrics
from http_service.error_types import ErrorType
from http_service.histogram import ModelHistogram

__all__ = ["UNKNOWN_MODEL", "InflightGuard", "Metrics", "ModelMetrics"]

UNKNOWN_MODEL: Final = "unknown_model"
"""The label under which every request for a model that is not served is counted."""

MOST_TOKENS: Final = 10_000_000
"""Completion tokens that one answer may claim: more than any model's context."""

OUTCOMES: Final = {ErrorType.NONE: "success"}
"""The ``status`` label by error type; every other one is an error."""


class Metrics:
    """All metrics of one service, in a registry of their own; thread-safe.

    ``prefix`` begins every name (checked by ``HttpServiceConfig``); ``clock`` tells seconds.
    """

    def __init__(
        self,
        prefix: str = "callboard_frontend",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.prefix: Final = prefix
        self.registry: Final = CollectorRegistry(auto_describe=True)
        self.clock: Final = clock
        self.key_files: Final[dict[str, ApiKeys]] = {}
        """The files of keys whose state is shown, by the setting that names them."""
        self.register(KeyMetrics(prefix, self.key_files))
        self._models: dict[str, ModelMetrics] = {}
        self.requests: Final = self._counter(
            "requests_total",
            "Requests answered, by how they ended.",
            ("model", "endpoint", "request_type", "status", "error_type"),
        )
        self.inflight: Final = self._gauge(
            "inflight_requests", "Requests being answered now, the body of a stream included."
        )
        self.output_tokens: Final = self._counter(
            "output_tokens_total", "Tokens generated, counted as they come.", ("model",)
        )
        self.duration: Final = self._histogram(
            "request_duration_seconds",
            "From the start of a request to the end of its answer.",
            buckets.DURATION,
        )
        self.first_token: Final = self._histogram(
            "time_to_first_token_seconds",
            "From the start of a request to its first output token.",
            buckets.TIME_TO_FIRST_TOKEN,
        )
        self.inter_token: Final = self._histogram(
            "inter_token_latency_seconds",
            "Between two output tokens of one request.",
            buckets.INTER_TOKEN,
        )

    def register(self, collector: Collector) -> None:
        """Show a further collector's metrics; its names must not clash (``ValueError``)."""
        self.registry.register(collector)

    def of(self, model: str) -> ModelMetrics:
        """The metrics of one model that the registry knows, or of ``UNKNOWN_MODEL``."""
        found = self._models.get(model)
        if found is None:
            # Two threads may both make one; prometheus-client hands both the same children.
            found = self._models.setdefault(model, ModelMetrics(self, model))
        return found

    def guard(self, model: str, endpoint: str, request_type: str) -> InflightGuard:
        """Begin to count one request; close the guard exactly when its answer has ended."""
        return InflightGuard(self.of(model), endpoint, request_type, self.clock)

    def render(self, accept: str) -> tuple[bytes, str]:
        """Every metric as text, in the format that ``accept`` prefers, and its content type."""
        try:
            encoder, content_type = choose_encoder(accept)
        except TypeError:  # it compares versions, and this one is no number
            encoder, content_type = choose_encoder("")
        return encoder(self.registry), content_type

    def _counter(self, name: str, text: str, labels: tuple[str, ...]) -> Counter:
        return Counter(f"{self.prefix}_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"{self.prefix}_{name}", text, ("model",), registry=self.registry)

    def _histogram(self, name: str, text: str, bounds: tuple[float, ...]) -> ModelHistogram:
        return ModelHistogram(f"{self.prefix}_{name}", text, bounds, self.registry)


class ModelMetrics:
    """One model's label children, looked up once.

    PERF: ``labels()`` costs four times the increment that follows it.
    """

    __slots__ = (
        "_outcomes",
        "_requests",
        "duration",
        "first_token",
        "inflight",
        "inter_token",
        "model",
        "output_tokens",
    )

    def __init__(self, metrics: Metrics, model: str) -> None:
        self.model = model
        self.inflight = metrics.inflight.labels(model)
        self.duration = metrics.duration.labels(model)
        self.first_token = metrics.first_token.labels(model)
        self.inter_token = metrics.inter_token.labels(model)
        self.output_tokens = metrics.output_tokens.labels(model)
        self._requests = metrics.requests
        self._outcomes: dict[tuple[str, str, ErrorType], Counter] = {}

    def count(self, endpoint: str, request_type: str, error_type: ErrorType) -> None:
        """Count one request that ended."""
        key = (endpoint, request_type, error_type)
        child = self._outcomes.get(key)
        if child is None:
            status = OUTCOMES.get(error_type, "error")
            child = self._requests.labels(
                self.model, endpoint, request_type, status, error_type.value
            )
            self._outcomes[key] = child
        child.inc()


class InflightGuard:
    """Counts one request exactly once, from its start to the end of its answer.

    Opened as an internal error: what nobody marked otherwise is one. ``mark`` may be called again,
    the last one counts. Thread-safe; ``close`` is idempotent.
    """

    __slots__ = (
        "_clock",
        "_closed",
        "_last",
        "_lock",
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
        self._lock = threading.Lock()
        self._closed = False
        self._last: float | None = None
        self.started = clock()
        metrics.inflight.inc()

    def mark_ok(self) -> None:
        """The request succeeded."""
        self.error_type = ErrorType.NONE

    def mark(self, error_type: ErrorType) -> None:
        """The request failed so, or will have failed so if nothing better comes."""
        self.error_type = error_type

    def saw_tokens(self, count: int) -> None:
        """``count`` output tokens came just now, in one chunk; 0 is ignored."""
        if count <= 0:
            return
        now = self._clock()
        with self._lock:
            if self._closed:
                return
            before, self._last = self._last, now
            self.tokens += count
        self.metrics.output_tokens.inc(count)
        if before is None:
            self.metrics.first_token.observe(now - self.started)
            return
        self.metrics.inter_token.observe((now - before) / count, count)

    def saw_usage(self, completion_tokens: int) -> None:
        """The engine's own count: what the chunks did not show is added, never taken back.

        A count that no answer can have is not believed.
        """
        if not 0 <= completion_tokens <= MOST_TOKENS:
            return
        with self._lock:
            missing = 0 if self._closed else completion_tokens - self.tokens
            self.tokens += max(missing, 0)
        if missing > 0:
            self.metrics.output_tokens.inc(missing)

    def close(self) -> bool:
        """Count the request; only the first call does, and returns True."""
        with self._lock:
            if self._closed:
                return False
            self._closed = True
        self.elapsed = self._clock() - self.started
        self.metrics.inflight.dec()
        self.metrics.duration.observe(self.elapsed)
        self.metrics.count(self.endpoint, self.request_type, self.error_type)
        return True
