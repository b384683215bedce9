"""The queue of a full pool: by priority, first come first served within one, each for its time."""

from __future__ import annotations

import random
from operator import attrgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.engines import Context, EngineBusy
from actors.engines.pool import InstanceSpec, Pool
from actors.engines.pool.queue import Queue
from actors.engines.pool.request import PoolRequest
from actors.testing import FakeClock
from tests.engines.asking import chat
from tests.engines.pool.fakes import Heard, Manual, pool_on, start
from tests.engines.recording import RecordingSink

PRIORITIES = st.lists(st.integers(-3, 3), max_size=30)


def request(priority: int = 0) -> PoolRequest:
    return PoolRequest(chat(), Context("r", priority=priority))


def waiting(queue: Queue) -> list[PoolRequest]:
    return [waiter.request for waiter in queue]


@given(PRIORITIES)
def test_higher_priorities_go_first_and_within_one_who_came_first(priorities: list[int]) -> None:
    queue, came = Queue(), [*map(request, priorities)]
    for each in came:
        assert queue.join(each, 0.0) is not None
    by_priority = attrgetter("context.priority")
    # ``sorted`` is stable, in this direction too.
    assert waiting(queue) == sorted(came, key=by_priority, reverse=True)
    assert len(queue) == len(came)


@given(PRIORITIES, st.integers(1, 5), st.randoms(use_true_random=False))
def test_a_full_queue_keeps_those_who_are_served_soonest(
    priorities: list[int], limit: int, chance: random.Random
) -> None:
    queue, kept = Queue(limit), list[PoolRequest]()
    for new in map(request, priorities):
        waiter = queue.join(new, 0.0)
        best = sorted([*kept, new], key=attrgetter("context.priority"), reverse=True)
        kept, lost = best[:limit], best[limit:]
        told = [new] if waiter is None else [waiter.displaced.request] if waiter.displaced else []
        assert told == lost
        if kept and chance.random() < 0.3:
            gone = kept.pop(chance.randrange(len(kept)))
            assert queue.leave(gone) is not None
            assert queue.leave(gone) is None
        assert waiting(queue) == kept
        assert len(queue) == len(kept)


@pytest.fixture
def engine() -> Manual:
    return Manual()


@pytest.fixture
def full(clock: FakeClock, engine: Manual, heard: Heard) -> Pool:
    """A pool whose only instance is taken, and whose queue has two places."""
    pool = pool_on(clock, queue=Queue(limit=2, timeout=10.0), listener=heard)
    pool.put("a", engine, InstanceSpec(max_concurrency=1))
    start(pool)
    return pool


def wait(pool: Pool, priority: int) -> RecordingSink:
    return start(pool, Context("r", priority=priority))


def test_room_that_comes_is_given_to_the_highest_priority(full: Pool, engine: Manual) -> None:
    low, high = wait(full, -1), wait(full, 1)
    engine.last.sink.finish()
    engine.last.sink.finish()
    assert (high.ends, low.ends) == (["finish"], [])


def test_who_loses_its_place_is_told_to_come_back(
    full: Pool, clock: FakeClock, heard: Heard
) -> None:
    first, second = wait(full, 0), wait(full, 0)
    clock.advance(3.0)
    higher = wait(full, 1)
    assert isinstance(second.error, EngineBusy)
    assert (first.ends, higher.ends) == ([], [])
    assert [(each.outcome, each.seconds) for each in heard.of("waited")] == [("displaced", 3.0)]
    assert isinstance(wait(full, 0).error, EngineBusy)


def test_a_low_priority_is_refused_in_its_time_however_many_higher_ones_come(
    full: Pool, clock: FakeClock, engine: Manual
) -> None:
    low = wait(full, -1)
    for _ in range(10):
        assert low.ends == []
        higher = wait(full, 1)
        engine.last.sink.finish()
        assert len(engine.asked) > 1
        assert higher.ends == []
        clock.advance(1.0)
    assert isinstance(low.error, EngineBusy)
