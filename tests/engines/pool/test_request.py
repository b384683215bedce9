"""The life of a request, event by event, and what an ordinary one costs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from actors.engines import Context, EngineRequest, Sink
from actors.engines.contract import Chunk
from actors.engines.pool import HedgeAfter, InstanceSpec, ModelSpec, Pool, PoolRequest, State
from actors.engines.pool.request_state import TRANSITIONS, Event, IllegalEvent
from actors.supervision.errors import Cancelled
from actors.testing import FakeClock
from tests.engines.asking import chat
from tests.engines.pool.calls import calls_of
from tests.engines.pool.fakes import (
    BY_TURNS,
    Manual,
    Probed,
    chunk,
    inflight,
    pool_on,
    reset,
)

# The table.

KNOWN = {
    (State.WAITING, Event.ASK): State.ASKED,
    (State.WAITING, Event.GIVE_UP): State.FINISHED,
    (State.WAITING, Event.ABORT): State.ABORTED,
    (State.ASKED, Event.ASK): State.ASKED,
    (State.ASKED, Event.LOSE): State.WAITING,
    (State.ASKED, Event.START): State.STARTED,
    (State.ASKED, Event.FINISH): State.FINISHED,
    (State.ASKED, Event.ABORT): State.ABORTED,
    (State.STARTED, Event.FINISH): State.FINISHED,
    (State.STARTED, Event.ABORT): State.ABORTED,
}
"""What may happen; every other pair is illegal."""


@pytest.mark.parametrize("event", Event)
@pytest.mark.parametrize("state", State)
def test_every_state_knows_its_events_and_no_other(state: State, event: Event) -> None:
    after = KNOWN.get((state, event))
    if after is not None:
        assert TRANSITIONS[state][event] is after
        return
    with pytest.raises(IllegalEvent, match=f"{state.name} does not know {event.name}") as raised:
        TRANSITIONS[state][event]
    assert (raised.value.state, raised.value.event) == (state, event)


class Client(PoolRequest):
    """A client that keeps what it is told."""

    __slots__ = ("chunks", "ends", "is_full")

    def __init__(self, context: Context | None = None) -> None:
        super().__init__(chat(), context or Context("r"))
        self.chunks: list[Chunk] = []
        self.ends: list[object] = []
        self.is_full = False

    def deliver(self, chunk: Chunk, tokens: int) -> None:
        del tokens
        self.chunks.append(chunk)

    def deliver_answer(self, body: bytes) -> None:
        self.ends.append(body)

    def deliver_end(self) -> None:
        self.ends.append("end")

    def deliver_error(self, error: BaseException) -> None:
        self.ends.append(error)

    def room(self, when_room: Callable[[], object]) -> bool:
        del when_room
        return not self.is_full


class Quiet:
    """An engine that keeps its sink, and costs nothing."""

    def __init__(self) -> None:
        self.url = f"http://{id(self):x}"
        self.sinks: list[Sink] = []

    def start(self, request: EngineRequest, sink: Sink, context: Context) -> None:
        del request, context
        self.sinks.append(sink)


class Told(Quiet):
    """An engine that listens to its context, as one on the event loop does."""

    def __init__(self) -> None:
        super().__init__()
        self.cancelled = 0

    def start(self, request: EngineRequest, sink: Sink, context: Context) -> None:
        super().start(request, sink, context)

        def cancel() -> None:
            self.cancelled += 1
            sink.fail(Cancelled("told to stop"))

        context.listen(cancel)


def begun(pool: Pool) -> Client:
    client = Client()
    pool.begin(client)
    return client


def test_the_request_is_itself_the_sink_of_its_first_instance(pool: Pool) -> None:
    engine = Quiet()
    pool.put("a", engine)
    client = begun(pool)
    assert engine.sinks == [client]


def test_it_goes_through_its_states(pool: Pool) -> None:
    engine = Quiet()
    pool.put("a", engine)
    client = Client()
    seen = [client.state]
    pool.begin(client)
    seen.append(client.state)
    client.push(chunk())
    seen.append(client.state)
    client.finish()
    seen.append(client.state)
    assert seen == [State.WAITING, State.ASKED, State.STARTED, State.FINISHED]
    assert (client.chunks, client.ends) == ([chunk()], ["end"])


# The invariants.


def test_one_answer(pool: Pool) -> None:
    first, second = Quiet(), Quiet()
    pool.put("a", first)
    pool.put("b", second)
    client = begun(pool)
    client.fail(reset())
    client.push(chunk("late"))
    client.answer(b"late")
    second.sinks[0].push(chunk("in time"))
    client.finish()
    second.sinks[0].finish()
    second.sinks[0].fail(reset())
    client.push(chunk("later"))
    assert (client.chunks, client.ends) == ([chunk("in time")], ["end"])


@pytest.mark.parametrize("state", [State.WAITING, State.ASKED, State.STARTED])
def test_nothing_is_kept_of_a_request_that_its_client_ends(pool: Pool, state: State) -> None:
    engine = Told()
    pool.put("a", engine, InstanceSpec(max_concurrency=1))
    others = [begun(pool)] if state is State.WAITING else []
    client = begun(pool)
    if state is State.STARTED:
        client.push(chunk())
    assert client.state is state
    client.abort(Cancelled("left"), tell=False)
    client.abort(Cancelled("left"), tell=True)
    assert (client.state, client.ends) == (State.ABORTED, [])
    assert engine.cancelled == (0 if state is State.WAITING else 1)
    assert inflight(pool) == {"a": len(others)}
    assert pool.view().waiting == 0


def test_nothing_is_kept_whatever_ends_first(clock: FakeClock) -> None:
    pool = pool_on(clock, ModelSpec(hedge_after=HedgeAfter(seconds=1.0)))
    engines = {"a": Told(), "b": Told()}
    for name, engine in engines.items():
        pool.put(name, engine)
    for end in ("answer", "finish", "fail", "abort"):
        client = begun(pool)
        clock.advance(1.0)
        assert inflight(pool) == {"a": 1, "b": 1}
        if end == "answer":
            client.answer(b"{}")
        elif end == "finish":
            client.finish()
        elif end == "fail":
            client.push(chunk())
            client.fail(reset())
        else:
            client.abort(Cancelled("left"), tell=True)
        assert inflight(pool) == {"a": 0, "b": 0}
        assert len(client.ends) == 1
        assert client.last_error is None
    assert pool.reroutable == set()
    assert clock.pending == 0


def test_not_after_the_first_byte(pool: Pool) -> None:
    first, second = Quiet(), Quiet()
    pool.put("a", first)
    pool.put("b", second)
    client = begun(pool)
    client.push(chunk())
    error = reset()
    client.fail(error)
    assert (client.ends, second.sinks) == ([error], [])


def test_not_for_a_client_that_left_before_it_began(pool: Pool) -> None:
    engine = Quiet()
    pool.put("a", engine)
    client = Client()
    client.abort(Cancelled("left"), tell=False)
    pool.begin(client)
    assert (engine.sinks, inflight(pool)) == ([], {"a": 0})


def test_a_client_that_left_before_it_began_leaves_no_timer(clock: FakeClock) -> None:
    pool = pool_on(clock)
    pool.put("a", Quiet(), InstanceSpec(max_concurrency=1))
    for _ in range(2):
        client = Client(Context("r", deadline=clock.monotonic() + 60.0))
        client.abort(Cancelled("left"), tell=False)
        pool.begin(client)
        begun(pool)
    assert (clock.pending, pool.view().waiting) == (1, 1)  # the one in the queue


def test_the_client_is_told_before_its_engine(pool: Pool) -> None:
    engine = Told()
    pool.put("a", engine)
    client = begun(pool)
    late = Cancelled("late")
    client.abort(late, tell=True)
    assert (client.ends, engine.cancelled) == ([late], 1)


def test_a_first_attempt_that_is_replaced_is_told_to_stop_and_the_request_goes_on(
    clock: FakeClock,
) -> None:
    pool = pool_on(clock, ModelSpec(policy=BY_TURNS.policy, hedge_after=HedgeAfter(seconds=1.0)))
    first, second = Told(), Told()
    pool.put("a", first)
    pool.put("b", second)
    client = begun(pool)
    clock.advance(1.0)
    second.sinks[0].push(chunk("second"))
    client.push(chunk("first"))
    assert (first.cancelled, second.cancelled, client.first_live) == (1, 0, False)
    second.sinks[0].finish()
    assert (client.chunks, client.ends) == ([chunk("second")], ["end"])


def test_back_pressure_is_the_clients(pool: Pool) -> None:
    first, second = Quiet(), Quiet()
    pool.put("a", first)
    pool.put("b", second)
    client = begun(pool)
    client.fail(reset())
    for full in (True, False):
        client.is_full = full
        assert client.has_room(print) is second.sinks[0].has_room(print) is not full


def test_only_what_can_be_moved_is_noted_and_only_while_it_runs(clock: FakeClock) -> None:
    pool = pool_on(clock, BY_TURNS)
    pool.put("a", Probed())
    alone = begun(pool)
    assert pool.reroutable == set()
    pool.put("b", Manual())
    clients = [begun(pool), begun(pool)]
    assert len(pool.reroutable) == 1
    for client in [alone, *clients]:
        client.answer(b"{}")
    assert pool.reroutable == set()
    for name in "ab":
        pool.drop(name)
    clock.advance(100.0)


# What it costs.


def test_an_ordinary_request_makes_few_calls() -> None:
    """On the clock of production: it costs no Python-level call."""
    pool = Pool("m")
    pool.put("a", Quiet())
    pool.put("b", Quiet())
    begun(pool).answer(b"{}")  # looks at the weights of instances that start slowly, once a second
    client, event = Client(), chunk()
    begin = [
        "Pool.begin",
        "Selector.acquire",
        "LeastLoaded.pick",
        "LeastLoaded.update",
        "Quiet.start",
    ]
    assert calls_of(lambda: pool.begin(client)) == begin
    assert short(lambda: client.push(event)) == ["push", "start_with", "deliver"]
    assert short(lambda: client.push(event)) == ["push", "deliver"]
    end = ["end_with", "give_back", "release", "update"]
    assert short(lambda: client.finish()) == ["finish", *end, "deliver_end"]
    whole = begun(pool)
    assert short(lambda: whole.answer(b"{}")) == ["answer", *end, "deliver_answer"]


def test_with_one_instance_no_policy_is_asked() -> None:
    pool = Pool("m")
    pool.put("a", Quiet())
    client = Client()
    assert calls_of(lambda: pool.begin(client)) == ["Pool.begin", "Quiet.start"]
    assert short(lambda: client.answer(b"{}")) == [
        "answer", "end_with", "give_back", "deliver_answer",
    ]  # fmt: skip


def short(function: Callable[[], object]) -> list[str]:
    return [name.rpartition(".")[2] for name in calls_of(function)]
