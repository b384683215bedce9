"""Requests that wait at an instance that probes find dead are answered elsewhere, at once."""

from __future__ import annotations

import pytest

from actors.engines import Context, EngineTimeout, EngineUnavailable
from actors.engines.pool import InstanceSpec, ModelSpec, PolicyName, Pool, Timeouts
from actors.engines.pool.health_check import INTERVAL, TIMEOUT
from actors.engines.pool.retry_budget import BURST, FLOOR
from actors.supervision.cancellation import CancellationToken
from actors.testing import FakeClock
from tests.engines.pool.fakes import (
    BY_TURNS,
    Heard,
    Manual,
    Probed,
    Scripted,
    chunk,
    failing,
    inflight,
    pool_on,
    refused,
    start,
    states,
    status,
    well,
)

EJECTED = 2 * (INTERVAL + TIMEOUT)
"""Seconds in which two probes in a row have failed."""


def test_a_request_that_waits_at_an_instance_that_is_ejected_is_answered_elsewhere(
    pool: Pool, clock: FakeClock, heard: Heard
) -> None:
    good = Manual()
    pool.put("good", good)
    hung = Probed("silence")
    pool.put("hung", hung)
    sinks = [start(pool), start(pool)]
    assert (len(hung.asked), len(good.asked)) == (1, 1)
    clock.advance(EJECTED)
    assert [each.instance for each in heard.of("ejected")] == ["hung"]
    assert hung.last.context.token.cancelled
    assert inflight(pool) == {"good": 2, "hung": 0}
    for asked in good.asked:
        asked.sink.push(chunk())
        asked.sink.finish()
    assert [sink.ends for sink in sinks] == [["finish"], ["finish"]]
    assert [sink.late for sink in sinks] == [[], []]
    assert inflight(pool) == {"good": 0, "hung": 0}
    assert [(each.instance, each.kind, each.allowed) for each in heard.of("retried")] == [
        ("hung", "timeout", True)
    ]


def test_nothing_that_the_hung_instance_says_later_reaches_the_client(clock: FakeClock) -> None:
    pool = pool_on(clock, BY_TURNS)
    good = Manual()
    pool.put("good", good)
    hung = Probed("silence")
    pool.put("hung", hung)
    start(pool)
    sink = start(pool)
    clock.advance(EJECTED)
    hung.last.sink.push(chunk("late"))
    hung.last.sink.finish()
    hung.last.sink.fail(EngineUnavailable("late"))
    good.last.sink.push(chunk("in time"))
    good.last.sink.finish()
    assert (sink.chunks, sink.ends) == ([chunk("in time")], ["finish"])
    assert inflight(pool) == {"good": 1, "hung": 0}


def pair(clock: FakeClock, hung: Probed, other: Manual | Scripted, **spec: object) -> Pool:
    """A pool of ``hung``, which is asked first, and ``other``."""
    pool = pool_on(clock, ModelSpec(policy=PolicyName.ROUND_ROBIN, **spec))  # type: ignore[arg-type]  # fields by name
    pool.put("hung", hung)
    pool.put("other", other)
    return pool


def test_one_that_has_begun_to_answer_is_left_alone(clock: FakeClock) -> None:
    hung = Probed("silence")
    pool = pair(clock, hung, Manual())
    sink = start(pool)
    hung.last.sink.push(chunk())
    clock.advance(EJECTED)
    assert not hung.last.context.token.cancelled
    assert inflight(pool) == {"hung": 1, "other": 0}
    hung.last.sink.finish()
    assert sink.ends == ["finish"]


def test_one_whose_probes_are_answered_with_an_error_is_alive_and_keeps_its_requests(
    clock: FakeClock,
) -> None:
    ill = Probed(status(500)())
    pool = pair(clock, ill, Manual())
    start(pool)
    clock.advance(EJECTED)
    assert states(pool)["hung"] in ("ejected", "on_trial")
    assert not ill.last.context.token.cancelled
    assert inflight(pool) == {"hung": 1, "other": 0}


def test_one_slow_probe_moves_nobody(clock: FakeClock) -> None:
    slow = Probed("silence")
    pool = pair(clock, slow, Manual())
    start(pool)
    clock.advance(INTERVAL + TIMEOUT)
    slow.verdict = None
    clock.advance(10 * EJECTED)
    assert inflight(pool) == {"hung": 1, "other": 0}
    assert not slow.last.context.token.cancelled


