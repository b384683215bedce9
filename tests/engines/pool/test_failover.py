"""Before the first byte a failed instance is replaced by another; after it, never."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from actors.engines import (
    Context,
    EngineError,
    EngineRejected,
    EngineTimeout,
)
from actors.engines.contract import COMMENTS_AFTER, Sink
from actors.engines.pool import InstanceSpec, ModelSpec, PolicyName, Pool, Timeouts
from actors.engines.pool.queue import Queue
from actors.engines.pool.request import PoolRequest, Side
from actors.engines.pool.retry_budget import BURST, FLOOR, RATIO
from actors.supervision.cancellation import CancellationToken
from actors.supervision.errors import Cancelled
from actors.testing import FakeClock
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
    status,
    well,
)


@pytest.fixture
def pool(clock: FakeClock, heard: Heard) -> Pool:
    return pool_on(clock, ModelSpec(policy=PolicyName.ROUND_ROBIN), listener=heard)


def raising(error: Callable[[], BaseException]) -> Callable[[Sink], None]:
    def script(_sink: Sink) -> None:
        raise error()

    return script


FAILURES: dict[str, Callable[[], BaseException]] = {
    "500": status(500),
    "502": status(502),
    "503": status(503),
    "429": status(429),
    "refused": refused,
    "reset": reset,
    "timeout": lambda: EngineTimeout("no first byte"),
    "defect": lambda: RuntimeError("a bug"),
}


@pytest.mark.parametrize("how", [failing, raising], ids=["through the sink", "out of start"])
@pytest.mark.parametrize("error", FAILURES.values(), ids=FAILURES.keys())
def test_while_one_instance_is_healthy_every_request_succeeds(
    pool: Pool,
    clock: FakeClock,
    error: Callable[[], BaseException],
    how: Callable[[Callable[[], BaseException]], Callable[[Sink], None]],
) -> None:
    healthy = Scripted(well)
    for number in range(3):
        pool.put(f"bad{number}", Scripted(how(error)))
    pool.put("good", healthy)
    for _ in range(200):
        assert start(pool).ends == ["finish"]
        clock.advance(0.05)
    assert healthy.asked == 200
    assert set(inflight(pool).values()) == {0}


@pytest.mark.parametrize("stream", [True, False])
def test_a_hanging_instance_is_replaced_after_its_first_byte_timeout(
    clock: FakeClock, *, stream: bool
) -> None:
    spec = ModelSpec(policy=PolicyName.ROUND_ROBIN, timeouts=Timeouts(first_byte=2.0))
    pool = pool_on(clock, spec)
    hanging = Manual()
    pool.put("hangs", hanging)
    pool.put("good", Scripted(well))
    sinks = [start(pool, stream=stream) for _ in range(10)]
    clock.advance(2.0)
    assert [sink.ends for sink in sinks] == [["finish"]] * 10
    assert all(each.context.token.cancelled for each in hanging.asked)
    assert set(inflight(pool).values()) == {0}


def test_a_hanging_instance_costs_those_that_go_elsewhere_nothing(clock: FakeClock) -> None:
    pool = pool_on(clock)  # least loaded: the hanging one is always the most loaded
    hanging = Manual()
    pool.put("hangs", hanging)
    for number in range(3):
        pool.put(str(number), Scripted(well))
    ended = [bool(start(pool).ends) for _ in range(400)]
    assert ended.count(False) == len(hanging.asked) == 1


@pytest.mark.parametrize(
    "error",
    [EngineRejected("too long", status=400), EngineError("no", status=501), Cancelled("left")],
    ids=["400", "501", "cancelled"],
)
def test_what_would_fail_everywhere_is_not_retried(
    pool: Pool, heard: Heard, error: BaseException
) -> None:
    engines = [Scripted(failing(lambda: error)) for _ in range(3)]
    for number, engine in enumerate(engines):
        pool.put(str(number), engine)
    assert start(pool).error is error
    assert sum(engine.asked for engine in engines) == 1
    assert heard.events == []


def test_nobody_else_is_asked_after_the_first_token(pool: Pool) -> None:
    first, second = Manual(), Manual()
    pool.put("a", first)
    pool.put("b", second)
    sink = start(pool)
    error = reset()
    first.last.sink.push(chunk())
    first.last.sink.fail(error)
    assert (sink.error, second.asked) == (error, [])
    assert set(inflight(pool).values()) == {0}


ROLE = {
    "object": "chat.completion.chunk",
    "choices": [{"index": 0, "delta": {"role": "assistant"}}],
}


def test_an_instance_that_died_after_telling_its_role_is_replaced(pool: Pool) -> None:
    first = Manual()
    pool.put("a", first)
    pool.put("b", Scripted(well))
    sink = start(pool)
    first.last.sink.push(b": ping\n\n", 0)
    first.last.sink.push(ROLE, 0)
    first.last.sink.push(b": ping\n\n", 0)
    assert sink.chunks == []
    first.last.sink.fail(reset())
    assert (sink.chunks, sink.ends) == ([chunk()], ["finish"])


def test_what_was_held_back_comes_before_the_first_token(pool: Pool) -> None:
    engine = Manual()
    pool.put("a", engine)
    sink = start(pool)
    engine.last.sink.push(ROLE, 0)
    engine.last.sink.push(chunk("x"))
    engine.last.sink.push(chunk("y"), 2)
    assert (sink.chunks, sink.tokens) == ([ROLE, chunk("x"), chunk("y")], [0, 1, 2])


def test_a_second_chunk_without_a_token_begins_the_answer_too(pool: Pool) -> None:
    engine = Manual()
    pool.put("a", engine)
    sink = start(pool)
    engine.last.sink.push(ROLE, 0)
    engine.last.sink.push(ROLE, 0)
    assert sink.chunks == [ROLE, ROLE]


def test_however_many_comments_come_they_begin_no_answer(pool: Pool) -> None:
    first = Manual()
    pool.put("a", first)
    pool.put("b", Scripted(well))
    sink = start(pool)
    for _ in range(1000):
        first.last.sink.push(b": still loading\n\n", 0)
    first.last.sink.push(ROLE, 0)
    assert sink.chunks == []
    first.last.sink.fail(reset())
    assert (sink.chunks, sink.ends) == ([chunk()], ["finish"])


@pytest.mark.parametrize("comment", [b": still loading\n\n", b":\n\n", b": ping\r\n\r\n"])
def test_after_a_bounded_time_comments_pass_at_once_and_another_may_still_answer(
    pool: Pool, clock: FakeClock, comment: bytes
) -> None:
    first = Manual()
    pool.put("a", first)
    pool.put("b", Scripted(well))
    sink = start(pool)
    first.last.sink.push(ROLE, 0)
    clock.advance(COMMENTS_AFTER - 1)
    first.last.sink.push(comment, 0)
    assert sink.chunks == []
    clock.advance(1)
    for _ in range(100):
        first.last.sink.push(comment, 0)
    assert sink.chunks == [comment] * 100
    first.last.sink.fail(reset())
    assert (sink.chunks[100:], sink.ends) == ([chunk()], ["finish"])


def test_the_time_for_comments_counts_from_the_first_instance_that_was_asked(
    pool: Pool, clock: FakeClock
) -> None:
    engines = [Manual(), Manual()]
    for number, engine in enumerate(engines):
        pool.put(str(number), engine)
    sink = start(pool)
    first, second = engines if engines[0].asked else reversed(engines)
    clock.advance(COMMENTS_AFTER)
    first.last.sink.fail(reset())
    second.last.sink.push(b": ping\n\n", 0)
    assert sink.chunks == [b": ping\n\n"]


def test_a_role_after_many_comments_is_held_and_told(pool: Pool) -> None:
    engine = Manual()
    pool.put("a", engine)
    sink = start(pool)
    for _ in range(1000):
        engine.last.sink.push(b":\n\n", 0)
    engine.last.sink.push(ROLE, 0)
    engine.last.sink.push(chunk("x"))
    assert sink.chunks[-2:] == [ROLE, chunk("x")]
    assert len(sink.chunks) < 50


def request_of(engine: Manual) -> PoolRequest:
    given = engine.last.sink
    assert isinstance(given, PoolRequest)
    return given


def test_an_engine_that_pushes_from_two_threads_at_once_loses_nothing(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second thread saw that nothing had started, then waited while the first one started."""
    engine = Manual()
    pool.put("a", engine)
    sink = start(pool)
    request = request_of(engine)
    started = PoolRequest.start_with

    def start_behind_another_thread(asked: PoolRequest, side: Side) -> bool:
        assert started(asked, side)
        return started(asked, side)

    monkeypatch.setattr(PoolRequest, "start_with", start_behind_another_thread)
    request.push(chunk("x"))
    request.finish()
    assert (sink.chunks, sink.ends) == ([chunk("x")], ["finish"])
    assert inflight(pool) == {"a": 0}


