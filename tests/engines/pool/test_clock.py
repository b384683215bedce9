"""The pool's clock on a real event loop: timers from any thread, taken back from any thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from actors.engines.pool.clock import LoopClock
from actors.eventloop import EventLoop

DEADLINE = 10.0


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    made = EventLoop()
    yield made
    made.stop()


def test_a_timer_fires_on_the_loops_thread_when_it_is_due(loop: EventLoop) -> None:
    clock = LoopClock(loop)
    fired = threading.Event()
    found: list[tuple[bool, float]] = []

    def fire() -> None:
        found.append((loop.on_loop, clock.monotonic()))
        fired.set()

    began = time.monotonic()
    clock.call_later(0.02, fire)
    assert fired.wait(DEADLINE)
    ((on_loop, at),) = found
    assert on_loop
    assert at >= began + 0.02


def test_a_timer_that_was_taken_back_does_not_fire(loop: EventLoop) -> None:
    clock = LoopClock(loop)
    later, never = threading.Event(), threading.Event()
    clock.call_later(0.02, never.set).cancel()
    clock.call_later(0.04, later.set)
    assert later.wait(DEADLINE)
    assert not never.is_set()


def test_a_timer_may_be_set_and_taken_back_on_the_loop_itself(loop: EventLoop) -> None:
    clock = LoopClock(loop)
    never, done = threading.Event(), threading.Event()

    def on_loop() -> None:
        pending = clock.call_later(0.01, never.set)
        pending.cancel()
        pending.cancel()
        clock.call_later(0.02, done.set)

    loop.call(on_loop)
    assert done.wait(DEADLINE)
    assert not never.is_set()


def test_timers_that_were_taken_back_do_not_pile_up(loop: EventLoop) -> None:
    clock = LoopClock(loop)
    for _ in range(2000):
        clock.call_later(600.0, threading.Event().set).cancel()
    done = threading.Event()
    loop.call(done.set)
    assert done.wait(DEADLINE)
    assert len(loop._timers) < 600  # pyright: ignore[reportPrivateUsage]  # what would grow
