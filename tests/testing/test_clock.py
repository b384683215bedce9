"""The fake clock keeps the promises of the real one, at the test's own pace."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from actors.testing import FakeClock


def test_time_stands_still_until_it_is_advanced() -> None:
    clock = FakeClock(now=7.0)
    assert clock.monotonic() == 7.0
    clock.advance(1.5)
    assert clock.monotonic() == 8.5


def test_timers_run_in_the_order_they_are_due_and_at_their_own_time() -> None:
    clock = FakeClock(now=0.0)
    seen: list[tuple[str, float]] = []

    def note(name: str) -> None:
        seen.append((name, clock.monotonic()))

    for name, delay in (("late", 3.0), ("early", 1.0), ("early too", 1.0)):
        clock.call_later(delay, partial(note, name))
    clock.advance(2.9)
    assert seen == [("early", 1.0), ("early too", 1.0)]
    clock.advance(0.1)
    assert seen[-1] == ("late", 3.0)


def test_a_timer_may_set_the_next_one_within_the_same_advance() -> None:
    clock = FakeClock(now=0.0)
    seen: list[float] = []

    def tick() -> None:
        seen.append(clock.monotonic())
        clock.call_later(1.0, tick)

    clock.call_later(1.0, tick)
    clock.advance(3.0)
    assert seen == [1.0, 2.0, 3.0]


def test_a_cancelled_timer_never_runs_and_is_not_pending() -> None:
    clock = FakeClock()
    timer = clock.call_later(1.0, lambda: pytest.fail("cancelled"))
    assert clock.pending == 1
    timer.cancel()
    timer.cancel()
    assert clock.pending == 0
    clock.advance(2.0)


def test_a_closed_clock_runs_nothing() -> None:
    clock = FakeClock()
    clock.call_later(1.0, lambda: pytest.fail("closed"))
    clock.close()
    clock.call_later(1.0, lambda: pytest.fail("closed"))
    clock.advance(2.0)
    assert clock.pending == 0


def test_a_test_can_wait_for_the_timer_of_another_thread() -> None:
    clock = FakeClock()
    thread = threading.Thread(target=lambda: clock.call_later(1.0, lambda: None))
    thread.start()
    clock.wait_for_timers(1)
    thread.join(5.0)
    with pytest.raises(TimeoutError, match="1 timers are pending, not 2"):
        clock.wait_for_timers(2, timeout=0.0)


def test_a_thread_that_waits_is_counted_until_its_deadline_has_come() -> None:
    clock, outcome = FakeClock(now=0.0), list[bool]()
    thread = threading.Thread(
        target=lambda: outcome.append(clock.wait(threading.Event().wait, 10.0))
    )
    assert clock.waiting == 0
    thread.start()
    clock.wait_for_waiting(1)
    assert (clock.waiting, clock.pending) == (1, 0)
    clock.advance(9.9)
    assert clock.waiting == 1
    with pytest.raises(TimeoutError, match="1 threads are waiting, not 2"):
        clock.wait_for_waiting(2, timeout=0.0)
    clock.advance(0.1)
    assert clock.waiting == 0
    thread.join(5.0)
    assert outcome == [False]


def test_a_clock_that_nobody_advances_is_an_error_and_not_a_hang(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("actors.testing.clock.TIMEOUT", 0.0)
    clock = FakeClock(now=0.0)
    with pytest.raises(TimeoutError, match="the clock was not advanced to 7"):
        clock.wait(threading.Event().wait, 7.0)
    assert clock.waiting == 0


def test_what_comes_in_the_last_moment_has_come() -> None:
    """The deadline and the event fall together: the event counts."""
    clock = FakeClock(now=0.0)
    looks = iter([False, True])

    def ready(_seconds: float | None) -> bool:
        clock.advance(1.0)
        return next(looks)

    assert clock.wait(ready, 1.0)
