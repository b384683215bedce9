"""Exchanges made by hand: one request to a pool of one engine that the test plays."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from actors.engines.contract import Context, EngineRequest, Kind
from actors.engines.pool import Pool
from actors.engines.pool.clock import LoopClock
from actors.eventloop import EventLoop
from http_service.streaming.exchange import InflightRequests
from http_service.streaming.stream_exchange import StreamExchange
from http_service.streaming.unary_exchange import UnaryExchange
from http_service.telemetry.metrics import InflightGuard, Metrics
from tests.http_service.engines import ManualEngine

__all__ = ["PATH", "SILENCE", "asked", "stream", "unary"]

PATH = "/v1/chat/completions"
SILENCE = 100.0

E = TypeVar("E", bound=StreamExchange | UnaryExchange)


def stream(
    metrics: Metrics | None = None,
    context: Context | None = None,
    *,
    make: type[StreamExchange] = StreamExchange,
    inflight: InflightRequests | None = None,
    include_usage: bool = False,
    clock: Callable[[], float] = time.monotonic,
    loop: EventLoop | None = None,
) -> StreamExchange:
    """A stream whose engine was asked and is silent."""
    guard = _guard(metrics, "stream", clock)
    request = EngineRequest(Kind.CHAT, "m", True, {}, b"")
    made = make(
        request, context or Context("r-1"), guard, inflight or InflightRequests(), PATH, SILENCE,
        clock,
    )  # fmt: skip
    made.prepare(include_usage=include_usage)
    return asked(made, loop)


def unary(
    metrics: Metrics | None = None,
    context: Context | None = None,
    *,
    inflight: InflightRequests | None = None,
    clock: Callable[[], float] = time.monotonic,
    loop: EventLoop | None = None,
) -> UnaryExchange:
    """A unary answer whose engine was asked and is silent."""
    guard = _guard(metrics, "stream", clock)
    request = EngineRequest(Kind.CHAT, "m", False, {}, b"")
    made = UnaryExchange(
        request, context or Context("r-1"), guard, inflight or InflightRequests(), PATH, SILENCE,
        clock,
    )  # fmt: skip
    made.prepare("chatcmpl-")
    return asked(made, loop)


def asked(exchange: E, loop: EventLoop | None = None) -> E:
    """``exchange``, the sink of an engine that was asked; the pool goes by the time of ``loop``."""
    pool = Pool("m", clock=None if loop is None else LoopClock(loop))
    pool.put("one", ManualEngine())
    pool.begin(exchange)
    return exchange


def _guard(metrics: Metrics | None, shape: str, clock: Callable[[], float]) -> InflightGuard:
    counts = (metrics or Metrics("p")).of("m")
    return InflightGuard(counts, "chat_completions", shape, clock)
