"""Idle and ejected instances are asked how they are, so that no request has to find out."""

from __future__ import annotations

from collections.abc import Callable

from actors.engines import EngineUnavailable
from actors.engines.contract import Kind, Sink
from actors.engines.pool import DEFAULT_MODEL_SPEC, Pool, SupportsProbe
from actors.engines.pool.breaker import FIRST_WHILE, LIMIT
from actors.engines.pool.health_check import INTERVAL, TIMEOUT
from actors.registry import PoolFactory
from actors.testing import FakeClock
from tests.engines.pool.fakes import (
    Heard,
    Scripted,
    ask,
    failing,
    pool_on,
    refused,
    start,
    states,
    status,
    well,
)


class Probeable(Scripted):
    """An engine that can be probed; the test answers."""

    def __init__(self, script: Callable[[Sink], object] = well, url: str = "") -> None:
        super().__init__(script, url)
        self.probes: list[Callable[[BaseException | None], object]] = []
        self.verdict: BaseException | str | None = None

    def probe(self, done: Callable[[BaseException | None], object]) -> None:
        self.probes.append(done)
        if not isinstance(self.verdict, str):
            done(self.verdict)


def test_an_engine_with_a_probe_is_recognised() -> None:
    assert isinstance(Probeable(), SupportsProbe)
    assert not isinstance(Scripted(well), SupportsProbe)


def test_an_idle_instance_is_probed_at_intervals_that_differ(clock: FakeClock) -> None:
    pool = pool_on(clock)
    engines = [Probeable() for _ in range(20)]
    for number, engine in enumerate(engines):
        pool.put(str(number), engine)
    clock.advance(INTERVAL * 0.9)
    early = sum(len(engine.probes) for engine in engines)
    assert 0 < early < 20
    clock.advance(INTERVAL * 10)
    assert all(10 <= len(engine.probes) <= 14 for engine in engines)


def test_an_instance_is_not_probed_once_its_model_is_removed(clock: FakeClock) -> None:
    pool, engine = pool_on(clock), Probeable()
    pool.opened()
    pool.put("a", engine)
    clock.advance(INTERVAL * 2)
    seen = len(engine.probes)
    pool.closed()
    clock.advance(INTERVAL * 5)
    assert seen
    assert len(engine.probes) == seen
    assert start(pool).ends == ["finish"]  # who found it before it was removed is answered


def test_nobody_is_probed_once_the_service_has_ended(clock: FakeClock) -> None:
    factory, engine = PoolFactory(clock=clock), Probeable()
    pool = factory.make("m", Kind.CHAT, DEFAULT_MODEL_SPEC)
    pool.put("a", engine)
    clock.advance(INTERVAL * 2)
    seen = len(engine.probes)
    factory.close()
    clock.advance(INTERVAL * 5)
    assert seen
    assert len(engine.probes) == seen


def test_a_dead_idle_instance_is_found_by_a_probe_before_a_request(
    pool: Pool, clock: FakeClock
) -> None:
    dead = Probeable()
    dead.verdict = refused()
    pool.put("dead", dead)
    pool.put("good", Scripted(well))
    clock.advance(INTERVAL)
    ask(pool, 10)
    assert dead.asked == 0


def test_two_probes_without_an_answer_eject(pool: Pool, clock: FakeClock, heard: Heard) -> None:
    silent = Probeable()
    silent.verdict = "silence"
    pool.put("silent", silent)
    clock.advance(INTERVAL + TIMEOUT)
    assert heard.of("ejected") == []
    clock.advance(INTERVAL + TIMEOUT)
    assert [each.kind for each in heard.of("ejected")] == ["timeout"]


def test_a_probe_is_the_trial_where_there_is_one(
    pool: Pool, clock: FakeClock, heard: Heard
) -> None:
    engine = Probeable(failing(refused))
    engine.verdict = refused()
    pool.put("bad", engine)
    pool.put("good", Scripted(well))
    ask(pool, 2)
    assert engine.asked == 1
    clock.advance(60.0)
    ask(pool, 20)
    assert engine.asked == 1
    assert 4 <= len(engine.probes) <= 9
    engine.verdict, engine.script = None, well
    clock.advance(60.0)
    assert [each.instance for each in heard.of("readmitted")] == ["bad"]
    ask(pool, 40)
    assert engine.asked > 1


def test_one_that_answers_probes_but_no_requests_goes_out_again_for_longer(
    pool: Pool, clock: FakeClock, heard: Heard
) -> None:
    two_faced = Probeable(failing(status(500)))
    pool.put("bad", two_faced)
    pool.put("good", Scripted(well))
    for _ in range(1000):
        assert start(pool).ends == ["finish"]
        clock.advance(0.1)
    seconds = [each.seconds for each in heard.of("ejected")]
    assert all(each >= 0.8 * min(2.0**number, 30.0) for number, each in enumerate(seconds))
    assert two_faced.asked <= LIMIT + len(seconds)


def test_a_busy_instance_is_not_probed(pool: Pool, clock: FakeClock) -> None:
    engine = Probeable()
    pool.put("a", engine)
    for _ in range(100):
        start(pool)
        clock.advance(1.0)
    assert engine.probes == []


def test_an_ejected_one_is_probed_as_soon_as_its_time_out_is_over(
    pool: Pool, clock: FakeClock, heard: Heard
) -> None:
    engine = Probeable(failing(refused))
    pool.put("bad", engine)
    pool.put("good", Scripted(well))
    ask(pool, 2)
    assert heard.of("ejected")
    clock.advance(FIRST_WHILE)
    assert len(engine.probes) == 1
    assert [each.instance for each in heard.of("readmitted")] == ["bad"]
    clock.advance(INTERVAL)
    assert len(engine.probes) == 2


def test_one_that_is_given_requests_but_ends_none_is_probed_and_ejected(
    pool: Pool, clock: FakeClock, heard: Heard
) -> None:
    frozen = Probeable(lambda _sink: None)
    frozen.verdict = "silence"
    pool.put("frozen", frozen)
    pool.put("good", Scripted(well))
    for _ in range(30):
        ask(pool, 2)
        clock.advance(1.0)
    assert {each.instance for each in heard.of("ejected")} == {"frozen"}


def test_an_instance_that_is_gone_is_not_probed(pool: Pool, clock: FakeClock) -> None:
    engine = Probeable()
    pool.put("a", engine)
    pool.drop("a")
    clock.advance(5 * INTERVAL)
    assert engine.probes == []
    assert clock.pending == 0


def test_a_probe_that_raises_is_a_failure_and_the_next_one_comes(
    pool: Pool, clock: FakeClock
) -> None:
    class Broken(Scripted):
        def __init__(self) -> None:
            super().__init__(well)
            self.probed = 0

        def probe(self, done: Callable[[BaseException | None], object]) -> None:
            del done
            self.probed += 1
            raise EngineUnavailable("broken")

    engine = Broken()
    pool.put("a", engine)
    clock.advance(3 * INTERVAL)
    assert engine.probed >= 3
    assert states(pool)["a"] == "ejected"
