"""What is counted of one model's requests: the guard of each request, and the counts.

PERF: a request's steps are here, each under one lock, and a chunk of sixty tokens is observed once
(prometheus-client's own histogram takes a microsecond for each token).
"""

from __future__ import annotations

import threading
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeAlias

from http_service.config import INTER_TOKEN_BUCKETS
from http_service.errors import ErrorType
from http_service.telemetry.exposition import Histograms, Numbers, Table

__all__ = [
    "MAX_TOKENS",
    "Histogram",
    "InflightGuard",
    "ModelMetrics",
    "tables_of",
]

MAX_TOKENS: Final = 10_000_000
"""Completion tokens that one response may claim: more than any model's context."""

MAX_ARRIVALS: Final = 2_048
"""Moments that are kept of one request: 8 KiB."""

OUTCOMES: Final = {ErrorType.NONE: "success"}
"""The ``status`` label by error type; every other one is an error."""

Outcome: TypeAlias = tuple[str, str, ErrorType]
"""Endpoint, request type, and how the request ended."""


class Histogram:
    """What was observed, by buckets: up to each of ``bounds``, and above them. Not synchronised."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """Observations in each bucket alone."""
        self.total = 0.0
        """Their sum."""

    def observe(self, value: float, count: int = 1) -> None:
        """``count`` observations of ``value``; a bucket's bound belongs to it."""
        self.counts[bisect_left(self.bounds, value)] += count
        self.total += value * count


class ModelMetrics:
    """One model's counts, guarded by ``lock``; ``InflightGuard`` counts."""

    __slots__ = (
        "duration",
        "first_token",
        "inter_token",
        "lock",
        "model",
        "outcomes",
        "output_tokens",
        "running",
    )

    def __init__(self, model: str, duration_bounds: tuple[float, ...]) -> None:
        self.model: Final = model
        # Re-entrant: a collected stream may end its request on any thread, inside of any call.
        self.lock = threading.RLock()
        self.running: set[InflightGuard] = set()
        """The guards that are open. PERF: adding to a set needs no lock."""
        self.output_tokens = 0
        self.outcomes: dict[Outcome, int] = {}
        self.duration = Histogram(duration_bounds)
        self.first_token = Histogram(duration_bounds)
        self.inter_token = Histogram(INTER_TOKEN_BUCKETS)

    @property
    def inflight(self) -> int:
        """How many requests are being answered now."""
        return len(self.running)

    def ended_so_far(self) -> list[tuple[Outcome, int]]:
        """How many requests ended how."""
        with self.lock:
            return [*self.outcomes.items()]

    def observed(self, histogram: Histogram) -> tuple[list[int], float]:
        """The counts and the sum of one of this model's histograms, at one moment."""
        with self.lock:
            return [*histogram.counts], histogram.total