def test_an_attempt_that_starts_while_it_fails_ends_the_request(pool: Pool) -> None:
    """Its time was over, on one thread, just when its first token came, on another."""
    engine, other = Manual(), Manual()
    pool.put("a", engine)
    pool.put("b", other)
    sink = start(pool)
    request, error = request_of(engine), EngineTimeout("no first byte")
    assert request.start_with(request)
    request.fail_early(request, error)
    assert (sink.ends, sink.error, other.asked) == (["fail"], error, [])
    request.push(chunk())
    request.fail(Cancelled("told to stop"))
    assert (sink.chunks, sink.ends) == ([], ["fail"])
    assert set(inflight(pool).values()) == {0}


def test_an_answer_in_one_piece_is_passed_on(pool: Pool) -> None:
    pool.put("a", Scripted(lambda sink: sink.answer(b"{}")))
    sink = start(pool, stream=False)
    assert (sink.body, sink.ends) == (b"{}", ["answer"])
    assert inflight(pool) == {"a": 0}


def test_whatever_comes_after_the_end_is_ignored(pool: Pool) -> None:
    engine = Manual()
    pool.put("a", engine)
    sink = start(pool)
    given = engine.last.sink
    given.finish()
    given.fail(reset())
    given.push(chunk())
    given.answer(b"{}")
    given.finish()
    assert sink.ends == ["finish"]
    assert inflight(pool) == {"a": 0}


