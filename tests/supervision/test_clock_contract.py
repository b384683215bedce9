"""What a tree may rely on of any clock: the real one and the fake one keep the same promises."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import pytest

from actors import Clock, TimerThread
from actors.supervision.lifecycle import Latch
from actors.testing import FakeClock
from tests.supervision.subjects import WAIT, Boom, Journal

SOON = 0.01  # seconds, real or not
NEVER = 3600.0


@dataclass(frozen=True)
class Ticking:
    """A clock, and how to let its time pass."""

    clock: Clock
    let_pass: Callable[[float], None]


@pytest.fixture(params=["real", "fake"])
def ticking(request: pytest.FixtureRequest) -> Iterator[Ticking]:
    """The clock under test."""
    if request.param == "real":
        clock = TimerThread("a-clock")
        yield Ticking(clock, lambda _seconds: None)  # it passes by itself
        clock.close()
    else:
        fake = FakeClock()
        yield Ticking(fake, fake.advance)


def test_time_never_goes_back(ticking: Ticking) -> None:
    before = ticking.clock.monotonic()
    ticking.let_pass(SOON)
    assert ticking.clock.monotonic() >= before


def test_a_timer_runs_once_its_time_has_come_and_only_once(ticking: Ticking) -> None:
    ran, clock = Journal(), ticking.clock
    begin = clock.monotonic()
    clock.call_later(SOON, lambda: ran.add(clock.monotonic() - begin))
    ticking.let_pass(SOON)
    (after,) = ran.wait_for(1)
    assert after >= SOON * 0.999
    clock.call_later(0.0, partial(ran.add, "second"))
    ticking.let_pass(SOON)
    assert ran.wait_for(2)[1:] == ["second"]


def test_timers_run_in_the_order_in_which_they_are_due(ticking: Ticking) -> None:
    ran = Journal()
    for name, delay in (("third", 3 * SOON), ("first", SOON), ("second", SOON), ("zeroth", 0.0)):
        ticking.clock.call_later(delay, partial(ran.add, name))
    ticking.let_pass(3 * SOON)
    assert ran.wait_for(4) == ["zeroth", "first", "second", "third"]


def test_a_later_timer_does_not_keep_an_earlier_one_waiting(ticking: Ticking) -> None:
    ran = Journal()
    ticking.clock.call_later(NEVER, partial(ran.add, "late"))
    ticking.clock.call_later(SOON, partial(ran.add, "soon"))
    ticking.let_pass(SOON)
    assert ran.wait_for(1) == ["soon"]


def test_a_timer_that_was_taken_back_never_runs(ticking: Ticking) -> None:
    ran = Journal()
    timer = ticking.clock.call_later(SOON, partial(ran.add, "cancelled"))
    ticking.clock.call_later(2 * SOON, partial(ran.add, "kept"))
    timer.cancel()
    timer.cancel()
    ticking.let_pass(2 * SOON)
    assert ran.wait_for(1) == ["kept"]


def test_a_timer_that_is_taken_back_after_it_ran_changes_nothing(ticking: Ticking) -> None:
    ran = Journal()
    timer = ticking.clock.call_later(0.0, partial(ran.add, "ran"))
    ticking.let_pass(SOON)
    ran.wait_for(1)
    timer.cancel()
    assert ran.entries == ["ran"]


def test_a_timer_may_set_the_next_one(ticking: Ticking) -> None:
    ran = Journal()

    def first() -> None:
        ran.add("first")
        ticking.clock.call_later(SOON, partial(ran.add, "second"))

    ticking.clock.call_later(SOON, first)
    ticking.let_pass(2 * SOON)
    assert ran.wait_for(2) == ["first", "second"]


def test_a_closed_clock_runs_nothing_more_and_can_be_closed_again(ticking: Ticking) -> None:
    ran = Journal()
    ticking.clock.call_later(NEVER, partial(ran.add, "before"))
    ticking.clock.close()
    ticking.clock.close()
    timer = ticking.clock.call_later(0.0, partial(ran.add, "after"))
    timer.cancel()
    ticking.let_pass(2 * NEVER)
    assert ran.entries == []


def test_what_has_come_is_not_waited_for(ticking: Ticking) -> None:
    event = threading.Event()
    event.set()
    assert ticking.clock.wait(event.wait, NEVER)
    assert ticking.clock.wait(event.wait, None)
    assert ticking.clock.wait(event.wait, 0.0)


def test_what_does_not_come_is_waited_for_until_the_timeout(ticking: Ticking) -> None:
    outcome = Journal()
    thread = threading.Thread(
        target=lambda: outcome.add(ticking.clock.wait(threading.Event().wait, SOON))
    )
    thread.start()
    if isinstance(ticking.clock, FakeClock):
        ticking.clock.wait_for_waiting(1)
    ticking.let_pass(SOON)
    assert outcome.wait_for(1) == [False]
    thread.join(WAIT)


@pytest.mark.parametrize("timeout", [NEVER, None])
def test_what_comes_meanwhile_ends_the_wait(ticking: Ticking, timeout: float | None) -> None:
    outcome, event = Journal(), threading.Event()
    thread = threading.Thread(target=lambda: outcome.add(ticking.clock.wait(event.wait, timeout)))
    thread.start()
    event.set()
    assert outcome.wait_for(1) == [True]
    thread.join(WAIT)


@pytest.mark.parametrize("timeout", [0.0, -1.0])
def test_without_patience_nobody_waits(ticking: Ticking, timeout: float) -> None:
    assert not ticking.clock.wait(Latch().wait, timeout)


# The real one alone


def test_a_clock_without_timers_has_no_thread_and_a_closed_one_has_none_left() -> None:
    def threads() -> list[threading.Thread]:
        return [each for each in threading.enumerate() if each.name == "lazy"]

    clock, ran = TimerThread("lazy"), Journal()
    assert threads() == []
    for number in range(3):
        clock.call_later(0.0, partial(ran.add, number))
    ran.wait_for(3)
    (thread,) = threads()
    assert thread.daemon
    clock.close()
    thread.join(WAIT)
    assert threads() == []


def test_a_callback_that_raises_is_logged_and_the_next_one_runs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, ran = TimerThread(), Journal()

    def fail() -> None:
        raise Boom("in a timer")

    clock.call_later(0.0, fail)
    clock.call_later(0.0, partial(ran.add, "next"))
    ran.wait_for(1)
    clock.close()
    (record,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert record.getMessage() == "a timer's callback failed"
    assert record.exc_info is not None


def test_the_real_clock_is_the_monotonic_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 0.0)
    before = time.monotonic()
    assert before <= TimerThread().monotonic() <= time.monotonic()


# The latch that a start waits on


def test_a_latch_opens_once_for_everybody_and_stays_open() -> None:
    latch, passed = Latch(), Journal()
    assert not latch.wait(0.0)
    threads = [threading.Thread(target=lambda: passed.add(latch.wait(WAIT))) for _ in range(3)]
    for thread in threads:
        thread.start()
    latch.set()
    latch.set()
    assert passed.wait_for(3) == [True] * 3
    for thread in threads:
        thread.join(WAIT)
    assert latch.wait(0.0)
    assert latch.wait()


def test_a_latch_that_many_open_at_once_holds_nobody_back() -> None:
    for _ in range(50):
        latch, passed, begin = Latch(), Journal(), threading.Barrier(4)

        def open_and_pass(
            latch: Latch = latch, passed: Journal = passed, begin: threading.Barrier = begin
        ) -> None:
            begin.wait(WAIT)
            latch.set()
            passed.add(latch.wait(WAIT))

        threads = [threading.Thread(target=open_and_pass) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT)
        assert passed.entries == [True] * 4


def test_a_wait_longer_than_a_lock_can_wait_is_as_long_as_it_can() -> None:
    latch = Latch()
    latch.set()
    assert latch.wait(threading.TIMEOUT_MAX * 10)