class InflightGuard:
    """Counts one request exactly once, from its start to the end of its response.

    Opened as an internal error: what is not marked otherwise is one. ``error_type`` may be set
    again, the last one counts. Thread-safe; ``close`` is idempotent.

    PERF: what a step changes is changed here, under the one lock of the model's metrics.
    """

    __slots__ = (
        "_clock",
        "_last",
        "arrivals",
        "elapsed",
        "endpoint",
        "error_type",
        "first_token",
        "input_tokens",
        "metrics",
        "request_type",
        "started",
        "tokens",
        "usage",
    )

    elapsed: float
    """Seconds from start to end, once it is closed."""

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
        self.tokens = self.usage = 0
        """Output tokens so far; the engine's own count of them, which :meth:`close` believes."""
        self._clock = clock
        self._last: float | None = None
        self.first_token: float | None = None
        """Seconds to the first output token that was seen alone."""
        self.input_tokens: int | None = None
        """The engine's own count of the prompt's tokens, where it said one."""
        self.arrivals: array[float] | None = None
        """When tokens came, in seconds from the start, where that is kept."""
        self.started = clock()
        metrics.running.add(self)

    def record_tokens(self, count: int, now: float) -> None:
        """``count`` output tokens came at ``now``, in one chunk; one or more."""
        metrics = self.metrics
        with metrics.lock:
            if self not in metrics.running:
                return
            before, self._last = self._last, now
            self.tokens += count
            metrics.output_tokens += count
            arrivals = self.arrivals
            if arrivals is not None and len(arrivals) < MAX_ARRIVALS:
                arrivals.append(now - self.started)
            # PERF: ``Histogram.observe``, without the call: for each event.
            if before is None:
                histogram, count = metrics.first_token, 1
                value = total = self.first_token = now - self.started
            else:
                histogram, total = metrics.inter_token, now - before
                value = total / count
            histogram.counts[bisect_left(histogram.bounds, value)] += count
            histogram.total += total

    def record_usage(self, completion_tokens: int) -> None:
        """The engine's own count: what the chunks did not show is added, never taken back.

        A count that no response can have is not believed.
        """
        if self.usage < completion_tokens <= MAX_TOKENS:
            self.usage = completion_tokens

    def close(self) -> bool:
        """Count the request; only the first call does, and returns True."""
        metrics = self.metrics
        with metrics.lock:
            try:
                metrics.running.remove(self)
            except KeyError:
                return False
            if self.tokens < self.usage <= MAX_TOKENS:
                metrics.output_tokens += self.usage - self.tokens
                self.tokens = self.usage
            self.elapsed = elapsed = self._clock() - self.started
            # PERF: ``Histogram.observe``, without the call.
            duration = metrics.duration
            duration.counts[bisect_left(duration.bounds, elapsed)] += 1
            duration.total += elapsed
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


def tables_of(
    prefix: str, models: Sequence[ModelMetrics], duration_bounds: tuple[float, ...]
) -> Iterable[Table]:
    """The tables of all ``models``, each row as it is when it is asked for.

    PERF: no copy of all models: so many new objects would have Python look for garbage among all
    that it has, with the event loop waiting.
    """
    requests = (
        (
            (endpoint, error_type.value, metrics.model, request_type, _status(error_type)),
            number,
        )
        for metrics in models
        for (endpoint, request_type, error_type), number in metrics.ended_so_far()
    )
    yield Numbers(
        f"{prefix}_requests_total",
        "Requests, by how they ended.",
        ("endpoint", "error_type", "model", "request_type", "status"),
        requests,
    )
    yield Numbers(
        f"{prefix}_inflight_requests",
        "Requests in flight, streams included.",
        ("model",),
        (((metrics.model,), metrics.inflight) for metrics in models),
    )
    yield Numbers(
        f"{prefix}_output_tokens_total",
        "Tokens generated, counted as they come.",
        ("model",),
        (((metrics.model,), metrics.output_tokens) for metrics in models),
    )
    yield from _histograms(prefix, models, duration_bounds)


def _histograms(
    prefix: str, models: Sequence[ModelMetrics], duration_bounds: tuple[float, ...]
) -> Iterable[Table]:
    yield Histograms(
        f"{prefix}_request_duration_seconds",
        "From the start of a request to the end of its response.",
        ("model",),
        duration_bounds,
        (((metrics.model,), *metrics.observed(metrics.duration)) for metrics in models),
    )
    yield Histograms(
        f"{prefix}_time_to_first_token_seconds",
        "From the start of a request to its first output token.",
        ("model",),
        duration_bounds,
        (((metrics.model,), *metrics.observed(metrics.first_token)) for metrics in models),
    )
    yield Histograms(
        f"{prefix}_inter_token_latency_seconds",
        "Between two output tokens of one request.",
        ("model",),
        INTER_TOKEN_BUCKETS,
        (((metrics.model,), *metrics.observed(metrics.inter_token)) for metrics in models),
    )


def _status(error_type: ErrorType) -> str:
    return OUTCOMES.get(error_type, "error")
