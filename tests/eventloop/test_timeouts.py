"""Timeouts: never early, late by a sweep at most, each told once, whatever the others do."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.eventloop import EventLoop, Timed
from actors.eventloop.loop import SWEEP, TimeoutQueue
from actors.testing import FakeClock
from tests.engines.recording import DEADLINE
from tests.eventloop.conftest import MakePoller
from tests.eventloop.handlers import fail, reached, running


class Request:
    """Something timed that notes when it was told, and does what it is told then."""

    def __init__(
        self, clock: Callable[[], float], due: float, then: Callable[[], object] = lambda: None
    ) -> None:
        self.due = due
        self.then = then
        self.told: list[float] = []
        self._clock = clock

    def timed_out(self) -> None:
        self.told.append(self._clock())
        self.then()


class Stepped:
    """A loop whose time only the test moves on."""

    def __init__(self, make_poller: MakePoller) -> None:
        self.clock = FakeClock()
        self.now = self.clock.monotonic
        self.loop = EventLoop(self.now, make_poller, autostart=False)
        self.begin = self.now()

    def start(self, seconds: float, then: Callable[[], object] = lambda: None) -> Request:
        """A request that is late in ``seconds``."""
        made = Request(self.now, self.now() + seconds, then)
        self.loop.start_timeout(made)
        return made

    def advance(self, seconds: float) -> None:
        """Time passes, and the loop wakes."""
        self.clock.advance(seconds)
        self.loop.step(0)

    def told(self, request: Request) -> list[float]:
        """When, in seconds since the begin."""
        return [round(each - self.begin, 6) for each in request.told]


@pytest.fixture
def stepped(make_poller: MakePoller) -> Iterator[Stepped]:
    made = Stepped(make_poller)
    yield made
    made.loop.close()


def test_a_timeout_is_told_once_and_not_timed_any_more(stepped: Stepped) -> None:
    request = stepped.start(1.0)
    stepped.advance(1.0)
    assert stepped.told(request) == [1.0]
    assert not stepped.loop.timeouts
    stepped.advance(1.0)
    assert stepped.told(request) == [1.0]


def test_a_timeout_is_never_early(stepped: Stepped) -> None:
    first, second = stepped.start(1.0), stepped.start(1.0 + 1e-6)
    stepped.advance(0.999)
    assert not first.told
    stepped.advance(0.001)
    assert first.told
    assert not second.told


@given(
    dues=st.lists(st.integers(0, 400), max_size=30),
    steps=st.lists(st.integers(1, 60), min_size=1, max_size=40),
)
def test_a_timeout_is_late_by_one_sweep_at_most(dues: list[int], steps: list[int]) -> None:
    """However they lie: whoever wakes when ``sweep_at`` says is never later than promised."""
    now, timeouts = 0.0, TimeoutQueue()
    told: dict[Timed, float] = {}
    requests = [Request(lambda: now, due / 100) for due in dues]
    waiting = [*requests]
    for step in steps:  # requests come over time; the loop wakes in between as it must
        if waiting:
            request = waiting.pop()
            request.due += now
            timeouts.start(request)
        end = now + step / 100
        while (now := min(end, max(now, timeouts.sweep_at))) < end:
            for late in timeouts.sweep(now):
                timeouts.timed.discard(late)
                told[late] = now
    for late in requests:
        if late in told:
            assert late.due <= told[late] <= late.due + SWEEP + 1e-9
        else:
            assert late in waiting or late.due + SWEEP >= now


def test_a_loop_that_sleeps_wakes_for_a_timeout(make_poller: MakePoller) -> None:
    loop = EventLoop(poller=make_poller)
    done = threading.Event()

    def begin() -> None:
        loop.start_timeout(Request(loop.clock, loop.now + 0.02, done.set))

    loop.call(begin)
    assert done.wait(DEADLINE)
    loop.stop()


def test_one_store_puts_a_timeout_off(stepped: Stepped) -> None:
    request = stepped.start(1.0)
    request.due += 1.0
    stepped.advance(1.0)
    stepped.advance(0.9)
    assert not request.told
    stepped.advance(0.1)
    assert stepped.told(request) == [2.0]


def test_a_timeout_that_is_put_off_for_ever_wakes_nobody(stepped: Stepped) -> None:
    request = stepped.start(1.0)
    request.due = math.inf
    stepped.advance(1.0)
    assert stepped.loop._timeouts.sweep_at == math.inf  # pyright: ignore[reportPrivateUsage]  # sleep shows nowhere else
    assert request in stepped.loop.timeouts


def test_a_timeout_that_was_discarded_is_not_told(stepped: Stepped) -> None:
    request = stepped.start(1.0)
    stepped.loop.timeouts.discard(request)
    stepped.advance(2.0)
    assert not request.told


def test_a_timeout_is_brought_forward_by_starting_it_again(stepped: Stepped) -> None:
    request = stepped.start(10.0)
    request.due = stepped.now() + 1.0
    stepped.loop.start_timeout(request)
    stepped.advance(1.0)
    assert stepped.told(request) == [1.0]


def test_who_times_out_may_start_anew(stepped: Stepped) -> None:
    def again() -> None:
        request.due = stepped.now() + 1.0
        stepped.loop.start_timeout(request)

    request = stepped.start(1.0, again)
    for _ in range(3):
        stepped.advance(1.0)
    assert stepped.told(request) == [1.0, 2.0, 3.0]


def test_who_starts_anew_at_once_is_told_in_the_next_sweep_and_not_in_this_one(
    stepped: Stepped,
) -> None:
    request = stepped.start(0.0, lambda: stepped.loop.start_timeout(request))
    stepped.advance(0.0)
    stepped.advance(0.0)
    assert stepped.told(request) == [0.0]
    stepped.advance(SWEEP)
    assert stepped.told(request) == [0.0, SWEEP]


@pytest.mark.parametrize("ends", [True, False], ids=["ended", "put off"])
def test_a_timeout_that_another_one_ends_or_puts_off_is_not_told(
    stepped: Stepped, *, ends: bool
) -> None:
    pair: list[Request] = []

    def see_to(other: int) -> None:
        if ends:
            stepped.loop.timeouts.discard(pair[other])
        else:
            pair[other].due += 5.0

    pair += [stepped.start(1.0, lambda: see_to(1)), stepped.start(1.0, lambda: see_to(0))]
    stepped.advance(1.0)
    assert sorted(len(each.told) for each in pair) == [0, 1]
    stepped.advance(5.0)
    stepped.advance(SWEEP)
    assert sorted(len(each.told) for each in pair) == [0 if ends else 1, 1]


def test_a_timeout_that_another_one_starts_is_timed(stepped: Stepped) -> None:
    started: list[Request] = []
    stepped.start(1.0, lambda: started.append(stepped.start(0.3)))
    stepped.advance(1.0)
    for _ in range(3):
        stepped.advance(0.1)
    assert stepped.told(started[0]) == [1.3]


def test_rule_2_an_error_in_a_timeout_is_logged_and_harms_no_other(
    stepped: Stepped, caplog: pytest.LogCaptureFixture
) -> None:
    requests = [stepped.start(1.0, fail) for _ in range(3)]
    later = stepped.start(2.0)
    with caplog.at_level(logging.ERROR, "actors.eventloop"):
        stepped.advance(1.0)
    assert [stepped.told(each) for each in requests] == [[1.0]] * 3
    assert len(caplog.records) == 3
    stepped.advance(1.0)
    assert stepped.told(later) == [2.0]


def test_rule_3_what_breaks_the_loop_in_a_timeout_leaves_the_others_to_the_next_run(
    stepped: Stepped,
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    requests = [stepped.start(1.0, interrupt), stepped.start(1.0, interrupt)]
    later = stepped.start(2.0)
    stepped.clock.advance(1.0)
    for _ in requests:
        with pytest.raises(KeyboardInterrupt):
            stepped.loop.step(0)
        stepped.clock.advance(SWEEP)
    assert [len(each.told) for each in requests] == [1, 1]
    stepped.advance(1.0)
    assert later.told


def test_rule_3_a_timeout_that_hangs_leaves_the_others_to_who_takes_over(
    make_poller: MakePoller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.eventloop.loop.TAKE_OVER", 0.05)
    loop = EventLoop(poller=make_poller, autostart=False)
    hangs, go_on, told = threading.Event(), threading.Event(), threading.Event()
    threads: list[int] = []

    def hang_or_tell() -> None:
        threads.append(threading.get_ident())
        if not hangs.is_set():
            hangs.set()
            go_on.wait(DEADLINE)
        else:
            told.set()

    def begin() -> None:
        for _ in range(2):
            loop.start_timeout(Request(loop.clock, loop.now, hang_or_tell))

    loop.call(begin)
    first = running(loop)
    assert hangs.wait(DEADLINE)
    second = running(loop)
    assert told.wait(DEADLINE)
    assert threads == [first.ident, second.ident]
    go_on.set()
    first.join(DEADLINE)
    assert reached(loop).wait(DEADLINE)
    loop.stop()
    second.join(DEADLINE)
    assert len(threads) == 2
    loop.close()


def test_rule_3_timeouts_wait_for_the_next_run(make_poller: MakePoller) -> None:
    loop = EventLoop(poller=make_poller, autostart=False)
    thread, done = running(loop), threading.Event()
    request = Request(loop.clock, math.inf, done.set)

    def begin() -> None:
        request.due = loop.now + 0.02
        loop.start_timeout(request)
        loop.stop()

    loop.call(begin)
    thread.join(DEADLINE)
    assert not request.told
    thread = running(loop)
    assert done.wait(DEADLINE)
    loop.stop()
    thread.join(DEADLINE)
    loop.close()


def test_a_thousand_timeouts_are_looked_through_once_a_sweep(stepped: Stepped) -> None:
    """One is due in each millisecond; a look at all of them each time would be quadratic."""
    requests = [stepped.start(number / 1000) for number in range(1000)]
    sweeps = 0
    for _ in range(1100):
        before = stepped.loop._timeouts.sweep_at  # pyright: ignore[reportPrivateUsage]  # work shows nowhere else
        stepped.advance(0.001)
        sweeps += stepped.loop._timeouts.sweep_at != before  # pyright: ignore[reportPrivateUsage]  # likewise
    assert [len(each.told) for each in requests] == [1] * 1000
    assert all(0 <= each.told[0] - each.due <= SWEEP + 0.0011 for each in requests)
    assert sweeps <= 1.1 / SWEEP + 2


def test_requests_that_come_and_go_leave_nothing_behind(stepped: Stepped) -> None:
    for _ in range(1000):
        stepped.loop.timeouts.discard(stepped.start(60.0))
    stepped.advance(60.0)
    assert not stepped.loop.timeouts
    assert stepped.loop._timeouts.sweep_at == math.inf  # pyright: ignore[reportPrivateUsage]  # sleep shows nowhere else
