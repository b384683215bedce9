"""Engines that a test plays, and a pool of them on a clock that the test moves."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from actors.engines import Context, EngineBusy, EngineError, EngineUnavailable
from actors.engines.contract import EngineRequest, Sink
from actors.engines.pool import ModelSpec, PolicyName, Pool, PoolListener
from actors.engines.pool.probe_queue import ProbeQueues
from actors.engines.pool.queue import Queue
from actors.supervision.errors import Cancelled
from actors.testing import FakeClock
from tests.engines.asking import chat
from tests.engines.recording import RecordingSink

__all__ = ["Asked", "Heard", "Manual", "Probed", "Scripted", "chunk", "pool_on", "refused", "start"]


def chunk(text: str = "hi") -> dict[str, Any]:
    """A chunk with one piece of text."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return {"object": "chat.completion.chunk", "choices": [choice]}


class Asked:
    """One request that reached a manual engine."""

    def __init__(self, sink: Sink, context: Context) -> None:
        self.sink = sink
        self.context = context


class Manual:
    """A push engine played by the test; ends its sink when cancelled, as engines must."""

    def __init__(self, url: str = "") -> None:
        self.url = url or f"http://{id(self):x}"
        self.asked: list[Asked] = []

    def start(self, request: EngineRequest, sink: Sink, context: Context) -> None:
        del request
        self.asked.append(Asked(sink, context))
        context.token.on_cancel(lambda: sink.fail(Cancelled("cancelled")))

    @property
    def last(self) -> Asked:
        return self.asked[-1]


class Scripted:
    """Does at once what a function says; ``asked`` counts."""

    def __init__(self, script: Callable[[Sink], object], url: str = "") -> None:
        self.url = url or f"http://{id(self):x}"
        self.script = script
        self.asked = 0

    def start(self, request: EngineRequest, sink: Sink, context: Context) -> None:
        del request, context
        self.asked += 1
        self.script(sink)


class Probed(Manual):
    """A manual engine that can be probed; ``verdict`` answers, ``"silence"`` does not."""

    def __init__(self, verdict: BaseException | str | None = None, url: str = "") -> None:
        super().__init__(url)
        self.verdict = verdict
        self.probes = 0

    def probe(self, done: Callable[[BaseException | None], object]) -> None:
        self.probes += 1
        if not isinstance(self.verdict, str):
            done(self.verdict)


def well(sink: Sink) -> None:
    """Answer one token."""
    sink.push(chunk())
    sink.finish()


def failing(error: Callable[[], BaseException]) -> Callable[[Sink], None]:
    """Fail so through the sink, before anything was pushed."""
    return lambda sink: sink.fail(error())


def refused() -> EngineError:
    """As an engine tells of a port on which nobody listens."""
    error = EngineUnavailable("the upstream can't be reached")
    error.__cause__ = ConnectionRefusedError(111, "Connection refused")
    return error


def reset() -> EngineError:
    """As an engine tells of a connection that broke off."""
    error = EngineUnavailable("the upstream broke off")
    error.__cause__ = ConnectionResetError(104, "Connection reset by peer")
    return error


def status(code: int) -> Callable[[], EngineError]:
    """As an engine tells of an upstream's status."""
    if code == 429:
        return lambda: EngineBusy("busy")
    return lambda: EngineUnavailable("failed", status=code)


class Heard(PoolListener):
    """Keeps every event, by name."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []

    def of(self, name: str) -> list[Any]:
        return [event for each, event in self.events if each == name]

    def pool_opened(self, pool: Pool) -> None:
        self.events.append(("pool_opened", pool))

    def pool_closed(self, pool: Pool) -> None:
        self.events.append(("pool_closed", pool))

    def retried(self, event: Any) -> None:
        self.events.append(("retried", event))

    def hedged(self, event: Any) -> None:
        self.events.append(("hedged", event))

    def migrated(self, event: Any) -> None:
        self.events.append(("migrated", event))

    def ejected(self, event: Any) -> None:
        self.events.append(("ejected", event))

    def readmitted(self, event: Any) -> None:
        self.events.append(("readmitted", event))

    def waited(self, event: Any) -> None:
        self.events.append(("waited", event))


def pool_on(
    clock: FakeClock,
    spec: ModelSpec | None = None,
    *,
    listener: PoolListener | None = None,
    queue: Queue | None = None,
    probes: ProbeQueues | None = None,
    seed: int = 7,
) -> Pool:
    """An empty pool of the model "m", whose chances are seeded."""
    return Pool(
        "m",
        spec=spec or ModelSpec(),
        clock=clock,
        random_fn=random.Random(seed).random,
        listener=listener,
        probes=probes,
        queue=queue,
    )


def start(pool: Pool, context: Context | None = None, **fields: Any) -> RecordingSink:
    """Ask ``pool``, and return what the client has of it."""
    sink = RecordingSink()
    pool.start(chat(**fields), sink, context or Context("r"))
    return sink


def inflight(pool: Pool) -> dict[str, int]:
    """How many requests each instance has."""
    return {each.id: each.inflight for each in pool.view().instances}


BY_TURNS = ModelSpec(policy=PolicyName.ROUND_ROBIN)
"""A model whose instances take turns."""


def states(pool: Pool) -> dict[str, str]:
    return {each.id: each.state for each in pool.view().instances}


def ask(pool: Pool, times: int) -> None:
    for _ in range(times):
        start(pool)
