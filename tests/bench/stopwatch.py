"""A stopwatch around the functions through which a request enters each layer."""

from __future__ import annotations

import functools
import importlib
import threading
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any, Final

from actors.eventloop import shared_loop

__all__ = ["LAYERS", "Stopwatch"]

WAIT: Final = "wait"
"""Waiting for sockets; no CPU time, and in no share."""

LAYERS: Final[tuple[tuple[str, str], ...]] = (
    ("loop", "actors.eventloop.loop:EventLoop._round"),
    ("server", "http_service.server.waitress_channel:Channel.ready"),
    ("server", "http_service.server.waitress_channel:Channel.service"),
    ("server", "http_service.server.waitress_channel:Channel.resume"),
    ("parse", "http_service.server.parser:Parser.received"),
    ("route", "falcon:App.__call__"),
    ("validate", "http_service.api.generate:parse_json"),
    ("validate", "http_service.api.generate:validate"),
    ("ask", "http_service.models:DeploymentState.resolve"),
    ("pool", "actors.engines.pool.pool:Pool.begin"),
    ("pool", "actors.engines.pool.request:PoolRequest.ask"),
    ("pool", "actors.engines.pool.request:PoolRequest.end_with"),
    ("engine", "actors.engines.upstream.engine:UpstreamEngine.start"),
    ("engine", "actors.engines.upstream.connection:Connection.ready"),
    ("engine", "actors.engines.echo:EchoEngine.start"),
    ("encode", "http_service.streaming.stream_exchange:StreamExchange.push"),
    ("encode", "http_service.streaming.stream_exchange:StreamExchange.take"),
    ("encode", "http_service.streaming.unary_exchange:UnaryExchange.deliver"),
    ("encode", "http_service.streaming.unary_exchange:UnaryExchange.deliver_end"),
    ("encode", "http_service.streaming.unary_exchange:UnaryExchange.take"),
    ("write", "http_service.streaming.stream_exchange:StreamExchange._flush"),
    ("write", "http_service.streaming.unary_exchange:UnaryExchange._flush"),
    ("write", "http_service.server.waitress_channel:Channel.send_now"),
    ("books", "http_service.telemetry.metrics:InflightGuard.__init__"),
    ("books", "http_service.streaming.exchange:Exchange.close_books"),
)
"""Layer, and the function that enters it (``module:name``)."""


class Stopwatch:
    """Adds up, by layer, the nanoseconds that wrapped functions spent themselves. Any thread."""

    def __init__(self) -> None:
        self._spent: dict[str, int] = {}
        self._here = threading.local()

    def take(self) -> dict[str, int]:
        """What was spent since the last time."""
        spent, self._spent = self._spent, {}
        return spent

    def wrap(self, layer: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """``function``, with its own time counted for ``layer``."""
        here = self._here

        @functools.wraps(function)
        def timed(*arguments: Any, **options: Any) -> Any:
            # What the calls underneath took, a level each.
            levels: list[int] = here.__dict__.setdefault("levels", [])
            levels.append(0)
            begin = perf_counter_ns()
            try:
                return function(*arguments, **options)
            finally:
                whole = perf_counter_ns() - begin
                own = whole - levels.pop()
                if levels:
                    levels[-1] += whole
                self._spent[layer] = self._spent.get(layer, 0) + own

        return timed

    def install(self) -> None:
        """Put itself around every function of :data:`LAYERS`, in this process, for good."""
        for layer, place in LAYERS:
            module, _, path = place.partition(":")
            owner: Any = importlib.import_module(module)
            *holders, name = path.split(".")
            for holder in holders:
                owner = getattr(owner, holder)
            setattr(owner, name, self.wrap(layer, getattr(owner, name)))
        # A poller's own attribute: the loop calls the kernel without a function of ours between.
        poller: Any = shared_loop()._poller  # pyright: ignore[reportPrivateUsage]  # to be measured
        poller.poll = self.wrap(WAIT, poller.poll)