@pytest.mark.parametrize("why", ["alone", "draining", "full", "ejected"])
def test_without_a_healthy_instance_that_has_room_a_request_keeps_waiting(
    clock: FakeClock, why: str
) -> None:
    hung, other = Probed("silence"), Probed("silence")
    pool = pair(clock, hung, other)
    sink = start(pool)
    if why == "alone":
        pool.drop("other")
    elif why == "draining":
        pool.put("other", other, InstanceSpec(draining=True))
    elif why == "full":
        pool.put("other", other, InstanceSpec(max_concurrency=1))
        start(pool)
        other.verdict = None
    clock.advance(EJECTED)
    assert sink.ends == []
    assert not hung.last.context.token.cancelled
    hung.last.sink.push(chunk())
    hung.last.sink.finish()
    assert sink.ends == ["finish"]


def test_a_client_that_leaves_after_the_move_cancels_the_new_attempt(clock: FakeClock) -> None:
    hung, other = Probed("silence"), Manual()
    pool = pair(clock, hung, other)
    token = CancellationToken()
    sink = start(pool, Context("r", token))
    clock.advance(EJECTED)
    assert not token.cancelled
    token.cancel()
    assert other.last.context.token.cancelled
    assert sink.ends == ["fail"]
    assert inflight(pool) == {"hung": 0, "other": 0}


def test_a_client_that_left_before_is_not_moved(clock: FakeClock) -> None:
    hung, other = Probed("silence"), Manual()
    pool = pair(clock, hung, other)
    token = CancellationToken()
    start(pool, Context("r", token))
    token.cancel()
    clock.advance(EJECTED)
    assert other.asked == []
    assert inflight(pool) == {"hung": 0, "other": 0}


def test_where_the_other_instance_fails_too_the_client_learns_of_it_once(clock: FakeClock) -> None:
    hung = Probed("silence")
    pool = pair(clock, hung, Scripted(failing(refused)))
    sink = start(pool)
    clock.advance(EJECTED)
    assert sink.ends == ["fail"]
    assert isinstance(sink.error, EngineUnavailable)
    assert inflight(pool) == {"hung": 0, "other": 0}


def test_moves_are_paid_from_the_retry_budget(clock: FakeClock, heard: Heard) -> None:
    hung, other = Probed("silence"), Manual()
    pool = pool_on(clock, ModelSpec(policy=PolicyName.ROUND_ROBIN), listener=heard)
    pool.put("hung", hung)
    pool.put("other", other)
    for _ in range(2 * (int(BURST) + 50)):
        start(pool)
    asked = len(other.asked)
    clock.advance(INTERVAL + TIMEOUT)
    clock.advance(INTERVAL - 1e-3)
    clock.advance(TIMEOUT)
    moved = [each for each in heard.of("retried") if each.allowed]
    assert BURST <= len(moved) <= BURST + FLOOR * TIMEOUT
    assert len(other.asked) == asked + len(moved)
    assert inflight(pool)["hung"] == len(hung.asked) - len(moved)


def test_one_that_was_withdrawn_while_it_hangs_gives_its_requests_back_too(
    clock: FakeClock,
) -> None:
    """A frozen worker loses its lease before two probes have failed."""
    hung = Probed("silence")
    pool = pair(clock, hung, Scripted(well))
    sink = start(pool)
    pool.drop("hung")
    clock.advance(EJECTED)
    assert sink.ends == ["finish"]
    assert hung.last.context.token.cancelled
    probes = hung.probes
    clock.advance(10 * INTERVAL)
    assert hung.probes <= probes + 1
    assert clock.pending == 0


def test_a_request_with_deadlines_is_moved_and_keeps_them(clock: FakeClock) -> None:
    hung, other = Probed("silence"), Manual()
    pool = pair(clock, hung, other, timeouts=Timeouts(first_byte=60.0))
    sink = start(pool)
    clock.advance(EJECTED)
    assert len(other.asked) == 1
    clock.advance(50.0)
    assert sink.ends == []
    clock.advance(EJECTED)
    assert isinstance(sink.error, EngineTimeout)
    assert inflight(pool) == {"hung": 0, "other": 0}
