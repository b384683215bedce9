"""However many entries are dead, their probes are a bounded load, and delay nobody who is well."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from actors.engines import EngineUnavailable
from actors.engines.pool import Pool
from actors.engines.pool.health_check import INTERVAL
from actors.engines.pool.probe_queue import (
    BURST,
    MOST,
    PER_SECOND,
    TIMEOUT,
    ProbeQueue,
    ProbeQueues,
)
from actors.testing import FakeClock
from tests.engines.pool.fakes import Probed, pool_on, refused, states

Done = Callable[[BaseException | None], object]


class Asking:
    """Asks for one address, and notes what becomes of it."""

    def __init__(self, clock: FakeClock, verdict: BaseException | str | None = "silence") -> None:
        self._clock = clock
        self.verdict = verdict
        self.wanted = True
        self.begun: list[float] = []
        self.answers: list[BaseException | None] = []
        self.was_dropped = False

    def start(self, done: Done) -> None:
        self.begun.append(self._clock.monotonic())
        if isinstance(self.verdict, EngineUnavailable) and self.verdict.status == 500:
            raise self.verdict
        if not isinstance(self.verdict, str):
            done(self.verdict)

    def told(self, error: BaseException | None) -> None:
        self.answers.append(error)

    def dropped(self) -> None:
        self.was_dropped = True


def crowd(clock: FakeClock, count: int, verdict: BaseException | str | None) -> list[Asking]:
    return [Asking(clock, verdict) for _ in range(count)]


@pytest.mark.parametrize(
    "verdict",
    ["silence", refused(), None, EngineUnavailable("broken", status=500)],
    ids=["silent", "refused", "well", "raises"],
)
def test_no_more_than_so_many_probes_are_under_way_or_begin_in_a_second(
    clock: FakeClock, verdict: BaseException | str | None
) -> None:
    queue, askers = ProbeQueue(clock), crowd(clock, 500, verdict)
    for number, each in enumerate(askers):
        queue.ask(f"http://h{number}", each)
    for _ in range(1200):
        assert queue.under_way <= MOST
        clock.advance(0.05)
    assert all(len(each.answers) == 1 for each in askers)
    begun = sorted(time for each in askers for time in each.begun)
    for first, last in zip(begun, begun[int(PER_SECOND) + BURST :], strict=False):
        assert last - first >= 0.99
    assert len(queue) == queue.under_way == clock.pending == 0


def test_who_asks_for_one_address_shares_one_probe(clock: FakeClock) -> None:
    queue, askers = ProbeQueue(clock), crowd(clock, 10_000, "silence")
    for each in askers:
        queue.ask("http://same", each)
    clock.advance(TIMEOUT)
    assert sum(len(each.begun) for each in askers) == 1
    assert all(len(each.answers) == 1 for each in askers)


def test_one_that_is_not_wanted_any_more_costs_no_probe(clock: FakeClock) -> None:
    queue, askers = ProbeQueue(clock), crowd(clock, 3 * MOST, "silence")
    for number, each in enumerate(askers):
        queue.ask(str(number), each)
    for each in askers:
        each.wanted = bool(each.begun)
    clock.advance(60.0)
    assert [each.was_dropped for each in askers] == [not each.begun for each in askers]
    assert len(queue) == queue.under_way == 0


def test_a_probe_that_answers_late_or_twice_is_told_once(clock: FakeClock) -> None:
    kept: list[Done] = []
    asker = Asking(clock)
    asker.start = kept.append  # type: ignore[method-assign, assignment]  # the test answers itself
    queue = ProbeQueue(clock)
    queue.ask("a", asker)
    clock.advance(TIMEOUT)
    kept[0](None)
    kept[0](None)
    assert [type(each).__name__ for each in asker.answers] == ["EngineTimeout"]
    assert queue.under_way == 0


def pools_on(clock: FakeClock, probes: ProbeQueues, engines: list[Probed]) -> list[Pool]:
    """A pool of its own for each engine, as for as many models."""
    pools: list[Pool] = []
    for engine in engines:
        pool = pool_on(clock, probes=probes)
        pool.put("w", engine)
        pools.append(pool)
    return pools


@pytest.mark.parametrize("verdict", ["silence", refused()], ids=["silent", "refused"])
def test_a_thousand_dead_entries_delay_no_probe_of_one_that_was_well(
    clock: FakeClock, verdict: BaseException | str
) -> None:
    probes = ProbeQueues(clock)
    dead = [Probed(verdict, f"http://dead{number}") for number in range(1000)]
    innocent = Probed(None, "http://innocent")
    (pool,) = pools_on(clock, probes, [innocent])
    clock.advance(INTERVAL)
    pools_on(clock, probes, dead)
    before = sum(each.probes for each in dead), innocent.probes
    seconds = 120
    for _ in range(seconds * 2):
        clock.advance(0.5)
        assert probes.doubtful.under_way <= MOST
    assert sum(each.probes for each in dead) - before[0] <= PER_SECOND * seconds + BURST
    assert innocent.probes - before[1] >= seconds / INTERVAL
    innocent.verdict = refused()
    clock.advance(INTERVAL + 1)
    assert states(pool)["w"] in {"ejected", "on_trial"}
    innocent.verdict = None
    clock.advance(5.0)
    assert states(pool)["w"] in {"starting", "serving"}, (
        "it is readmitted as if nobody else were there"
    )


def test_each_dead_entry_is_asked_less_and_less_often(clock: FakeClock) -> None:
    engine = Probed(refused(), "http://dead")
    pools_on(clock, ProbeQueues(clock), [engine])
    counts: list[int] = []
    for _ in range(4):
        before = engine.probes
        clock.advance(60.0)
        counts.append(engine.probes - before)
    assert counts[0] > counts[-1]
    assert 2 <= counts[-1] <= 3


def test_ten_thousand_entries_of_one_address_are_probed_as_one(clock: FakeClock) -> None:
    engines = [Probed("silence", "http://same") for _ in range(1000)]
    pools_on(clock, ProbeQueues(clock), engines)
    clock.advance(INTERVAL)
    clock.advance(TIMEOUT)
    assert sum(each.probes for each in engines) < 10
