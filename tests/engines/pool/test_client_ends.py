"""What the client does is never the instance's fault: no failure, no ejection, no retry spent."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from actors.engines import (
    Context,
    DeadlineExceeded,
    Engine,
    EngineRequest,
    EngineTimeout,
    EngineUnavailable,
    Sink,
)
from actors.engines.errors import ClientTooSlow
from actors.engines.pool import HedgeAfter, ModelSpec, PolicyName, Pool
from actors.engines.pool.failures import CANCELLED, classify
from actors.engines.upstream import UpstreamEngine
from actors.eventloop import EventLoop
from actors.supervision.errors import Cancelled
from actors.testing import FakeClock
from tests.engines.asking import chat
from tests.engines.pool.fakes import Heard, chunk, inflight, pool_on
from tests.engines.raw_server import STREAM_HEAD, Line, RawServer, chunked
from tests.engines.recording import DEADLINE, RecordingSink, wait_until
from tests.engines.subjects import event, token
from tests.support.waiting import eventually

ALLOWED = 5.0
REQUESTS = 10


class Unread(RecordingSink):
    """A client that takes nothing."""

    def has_room(self, when_room: Callable[[], object]) -> bool:
        del when_room
        return False


class MindsTheDeadline:
    """An engine in this process that keeps its clients' deadlines, and tells of its own timeout."""

    def __init__(self, clock: FakeClock, *, begins: bool) -> None:
        self.url = f"http://{id(self):x}"
        self._clock = clock
        self._begins = begins

    def start(self, request: EngineRequest, sink: Sink, context: Context) -> None:
        del request
        if self._begins:
            sink.push(chunk())
        context.token.on_cancel(lambda: sink.fail(Cancelled("cancelled")))
        if context.deadline is not None:
            left = context.deadline - self._clock.monotonic()
            self._clock.call_later(left, lambda: sink.fail(EngineTimeout("too late")))


class Scene:
    """Three instances behind a pool, on a clock that the test moves."""

    def __init__(self, stack: ExitStack, kind: str, *, begins: bool) -> None:
        self.clock, self.heard = FakeClock(), Heard()
        self.relay_clock = FakeClock()
        self.loop = EventLoop(clock=self.relay_clock.monotonic)
        stack.callback(self._stop)
        hedge = HedgeAfter(seconds=1.0) if kind == "hedged" else None
        spec = ModelSpec(policy=PolicyName.ROUND_ROBIN, hedge_after=hedge)
        self.pool = pool_on(self.clock, spec, listener=self.heard)
        self.servers: list[RawServer] = []
        self._awaited = 0
        for number in range(3):
            self.pool.put(str(number), self._engine(stack, kind, begins=begins))

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass, first for the relays: they hear of a deadline before the pool."""
        self.relay_clock.advance(seconds)
        done = threading.Event()
        self.loop.call(lambda: self.loop.call(done.set))  # timers are looked at in between
        assert done.wait(DEADLINE)
        self.clock.advance(seconds)

    def await_requests(self, number: int) -> None:
        """Wait until so many more have arrived: no time may pass for a connection under way."""
        self._awaited += number
        if self.servers:
            wait_until(lambda: sum(len(each.received) for each in self.servers) >= self._awaited)

    def _engine(self, stack: ExitStack, kind: str, *, begins: bool) -> Engine:
        if kind == "in-process":
            return MindsTheDeadline(self.clock, begins=begins)

        def script(line: Line) -> None:
            line.hear()
            if begins:
                line.say(STREAM_HEAD + chunked(event(token("a"))))
            line.wait_for_hang_up()

        server = stack.enter_context(RawServer(script))
        self.servers.append(server)
        engine = UpstreamEngine(
            server.url, loop=self.loop, unary="fold" if kind == "folded" else "pass"
        )
        engine.probe = None  # type: ignore[assignment, method-assign]  # pyright: ignore[reportAttributeAccessIssue]  # no probes here
        stack.callback(engine.close)
        return engine

    def _stop(self) -> None:
        self.loop.stop()
        wait_until(lambda: not self.loop.running)


def by_deadline(scene: Scene, sink: RecordingSink, context: Context) -> None:
    del context
    scene.advance(ALLOWED)
    sink.wait_for_end()


def by_leaving(scene: Scene, sink: RecordingSink, context: Context) -> None:
    """A disconnect, a cancel, the end of a drain: whoever owns the request cancels its token."""
    del scene, sink
    context.token.cancel()


def by_not_reading(scene: Scene, sink: RecordingSink, context: Context) -> None:
    """A reader that takes nothing for a minute, and is dropped."""
    for _ in range(6):
        scene.advance(10.0)
    del sink
    context.token.cancel()


ENDS = {"deadline": by_deadline, "leaves": by_leaving, "does not read": by_not_reading}


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.parametrize("begins", [False, True], ids=["before-the-first-token", "after-it"])
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("kind", ["relayed", "folded", "hedged", "in-process"])
def test_what_the_client_does_is_not_the_instances_fault(
    stack: ExitStack, kind: str, end: str, *, begins: bool
) -> None:
    scene = Scene(stack, kind, begins=begins)
    for _ in range(REQUESTS):
        deadline = scene.clock.monotonic() + ALLOWED if end == "deadline" else None
        sink = Unread() if end == "does not read" else RecordingSink()
        context = Context("r", deadline=deadline)
        scene.pool.start(chat(stream=kind != "folded"), sink, context)
        scene.await_requests(1)
        if begins:
            sink.wait_for_chunks()
        if kind == "hedged" and not begins:
            scene.advance(1.0)
            scene.await_requests(1)
        ENDS[end](scene, sink, context)
        sink.wait_for_end()
    told(scene.pool, scene.heard)
    assert len(scene.heard.of("hedged")) == (REQUESTS if kind == "hedged" and not begins else 0)


def told(pool: Pool, heard: Heard) -> None:
    """Nothing was learned of the instances, and nothing was spent."""
    eventually(lambda: set(inflight(pool).values()) == {0}, DEADLINE, "all were given back")
    assert [each.failures for each in pool.view().instances] == [0, 0, 0]
    assert {each.state for each in pool.view().instances} <= {"serving", "starting"}
    assert heard.of("retried") == []
    assert heard.of("ejected") == []


@pytest.mark.parametrize(
    "error",
    [EngineTimeout("late"), EngineUnavailable("reset"), ValueError("a defect"), OSError("gone")],
)
def test_no_failure_after_the_clients_deadline_is_blamed_on_the_instance(
    error: BaseException,
) -> None:
    """An engine of somebody else's may tell of the deadline in any words."""
    clock, heard = FakeClock(), Heard()

    class Late:
        def start(self, request: EngineRequest, sink: Sink, context: Context) -> None:
            del request, context
            sinks.append(sink)

    sinks: list[Sink] = []
    pool = pool_on(clock, listener=heard)
    for number in range(3):
        pool.put(str(number), Late())
    for _ in range(REQUESTS):
        context = Context("r", deadline=clock.monotonic() + ALLOWED)
        pool.start(chat(), RecordingSink(), context)
        clock.advance(ALLOWED)
        sinks[-1].fail(error)
    told(pool, heard)


@pytest.mark.parametrize(
    "error", [DeadlineExceeded("late"), ClientTooSlow("slow"), Cancelled("left")]
)
def test_the_clients_ends_are_treated_as_cancelled(error: BaseException) -> None:
    assert classify(error) is CANCELLED
