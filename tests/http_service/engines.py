"""Engines for tests: each does one thing, and can be asked what happened to it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, SupportsIndex

from actors.engines.contract import Chunk, Context, EngineRequest, Kind, Sink
from actors.engines.errors import EngineRejected
from actors.supervision.errors import Cancelled
from http_service.streaming.stream_exchange import StreamExchange

DEADLINE = 10.0
"""Seconds any wait in these tests may take; none comes near it."""


def token_chunk(kind: Kind, text: str, *, finish: str | None = None) -> dict[str, Any]:
    """A chunk with one piece of text, of choice 0."""
    choice: dict[str, Any] = {"index": 0, "finish_reason": finish}
    if kind is Kind.CHAT:
        choice["delta"] = {"content": text} if text else {}
        name = "chat.completion.chunk"
    else:
        choice["text"] = text
        name = "text_completion"
    return {"id": "x", "object": name, "created": 1, "model": "m", "choices": [choice]}


class CounterEngine:
    """Dynamo's test engine: waits for ``gate``, then counts to ten; a generator engine."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()

    def generate(self, request: EngineRequest, context: Context) -> Iterator[Chunk]:
        """Ten chunks, once the gate is open."""
        del context
        if not self.gate.wait(DEADLINE):
            raise TimeoutError("the test never opened the gate")
        for number in range(10):
            yield token_chunk(request.kind, f"choice {number}")


class FailingEngine:
    """Always refuses: 403 for chat, 401 for completions, as Dynamo's; a push engine."""

    def start(self, request: EngineRequest, sink: Sink, context: Context) -> None:
        """Fail at once."""
        del sink, context
        status = 403 if request.kind is Kind.CHAT else 401
        raise EngineRejected("Always fail", status=status)


class ManualEngine:
    """A push engine played by the test: it hands out what it was started with."""

    def __init__(self) -> None:
        self._started = threading.Semaphore(0)
        self.cancelled = threading.Event()
        self.sinks: list[Sink] = []
        self.contexts: list[Context] = []
        self.requests: list[EngineRequest] = []

    def start(self, request: EngineRequest, sink: Sink, context: Context) -> None:
        """Remember everything, push nothing; fail the sink when cancelled, as engines must."""
        self.sinks.append(sink)
        self.contexts.append(context)
        self.requests.append(request)
        context.token.on_cancel(self.cancelled.set)
        context.token.on_cancel(lambda: sink.fail(Cancelled("cancelled")))
        self._started.release()

    def wait_started(self) -> Sink:
        """Wait for the next request; return its sink."""
        assert self._started.acquire(timeout=DEADLINE), "no request reached the engine"
        return self.sinks[-1]


class ScriptEngine:
    """A push engine that does, at once, what a function says."""

    def __init__(self, script: Callable[[EngineRequest, Sink], None]) -> None:
        self._script = script
        self.requests: list[EngineRequest] = []

    def start(self, request: EngineRequest, sink: Sink, context: Context) -> None:
        """Run the script on the caller's thread."""
        del context
        self.requests.append(request)
        self._script(request, sink)


class Unreadable(StreamExchange):
    """A response whose events can't be taken, the ``failing``-th time."""

    failing = 0

    def prepare(self, *, include_usage: bool) -> None:
        """Take chunks from now on."""
        super().prepare(include_usage=include_usage)
        self._events = _Failing(self)


class _Failing(list[bytes]):
    """Events that fail to be taken once."""

    def __init__(self, exchange: Unreadable) -> None:
        super().__init__()
        self._exchange = exchange

    def pop(self, index: SupportsIndex = -1, /) -> bytes:
        """One event, or the failure."""
        self._exchange.failing -= 1
        if not self._exchange.failing:
            raise TypeError("/srv/secret")
        return super().pop(index)
