"""Deadlines for the parts and the whole of an answer, and a second instance asked in time."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from actors.engines import Context, EngineTimeout
from actors.engines.pool import HedgeAfter, InstanceSpec, ModelSpec, PolicyName, Pool, Timeouts
from actors.engines.pool.retry_budget import BURST, FLOOR, MIN_SAMPLES, RATIO
from actors.supervision.cancellation import CancellationToken
from actors.testing import FakeClock
from tests.engines.asking import chat
from tests.engines.pool.calls import calls_of
from tests.engines.pool.fakes import (
    Heard,
    Manual,
    Scripted,
    chunk,
    failing,
    inflight,
    pool_on,
    refused,
    reset,
    start,
    well,
)
from tests.engines.recording import RecordingSink


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def timed(clock: FakeClock, **seconds: float) -> tuple[Pool, Manual]:
    """A pool of one engine with these timeouts."""
    pool = pool_on(clock, ModelSpec(timeouts=Timeouts(**seconds)))
    engine = Manual()
    pool.put("a", engine)
    return pool, engine


def test_a_first_byte_that_does_not_come_in_time_is_a_timeout(clock: FakeClock) -> None:
    pool, engine = timed(clock, first_byte=3.0)
    sink = start(pool)
    clock.advance(2.9)
    assert sink.ends == []
    clock.advance(0.1)
    assert isinstance(sink.error, EngineTimeout)
    assert engine.last.context.token.cancelled
    assert inflight(pool) == {"a": 0}


def test_a_first_byte_in_time_lifts_its_timeout(clock: FakeClock) -> None:
    pool, engine = timed(clock, first_byte=3.0)
    sink = start(pool)
    clock.advance(2.9)
    engine.last.sink.push(chunk())
    clock.advance(100.0)
    assert sink.ends == []
    engine.last.sink.finish()
    assert clock.pending == 0


def test_silence_between_two_chunks_ends_the_answer(clock: FakeClock) -> None:
    pool, engine = timed(clock, idle=2.0)
    sink = start(pool)
    clock.advance(50.0)
    for _ in range(5):
        engine.last.sink.push(chunk())
        clock.advance(1.9)
    assert sink.ends == []
    clock.advance(0.1)
    assert isinstance(sink.error, EngineTimeout)
    assert len(sink.chunks) == 5
    assert engine.last.context.token.cancelled
    assert inflight(pool) == {"a": 0}


def test_a_client_that_reads_slowly_is_no_silence_of_the_engine(clock: FakeClock) -> None:
    class Slow(RecordingSink):
        def has_room(self, when_room: Callable[[], object]) -> bool:
            self.when_room = when_room
            return False

    pool, engine = timed(clock, idle=2.0)
    sink = Slow()
    pool.start(chat(), sink, Context("r"))
    given = engine.last.sink
    given.push(chunk())
    told: list[bool] = []
    assert not given.has_room(lambda: told.append(True))
    clock.advance(100.0)
    assert sink.ends == []
    sink.when_room()
    assert told == [True]
    clock.advance(2.0)
    assert isinstance(sink.error, EngineTimeout)


def test_the_whole_answer_has_its_time_retries_included(clock: FakeClock) -> None:
    spec = ModelSpec(timeouts=Timeouts(first_byte=3.0, total=5.0))
    pool = pool_on(clock, spec)
    engines = [Manual() for _ in range(3)]
    for number, engine in enumerate(engines):
        pool.put(str(number), engine)
    sink = start(pool)
    clock.advance(4.9)
    assert sum(len(engine.asked) for engine in engines) == 2
    clock.advance(0.1)
    assert isinstance(sink.error, EngineTimeout)
    assert set(inflight(pool).values()) == {0}
    assert clock.pending == 0


def test_an_answer_that_has_begun_has_its_time_too(clock: FakeClock) -> None:
    pool, engine = timed(clock, total=5.0)
    sink = start(pool)
    engine.last.sink.push(chunk())
    clock.advance(5.0)
    assert (len(sink.chunks), sink.ends) == (1, ["fail"])


def test_a_requests_own_deadline_counts_where_it_is_sooner(clock: FakeClock) -> None:
    pool, _ = timed(clock, total=50.0)
    soon = start(pool, Context("r", CancellationToken(), clock.monotonic() + 1.0))
    late = start(pool, Context("r", CancellationToken(), clock.monotonic() + 99.0))
    clock.advance(1.0)
    assert (soon.ends, late.ends) == (["fail"], [])
    clock.advance(49.0)
    assert late.ends == ["fail"]


def test_a_deadline_reaches_a_request_that_waits_in_the_queue(clock: FakeClock) -> None:
    pool = pool_on(clock)
    pool.put("a", Manual(), InstanceSpec(max_concurrency=1))
    start(pool)
    waiting = start(pool, Context("r", CancellationToken(), clock.monotonic() + 1.0))
    clock.advance(1.0)
    assert isinstance(waiting.error, EngineTimeout)
    assert pool.view().waiting == 0


def test_an_engine_that_keeps_time_itself_is_left_to_it(clock: FakeClock) -> None:
    class Relay(Manual):
        enforces_timeouts = True

    pool = pool_on(clock, ModelSpec(timeouts=Timeouts(first_byte=1.0, idle=1.0)))
    engine = Relay()
    pool.put("a", engine)
    sink = start(pool)
    clock.advance(10.0)
    engine.last.sink.push(chunk())
    clock.advance(10.0)
    assert sink.ends == []
    event = chunk()
    calls = calls_of(lambda: engine.last.sink.push(event))
    assert calls[1:4] == ["PoolRequest.push", "SinkRequest.deliver", "RecordingSink.push"]


# Hedging.


def hedging(
    clock: FakeClock, after: float | str = 1.0, heard: Heard | None = None
) -> tuple[Pool, Manual, Manual]:
    spec = ModelSpec(policy=PolicyName.ROUND_ROBIN, hedge_after=HedgeAfter.of(after))
    pool = pool_on(clock, spec, listener=heard)
    first, second = Manual(), Manual()
    pool.put("a", first)
    pool.put("b", second)
    return pool, first, second


def test_a_second_instance_is_asked_after_the_delay(clock: FakeClock) -> None:
    pool, first, second = hedging(clock)
    start(pool)
    clock.advance(0.9)
    assert (len(first.asked), len(second.asked)) == (1, 0)
    clock.advance(0.1)
    assert (len(first.asked), len(second.asked)) == (1, 1)
    clock.advance(50.0)
    assert (len(first.asked), len(second.asked)) == (1, 1)


@pytest.mark.parametrize("winner", [0, 1])
def test_the_first_to_answer_wins_and_the_other_is_stopped(clock: FakeClock, winner: int) -> None:
    heard = Heard()
    pool, *engines = hedging(clock, heard=heard)
    sink = start(pool)
    clock.advance(1.0)
    committed, lost = engines[winner], engines[1 - winner]
    committed.last.sink.push(chunk("winner"))
    assert lost.last.context.token.cancelled
    lost.last.sink.push(chunk("loser"))
    lost.last.sink.finish()
    committed.last.sink.finish()
    assert (sink.text(), sink.ends) == ("winner", ["finish"])
    assert set(inflight(pool).values()) == {0}
    assert [each.won for each in heard.of("hedged")] == [None, winner == 1]


def test_nobody_is_asked_beside_an_answer_that_came_in_time(clock: FakeClock) -> None:
    pool, first, second = hedging(clock)
    start(pool)
    first.last.sink.push(chunk())
    clock.advance(10.0)
    assert second.asked == []


def test_a_hedged_request_whose_instances_both_fail_fails_once(clock: FakeClock) -> None:
    pool, first, second = hedging(clock)
    sink = start(pool)
    clock.advance(1.0)
    first.last.sink.fail(reset())
    assert sink.ends == []
    error = reset()
    second.last.sink.fail(error)
    assert (sink.ends, sink.error) == (["fail"], error)


def test_a_client_that_leaves_stops_both(clock: FakeClock) -> None:
    pool, first, second = hedging(clock)
    token = CancellationToken()
    start(pool, Context("r", token))
    clock.advance(1.0)
    token.cancel()
    assert first.last.context.token.cancelled
    assert second.last.context.token.cancelled
    assert set(inflight(pool).values()) == {0}


def test_hedges_are_paid_from_the_budget_too(clock: FakeClock) -> None:
    pool, first, second = hedging(clock, 0.001)
    for _ in range(500):
        start(pool)
        clock.advance(0.002)
    asked = len(first.asked) + len(second.asked)
    assert asked - 500 <= BURST + RATIO * 500 + FLOOR * 1.0
    assert asked > 600


def test_a_percentile_hedges_once_enough_first_tokens_were_seen(clock: FakeClock) -> None:
    pool, first, second = hedging(clock, "p90")
    for number in range(MIN_SAMPLES):
        sink = start(pool)
        clock.advance(0.1)
        asked = [*first.asked, *second.asked]
        assert len(asked) == number + 1
        for each in asked:
            each.sink.push(chunk())
            each.sink.finish()
        assert sink.ends == ["finish"]
    start(pool)
    clock.advance(0.09)
    assert len(first.asked) + len(second.asked) == MIN_SAMPLES + 1
    clock.advance(0.02)
    assert len(first.asked) + len(second.asked) == MIN_SAMPLES + 2


def test_an_instance_that_fails_is_replaced_before_the_hedge(clock: FakeClock) -> None:
    spec = ModelSpec(policy=PolicyName.ROUND_ROBIN, hedge_after=HedgeAfter.of(1.0))
    pool = pool_on(clock, spec)
    pool.put("bad", Scripted(failing(refused)))
    pool.put("good", Scripted(well))
    assert start(pool).ends == ["finish"]
    assert clock.pending == 0