def test_a_replaced_attempt_is_heard_no_more(pool: Pool) -> None:
    first, second = Manual(), Manual()
    pool.put("a", first)
    pool.put("b", second)
    sink = start(pool)
    first.last.sink.fail(reset())
    second.last.sink.push(chunk("second"))
    first.last.sink.push(chunk("first"))
    first.last.sink.finish()
    second.last.sink.finish()
    assert (sink.text(), sink.ends) == ("second", ["finish"])


def test_nobody_else_is_asked_for_a_client_that_left(pool: Pool) -> None:
    first, second = Manual(), Manual()
    pool.put("a", first)
    pool.put("b", second)
    token = CancellationToken()
    sink = start(pool, Context("r", token))
    given = first.last.sink
    token.cancel()
    given.fail(reset())
    assert (sink.ends, second.asked) == (["fail"], [])
    assert isinstance(sink.error, Cancelled)


def test_one_request_is_tried_at_five_instances_at_most(pool: Pool) -> None:
    engines = [Scripted(failing(status(500))) for _ in range(8)]
    for number, engine in enumerate(engines):
        pool.put(str(number), engine)
    assert isinstance(start(pool).error, EngineError)
    assert sorted(engine.asked for engine in engines) == [0] * 3 + [1] * 5


def test_no_instance_is_asked_twice_for_one_request(pool: Pool) -> None:
    engines = [Scripted(failing(status(500))) for _ in range(2)]
    for number, engine in enumerate(engines):
        pool.put(str(number), engine)
    start(pool)
    assert [engine.asked for engine in engines] == [1, 1]


def test_a_retry_waits_for_room_where_there_is_none(clock: FakeClock) -> None:
    pool = pool_on(clock, ModelSpec(policy=PolicyName.ROUND_ROBIN), queue=Queue())
    busy = Manual()
    pool.put("good", busy, InstanceSpec(max_concurrency=1))
    first = start(pool)
    pool.put("bad", Scripted(failing(status(500))))
    second = start(pool)
    assert second.ends == []
    busy.last.sink.finish()
    busy.last.sink.finish()
    assert (first.ends, second.ends) == (["finish"], ["finish"])


def test_when_all_fail_the_budget_bounds_the_extra_work(clock: FakeClock, heard: Heard) -> None:
    pool = pool_on(clock, listener=heard)
    engines = [Scripted(failing(status(500))) for _ in range(4)]
    for number, engine in enumerate(engines):
        pool.put(str(number), engine)
    requests, seconds = 5000, 20.0
    for _ in range(requests):
        assert isinstance(start(pool).error, EngineError)
        clock.advance(seconds / requests)
    extra = sum(engine.asked for engine in engines) - requests
    assert extra <= BURST + RATIO * requests + FLOOR * seconds
    assert extra >= RATIO * requests
    retried = heard.of("retried")
    assert sum(each.allowed for each in retried) == extra
    assert any(not each.allowed for each in retried)
    assert {each.kind for each in retried} == {"failed", "unavailable"} & {retried[0].kind}


def test_retries_that_are_answered_are_never_refused(pool: Pool, heard: Heard) -> None:
    """Four failures of five never eject an instance; all of them would cost more than is saved."""
    asked = 0

    def mostly_failing(sink: Sink) -> None:
        nonlocal asked
        asked += 1
        (failing(status(500)) if asked % 5 else well)(sink)

    pool.put("bad", Scripted(mostly_failing))
    pool.put("good", Scripted(well))
    requests = 2000
    assert all(start(pool).ends == ["finish"] for _ in range(requests))
    retried = heard.of("retried")
    assert all(each.allowed for each in retried)
    assert len(retried) > BURST + RATIO * requests
