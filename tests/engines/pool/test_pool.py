"""Instances come and go, one of them answers, and nothing is kept of a request that ended."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable

import pytest

from actors.engines import Context, EngineBusy, EngineUnavailable
from actors.engines.contract import Sink
from actors.engines.pool import InstanceSpec, ModelSpec, PolicyName, Pool
from actors.engines.pool.queue import Queue
from actors.supervision.cancellation import CancellationToken
from actors.testing import FakeClock
from tests.engines.asking import chat
from tests.engines.pool.calls import calls_of
from tests.engines.pool.fakes import Heard, Manual, Scripted, chunk, inflight, pool_on, start, well
from tests.engines.recording import RecordingSink


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def pool(clock: FakeClock) -> Pool:
    return pool_on(clock)


def test_a_pool_is_true_while_it_has_an_instance(pool: Pool) -> None:
    assert not pool
    pool.put("a", Manual())
    assert pool
    assert pool.drop("a")
    assert not pool


def test_dropping_an_unknown_instance_changes_nothing(pool: Pool) -> None:
    pool.put("a", Manual())
    assert not pool.drop("z")
    assert len(pool) == 1


def test_a_pool_prints_its_instances(pool: Pool) -> None:
    pool.put("a", Manual())
    pool.put("b", Manual())
    assert repr(pool) == "<Pool of ['a', 'b']>"


def test_an_empty_pool_says_that_nobody_serves_the_model(pool: Pool) -> None:
    sink = start(pool)
    assert isinstance(sink.error, EngineUnavailable)
    assert (sink.error.status, sink.error.retry_after) == (503, 1)
    assert "'m'" in sink.error.message


def test_a_request_goes_to_one_instance_and_is_answered_by_it(pool: Pool) -> None:
    engines = [Scripted(well), Scripted(well)]
    for number, engine in enumerate(engines):
        pool.put(str(number), engine)
    sink = start(pool)
    assert (sink.ends, sink.text()) == (["finish"], "hi")
    assert sorted(engine.asked for engine in engines) == [0, 1]


def test_a_request_in_flight_is_counted_before_its_engine_is_asked(pool: Pool) -> None:
    seen: list[dict[str, int]] = []

    def look(sink: Sink) -> None:
        seen.append(inflight(pool))
        sink.finish()

    pool.put("a", Scripted(look))
    start(pool)
    assert seen == [{"a": 1}]
    assert inflight(pool) == {"a": 0}


def test_requests_in_flight_survive_when_others_come_and_go(pool: Pool) -> None:
    engine = Manual()
    pool.put("a", engine)
    start(pool)
    pool.put("b", Manual())
    pool.drop("b")
    assert inflight(pool) == {"a": 1}


def test_an_instance_put_again_with_its_endpoint_keeps_what_it_has_in_flight(pool: Pool) -> None:
    old, new = Manual("http://one"), Manual("http://one")
    pool.put("a", old)
    sink = start(pool)
    pool.put("a", new, InstanceSpec(weight=2.0))
    assert inflight(pool) == {"a": 1}
    start(pool)
    assert len(new.asked) == 1
    old.last.sink.finish()
    assert sink.ends == ["finish"]
    assert inflight(pool) == {"a": 1}


def test_an_instance_put_again_at_another_endpoint_begins_anew(pool: Pool) -> None:
    old = Manual("http://one")
    pool.put("a", old)
    sink = start(pool)
    pool.put("a", Manual("http://two"))
    assert inflight(pool) == {"a": 0}
    old.last.sink.push(chunk())
    old.last.sink.finish()
    assert sink.ends == ["finish"]
    assert inflight(pool) == {"a": 0}


def test_a_draining_instance_gets_nothing_new_and_finishes_what_it_has(pool: Pool) -> None:
    leaving, staying = Manual("http://one"), Manual()
    pool.put("a", leaving)
    first = start(pool)
    pool.put("b", staying)
    pool.put("a", leaving, InstanceSpec(draining=True))
    for _ in range(5):
        start(pool)
    assert (len(leaving.asked), len(staying.asked)) == (1, 5)
    leaving.last.sink.finish()
    assert first.ends == ["finish"]
    assert inflight(pool) == {"a": 0, "b": 5}


def test_a_pool_that_only_drains_serves_nobody(pool: Pool) -> None:
    pool.put("a", Manual(), InstanceSpec(draining=True))
    assert pool.serving == 0
    assert isinstance(start(pool).error, EngineUnavailable)
    pool.put("a", Manual(), InstanceSpec())
    assert pool.serving == 1


def test_a_dropped_instance_finishes_what_it_has(pool: Pool) -> None:
    engine = Manual()
    pool.put("a", engine)
    sink = start(pool)
    pool.drop("a")
    engine.last.sink.push(chunk("late"))
    engine.last.sink.finish()
    assert (sink.text(), sink.ends) == ("late", ["finish"])


def test_an_engine_that_may_be_stopped_alone_is_given_a_token_of_its_own(pool: Pool) -> None:
    engine = Manual()
    pool.put("a", engine)
    token = CancellationToken()
    start(pool, Context("id-1", token, 99999.0))
    given = engine.last.context
    assert (given.request_id, given.deadline) == ("id-1", 99999.0)
    assert given.token is not token
    token.cancel()
    assert given.token.cancelled


def test_the_clients_leaving_reaches_the_engine_and_frees_the_instance(pool: Pool) -> None:
    engine = Manual()
    pool.put("a", engine)
    token = CancellationToken()
    sink = start(pool, Context("r", token))
    token.cancel()
    assert engine.last.context.token.cancelled
    assert sink.ends == ["fail"]
    assert inflight(pool) == {"a": 0}


def test_a_client_that_left_already_is_not_served(pool: Pool) -> None:
    engine = Manual()
    pool.put("a", engine)
    token = CancellationToken()
    token.cancel()
    assert start(pool, Context("r", token)).ends == ["fail"]
    assert engine.asked == []


def test_after_the_first_chunk_each_chunk_goes_straight_to_the_client(pool: Pool) -> None:
    engine = Manual()
    pool.put("a", engine)
    sink = start(pool)
    engine.last.sink.push(chunk())
    event = chunk()
    calls = calls_of(lambda: engine.last.sink.push(event))
    assert calls[1:4] == ["PoolRequest.push", "SinkRequest.deliver", "RecordingSink.push"]
    assert len(sink.chunks) == 2


# The queue.


def limited(clock: FakeClock, heard: Heard | None = None) -> tuple[Pool, Manual]:
    pool = pool_on(clock, queue=Queue(limit=2, timeout=10.0), listener=heard)
    engine = Manual()
    pool.put("a", engine, InstanceSpec(max_concurrency=1))
    return pool, engine


def test_more_than_an_instance_takes_wait_and_are_served_in_order(clock: FakeClock) -> None:
    heard = Heard()
    pool, engine = limited(clock, heard)
    first, second, third = start(pool), start(pool), start(pool)
    assert len(engine.asked) == 1
    assert pool.view().waiting == 2
    clock.advance(2.0)
    for number, sink in enumerate((first, second, third)):
        engine.last.sink.push(chunk(str(number)))
        engine.last.sink.finish()
        assert (sink.text(), sink.ends) == (str(number), ["finish"])
    assert [(each.outcome, each.seconds) for each in heard.of("waited")] == [("served", 2.0)] * 2
    assert clock.pending == 0


def test_more_than_the_queue_takes_are_told_to_come_back(clock: FakeClock) -> None:
    heard = Heard()
    pool, _ = limited(clock, heard)
    for _ in range(3):
        start(pool)
    error = start(pool).error
    assert isinstance(error, EngineBusy)
    assert (error.status, error.retry_after) == (429, 1)
    assert [each.outcome for each in heard.of("waited")] == ["full"]


def test_who_waits_too_long_is_told_to_come_back(clock: FakeClock) -> None:
    pool, engine = limited(clock)
    start(pool)
    waiting = start(pool)
    clock.advance(9.9)
    assert waiting.ends == []
    clock.advance(0.2)
    assert isinstance(waiting.error, EngineBusy)
    engine.last.sink.finish()
    assert len(engine.asked) == 1


def test_who_left_the_queue_is_not_served(clock: FakeClock) -> None:
    heard = Heard()
    pool, engine = limited(clock, heard)
    start(pool)
    token = CancellationToken()
    left, stayed = start(pool, Context("r", token)), start(pool)
    token.cancel()
    assert left.ends == ["fail"]
    assert [each.outcome for each in heard.of("waited")] == ["left"]
    engine.last.sink.finish()
    engine.last.sink.finish()
    assert stayed.ends == ["finish"]
    assert clock.pending == 0


def test_a_new_instance_serves_those_who_wait(clock: FakeClock) -> None:
    pool, _ = limited(clock)
    start(pool)
    waiting = start(pool)
    pool.put("b", Scripted(well))
    assert waiting.ends == ["finish"]


def test_when_the_last_instance_goes_those_who_wait_are_told(clock: FakeClock) -> None:
    pool, _ = limited(clock)
    start(pool)
    waiting = start(pool)
    pool.drop("a")
    assert isinstance(waiting.error, EngineUnavailable)


def test_a_long_queue_of_engines_that_answer_at_once_is_no_deep_stack(clock: FakeClock) -> None:
    pool = pool_on(clock, queue=Queue(limit=5000))
    pool.put("a", gate := Manual("http://one"), InstanceSpec(max_concurrency=1))
    start(pool)
    sinks = [start(pool) for _ in range(3000)]
    pool.put("a", Scripted(well, "http://one"), InstanceSpec(max_concurrency=1))
    gate.last.sink.finish()
    assert all(sink.ends == ["finish"] for sink in sinks)


@pytest.mark.parametrize("policy", list(PolicyName))
def test_many_threads_leave_nothing_in_flight(policy: PolicyName) -> None:
    pool = Pool("m", spec=ModelSpec(policy=policy))
    for number in range(4):
        pool.put(str(number), Scripted(well), InstanceSpec(max_concurrency=2))
    bad: list[RecordingSink] = []

    def loop(name: str) -> None:
        for number in range(300):
            sink = RecordingSink()
            pool.start(chat(user=f"{name}{number}"), sink, Context("r"))
            if sink.wait_for_end().ends != ["finish"]:
                bad.append(sink)

    threads = [threading.Thread(target=loop, args=(str(each),)) for each in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert bad == []
    assert set(inflight(pool).values()) == {0}
    assert sum(each.selections for each in pool.view().instances) == 8 * 300


def push_one(sink: Sink) -> None:
    """Begin an answer, and never go on."""
    sink.push(chunk())


@pytest.mark.parametrize("script", [well, push_one])
def test_a_request_that_ended_leaves_nothing_to_the_cycle_collector(
    pool: Pool, script: Callable[[Sink], None]
) -> None:
    """Each collection stops every thread for as long as the heap is large."""
    pool.put("a", Scripted(script))
    gc.collect()
    gc.disable()
    try:
        for _ in range(1000):
            token = CancellationToken()
            start(pool, Context("r", token))
            token.cancel()
        # One object for each would be a cycle; other threads of this process leave some, too.
        assert gc.collect() < 1000
    finally:
        gc.enable()
