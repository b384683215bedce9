"""What is counted of one model's requests."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from http_service import buckets
from http_service.error_types import ErrorType
from http_service.exposition import Histograms, Numbers, Table
from http_service.histogram import Histogram

__all__ = ["ModelMetrics", "tables_of"]

OUTCOMES: Final = {ErrorType.NONE: "success"}
"""The ``status`` label by error type; every other one is an error."""

Outcome: TypeAlias = tuple[str, str, ErrorType]
"""Endpoint, request type, and how the request ended."""


class ModelMetrics:
    """One model's counts, guarded by ``lock``; ``InflightGuard`` counts."""

    __slots__ = (
        "duration",
        "first_token",
        "inflight",
        "inter_token",
        "lock",
        "model",
        "outcomes",
        "output_tokens",
    )

    def __init__(self, model: str, duration_bounds: tuple[float, ...]) -> None:
        self.model: Final = model
        # Re-entrant: a collected stream may end its request on any thread, inside of any call.
        self.lock = threading.RLock()
        self.inflight = 0
        self.output_tokens = 0
        self.outcomes: dict[Outcome, int] = {}
        self.duration = Histogram(duration_bounds)
        self.first_token = Histogram(duration_bounds)
        self.inter_token = Histogram(buckets.INTER_TOKEN)

    def ended_so_far(self) -> list[tuple[Outcome, int]]:
        """How many requests ended how."""
        with self.lock:
            return [*self.outcomes.items()]

    def observed(self, histogram: Histogram) -> tuple[list[int], float]:
        """The counts and the sum of one of this model's histograms, at one moment."""
        with self.lock:
            return [*histogram.counts], histogram.total


def tables_of(
    prefix: str, models: Sequence[ModelMetrics], duration_bounds: tuple[float, ...]
) -> Iterable[Table]:
    """The tables of all ``models``, each row as it is when it is asked for.

    PERF: no copy of all models: so many new objects would have Python look for garbage among all
    that it has, with the event loop waiting.
    """
    requests = (
        (
            (endpoint, error_type.value, each.model, request_type, _status(error_type)),
            number,
        )
        for each in models
        for (endpoint, request_type, error_type), number in each.ended_so_far()
    )
    yield Numbers(
        f"{prefix}_requests_total",
        "Requests answered, by how they ended.",
        ("endpoint", "error_type", "model", "request_type", "status"),
        requests,
    )
    yield Numbers(
        f"{prefix}_inflight_requests",
        "Requests being answered now, the body of a stream included.",
        ("model",),
        (((each.model,), each.inflight) for each in models),
    )
    yield Numbers(
        f"{prefix}_output_tokens_total",
        "Tokens generated, counted as they come.",
        ("model",),
        (((each.model,), each.output_tokens) for each in models),
    )
    yield from _histograms(prefix, models, duration_bounds)


def _histograms(
    prefix: str, models: Sequence[ModelMetrics], duration_bounds: tuple[float, ...]
) -> Iterable[Table]:
    yield Histograms(
        f"{prefix}_request_duration_seconds",
        "From the start of a request to the end of its answer.",
        ("model",),
        duration_bounds,
        (((each.model,), *each.observed(each.duration)) for each in models),
    )
    yield Histograms(
        f"{prefix}_time_to_first_token_seconds",
        "From the start of a request to its first output token.",
        ("model",),
        duration_bounds,
        (((each.model,), *each.observed(each.first_token)) for each in models),
    )
    yield Histograms(
        f"{prefix}_inter_token_latency_seconds",
        "Between two output tokens of one request.",
        ("model",),
        buckets.INTER_TOKEN,
        (((each.model,), *each.observed(each.inter_token)) for each in models),
    )


def _status(error_type: ErrorType) -> str:
    return OUTCOMES.get(error_type, "error")
