"""Instances that fail are ejected, tried again, readmitted slowly; with none left all are asked."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from actors.engines import EngineBusy, EngineTimeout
from actors.engines.contract import Sink
from actors.engines.pool import InstanceSpec, ModelSpec, PolicyName, Pool
from actors.engines.pool.breaker import FIRST_WHILE, LIMIT
from actors.engines.pool.failures import COOLDOWN, LONGEST_COOLDOWN
from actors.engines.pool.instance import SLOW_START_SECONDS
from actors.engines.pool.request_timer import TRIAL_FIRST_BYTE
from actors.testing import FakeClock
from tests.engines.pool.fakes import (
    Heard,
    Manual,
    Scripted,
    ask,
    chunk,
    failing,
    pool_on,
    refused,
    reset,
    start,
    states,
    status,
    well,
)


@pytest.mark.parametrize(
    ("error", "tolerated"),
    [
        (refused, 1),
        (reset, 2),
        (lambda: EngineTimeout("silent"), 2),
        (status(500), LIMIT),
        (status(503), LIMIT),
    ],
    ids=["refused", "reset", "timeout", "500", "503"],
)
def test_an_instance_is_ejected_after_as_many_failures_as_its_kind_allows(
    pool: Pool, heard: Heard, error: Callable[[], BaseException], tolerated: int
) -> None:
    bad = Scripted(failing(error))
    pool.put("bad", bad)
    pool.put("good", Scripted(well))
    ask(pool, 50)
    assert bad.asked == tolerated
    assert states(pool)["bad"] == "ejected"
    (ejected,) = heard.of("ejected")
    assert (ejected.instance, ejected.model) == ("bad", "m")
    assert 0.8 * FIRST_WHILE <= ejected.seconds <= FIRST_WHILE
    assert pool.view().instances[0].last_error == ejected.kind


def test_only_failures_in_a_row_count(pool: Pool) -> None:
    answers = [well if number % LIMIT == 0 else failing(status(500)) for number in range(100)]
    flaky = Scripted(lambda sink: answers.pop()(sink))
    pool.put("flaky", flaky)
    pool.put("good", Scripted(well))
    ask(pool, 100)
    assert states(pool)["flaky"] != "ejected"


def test_a_clients_mistakes_eject_nobody(pool: Pool) -> None:
    pool.put("a", Scripted(failing(status(400))))
    ask(pool, 50)
    assert states(pool) == {"a": "starting"}


def test_a_failure_after_the_first_byte_counts_too(pool: Pool) -> None:
    def cut(sink: Sink) -> None:
        sink.push(chunk())
        sink.fail(reset())

    pool.put("cuts", Scripted(cut))
    pool.put("good", Scripted(well))
    ask(pool, 10)
    assert states(pool)["cuts"] == "ejected"


def test_a_busy_instance_is_left_alone_for_a_moment_and_not_ejected(
    pool: Pool, clock: FakeClock, heard: Heard
) -> None:
    busy = Scripted(failing(status(429)))
    pool.put("busy", busy)
    pool.put("good", Scripted(well))
    ask(pool, 20)
    assert busy.asked == 1
    assert states(pool)["busy"] == "paused"
    clock.advance(COOLDOWN)
    ask(pool, 20)
    assert busy.asked == 2
    assert heard.of("ejected") == []


@pytest.mark.parametrize(("asked", "seconds"), [(1, COOLDOWN), (7, 7.0), (3_600, LONGEST_COOLDOWN)])
def test_a_busy_instance_is_left_alone_for_as_long_as_it_asked_within_bounds(
    pool: Pool, clock: FakeClock, asked: int, seconds: float
) -> None:
    busy = Scripted(failing(lambda: EngineBusy("busy", retry_after=asked)))
    pool.put("busy", busy)
    pool.put("good", Scripted(well))
    ask(pool, 20)
    clock.advance(seconds - 0.01)
    ask(pool, 20)
    assert busy.asked == 1
    clock.advance(0.01)
    ask(pool, 20)
    assert busy.asked == 2


def test_a_shorter_pause_does_not_cut_a_longer_one_short(pool: Pool, clock: FakeClock) -> None:
    busy = Manual()
    pool.put("busy", busy)
    pool.put("good", Scripted(well))
    ask(pool, 4)
    longer, shorter = busy.asked
    longer.sink.fail(EngineBusy("busy", retry_after=9))
    shorter.sink.fail(EngineBusy("busy"))
    clock.advance(8.9)
    ask(pool, 20)
    assert len(busy.asked) == 2


def test_one_request_is_the_trial_of_an_ejected_instance(pool: Pool, clock: FakeClock) -> None:
    bad, good = Manual(), Scripted(well)
    pool.put("bad", bad)
    pool.put("good", good)
    start(pool)
    bad.last.sink.fail(refused())
    clock.advance(FIRST_WHILE)
    ask(pool, 10)
    assert len(bad.asked) == 2
    assert states(pool)["bad"] == "on_trial"


def test_a_trial_that_goes_well_readmits(pool: Pool, clock: FakeClock, heard: Heard) -> None:
    bad = Manual()
    pool.put("bad", bad)
    pool.put("good", Scripted(well))
    start(pool)
    bad.last.sink.fail(refused())
    clock.advance(FIRST_WHILE)
    trial = start(pool)
    bad.last.sink.push(chunk())
    assert states(pool)["bad"] == "starting"  # at its first token: an answer may take minutes
    assert [each.instance for each in heard.of("readmitted")] == ["bad"]
    bad.last.sink.finish()
    assert trial.ends == ["finish"]


def test_a_trial_that_fails_ejects_for_twice_as_long(
    pool: Pool, clock: FakeClock, heard: Heard
) -> None:
    pool.put("bad", Scripted(failing(refused)))
    pool.put("good", Scripted(well))
    for _ in range(600):
        assert start(pool).ends == ["finish"]
        clock.advance(0.1)
    seconds = [each.seconds for each in heard.of("ejected")]
    assert len(seconds) in (6, 7)
    for number, each in enumerate(seconds):
        whole = min(2.0**number, 30.0)
        assert 0.8 * whole <= each <= whole


def test_a_trial_whose_client_left_is_tried_once_more(pool: Pool, clock: FakeClock) -> None:
    bad = Manual()
    pool.put("bad", bad)
    pool.put("good", Scripted(well))
    start(pool)
    bad.last.sink.fail(refused())
    clock.advance(FIRST_WHILE)
    start(pool)
    bad.last.context.token.cancel()
    start(pool)
    assert len(bad.asked) == 3


def test_a_trial_that_hangs_is_taken_elsewhere(clock: FakeClock) -> None:
    spec = ModelSpec(policy=PolicyName.ROUND_ROBIN)
    pool = pool_on(clock, spec)
    bad = Manual()
    pool.put("bad", bad)
    pool.put("good", Scripted(well))
    start(pool)
    bad.last.sink.fail(refused())
    clock.advance(FIRST_WHILE)
    trial = start(pool)
    assert trial.ends == []
    clock.advance(TRIAL_FIRST_BYTE)
    assert trial.ends == ["finish"]
    assert states(pool)["bad"] == "ejected"


def test_with_every_instance_suspect_all_are_asked(pool: Pool) -> None:
    engines = [Scripted(failing(refused)) for _ in range(2)]
    for number, engine in enumerate(engines):
        pool.put(str(number), engine)
    ask(pool, 4)
    assert set(states(pool).values()) == {"ejected"}
    for engine in engines:
        engine.script = well
    assert start(pool).ends == ["finish"]


def test_health_survives_when_others_come_and_go_and_a_new_announcement(pool: Pool) -> None:
    pool.put("bad", Scripted(failing(refused), "http://bad"))
    pool.put("good", Scripted(well))
    ask(pool, 4)
    pool.put("new", Scripted(well))
    pool.drop("good")
    pool.put("bad", Scripted(well, "http://bad"), InstanceSpec(weight=3.0))
    assert states(pool)["bad"] == "ejected"
    pool.put("bad", Scripted(well, "http://elsewhere"))
    assert states(pool)["bad"] == "starting"


def test_a_fresh_instance_gets_its_share_bit_by_bit(pool: Pool, clock: FakeClock) -> None:
    old, fresh = Scripted(well), Scripted(well)
    pool.put("old", old)
    start(pool)
    clock.advance(2 * SLOW_START_SECONDS)
    start(pool)
    pool.put("fresh", fresh)
    shares: list[float] = []
    for _ in range(4):
        before = fresh.asked
        ask(pool, 100)
        shares.append((fresh.asked - before) / 100)
        clock.advance(SLOW_START_SECONDS / 3)
    assert shares[0] < 0.15
    assert shares == sorted(shares)
    assert abs(shares[-1] - 0.5) < 0.05


def test_who_waits_is_the_trial_when_an_ejected_instances_time_is_over(
    pool: Pool, clock: FakeClock
) -> None:
    busy, bad = Manual(), Scripted(failing(refused))
    pool.put("bad", bad)
    pool.put("busy", busy, InstanceSpec(max_concurrency=1))
    first = start(pool)  # fails at one, and has the other one's only place
    waiting = start(pool)
    assert (first.ends, waiting.ends, len(busy.asked)) == ([], [], 1)
    bad.script = well
    clock.advance(FIRST_WHILE)
    assert waiting.ends == ["finish"]


def test_two_that_came_together_share_evenly_though_one_is_milliseconds_older(
    clock: FakeClock,
) -> None:
    pool = pool_on(clock)
    first, second = Scripted(well), Scripted(well)
    pool.put("first", first)
    clock.advance(0.003)
    pool.put("second", second)
    for _ in range(400):
        clock.advance(SLOW_START_SECONDS / 500)
        start(pool)
    assert 120 < first.asked < 280
