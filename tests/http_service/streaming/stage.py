"""A connection and a clock that tests drive: what an exchange writes, and when."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

from actors.engines.contract import Context, Kind
from actors.eventloop import EventLoop
from http_service.connection import ResponseWriter
from http_service.errors import ClientGone
from http_service.streaming.exchange import Exchange, InflightRequests
from http_service.streaming.stream_exchange import StreamExchange
from http_service.streaming.unary_exchange import UnaryExchange
from http_service.telemetry.metrics import Metrics
from tests.http_service.engines import token_chunk
from tests.http_service.exchanges import stream, unary

__all__ = ["HELLO", "FakeConnection", "Stage"]

HELLO = token_chunk(Kind.CHAT, "hello")


class FakeConnection:
    """Takes ``room`` bytes at once; tells what was done to it."""

    def __init__(self, loop: EventLoop) -> None:
        self.loop = loop
        self.writes: list[bytes] = []
        self.room = 1 << 30
        self.draining = False
        self.gone = False
        self.resumed: list[bool] = []
        self.dropped = False

    def send_now(self, data: bytes) -> int:
        if self.gone:
            raise ClientGone
        self.writes.append(data)
        return max(0, len(data) - self.room)

    def whole_body(self) -> bytes:
        return b""

    def hold(self, size: int) -> bool:
        return size >= 0

    def take_over(self, writer: ResponseWriter) -> Iterable[bytes]:
        raise NotImplementedError  # the test does what a server does

    def run_on_worker(self) -> Iterable[bytes]:
        raise NotImplementedError

    def park(self, seconds: float) -> Iterable[bytes] | None:
        raise NotImplementedError

    def resume(self, *, close: bool) -> None:
        self.resumed.append(close)

    def drop(self) -> None:
        self.dropped = True


class Stage:
    """One request, its connection, and the loop that a test turns."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.loop = EventLoop(lambda: self.now, autostart=False)
        self.metrics = Metrics("p")
        self.inflight = InflightRequests()
        self.connection = FakeConnection(self.loop)

    @cached_property
    def stream(self) -> StreamExchange:
        """A stream, if the test wants one."""
        return self.make()

    @cached_property
    def unary(self) -> UnaryExchange:
        """A unary answer, if the test wants one."""
        return unary(self.metrics, inflight=self.inflight, clock=self.clock, loop=self.loop)

    def make(
        self, context: Context | None = None, make: type[StreamExchange] = StreamExchange
    ) -> StreamExchange:
        return stream(
            self.metrics, context, make=make, inflight=self.inflight, clock=self.clock,
            loop=self.loop,
        )  # fmt: skip

    def clock(self) -> float:
        return self.now

    def begin(self, exchange: Exchange, version: str = "1.1", *, close: bool = False) -> Exchange:
        """Have ``exchange`` write to the connection."""
        exchange.connection = self.connection
        exchange.begin(version, [("content-type", "x/y")], close=close)
        return exchange

    def turn(self) -> None:
        self.loop.step(0)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.turn()

    def counted(self, **labels: Any) -> float | None:
        found = {"model": "m", "endpoint": "chat_completions", "request_type": "stream"}
        return self.metrics.registry.get_sample_value("p_requests_total", {**found, **labels})

    @property
    def body(self) -> bytes:
        """What was written, without heads and chunk framing."""
        data = b"".join(self.connection.writes).partition(b"\r\n\r\n")[2]
        found = b""
        while data:
            size, _, data = data.partition(b"\r\n")
            found, data = found + data[: int(size, 16)], data[int(size, 16) + 2 :]
        return found
