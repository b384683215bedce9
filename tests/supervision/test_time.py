"""Every deadline of a tree runs on its clock: with a fake one nothing here waits for real."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pykka
import pytest

from actors import (
    Backoff,
    Child,
    ChildAbandoned,
    ChildRestarting,
    DynamicSupervisor,
    NotDelivered,
    StartFailed,
    Supervisor,
    Tree,
)
from actors.testing import FakeClock, Gate, held
from tests.supervision.conftest import Grow
from tests.supervision.subjects import WAIT, Boom, Journal, Threaded, call

LONG = 3600.0  # seconds that no test could wait for


class SlowStart(Threaded):
    """Comes up when its gate is open; the gate is its label."""

    def __init__(self, journal: Journal, gate: Gate) -> None:
        super().__init__(journal)
        self.gate = gate

    def on_start(self) -> None:
        self.gate.hold()
        super().on_start()


class SlowStop(SlowStart):
    """Ends when its gate is open."""

    def on_start(self) -> None:
        self.journal.add("start")

    def on_stop(self) -> None:
        self.gate.hold()
        self.journal.add("stop")


@contextmanager
def meanwhile(work: Callable[[], object]) -> Generator[Journal]:
    """Run ``work`` on a thread of its own; its result or error is noted."""
    outcome = Journal()

    def run() -> None:
        try:
            outcome.add(work())
        except Exception as error:  # noqa: BLE001  # whatever it was, the test looks at it
            outcome.add(error)

    thread = threading.Thread(target=run)
    thread.start()
    yield outcome
    thread.join(WAIT)
    assert not thread.is_alive()


def abandoned(events: Journal) -> list[str]:
    return [each.path for each in events.entries if isinstance(each, ChildAbandoned)]


# Starts


def test_a_start_times_out_by_the_trees_clock_and_not_before() -> None:
    clock, gate = FakeClock(), Gate()
    child = Child("a", partial(SlowStart.start, Journal(), gate), start_within=LONG)
    with meanwhile(lambda: Supervisor.start(child, clock=clock)) as outcome:
        clock.wait_for_waiting(1)
        clock.advance(LONG - 0.1)
        assert outcome.entries == []
        clock.advance(0.1)
        (error,) = outcome.wait_for(1)
        gate.open()
    assert isinstance(error, StartFailed)
    assert str(error).endswith("TimeoutError: on_start took longer than 3600 s")


def test_an_over_long_start_is_abandoned_and_what_was_told_to_it_is_refused() -> None:
    clock, gate, seen = FakeClock(), Gate(), Journal()

    class Telling(SlowStart):
        def on_start(self) -> None:
            seen.add((self.actor_ref, self.token, self.lifecycle))
            super().on_start()

    tree = Supervisor.start(clock=clock)
    events = Journal()
    tree.on_event(events.add)
    child = Child("a", partial(Telling.start, Journal(), gate))
    with meanwhile(lambda: tree.start_child(child)) as outcome:
        clock.wait_for_waiting(1)
        clock.advance(5.0)
        (error,) = outcome.wait_for(1)
    ((ref, token, lifecycle),) = seen.entries
    assert isinstance(error, StartFailed)
    assert abandoned(events) == ["a"]
    assert (str(lifecycle.exit), token.cancelled, ref.is_alive()) == ("hung", True, False)
    with pytest.raises(pykka.ActorDeadError):
        ref.ask(("echo", 1), timeout=WAIT)
    gate.open()
    assert tree.stop(timeout=WAIT)


def test_a_restart_that_takes_too_long_is_tried_again(grow: Grow) -> None:
    clock, slow, events = FakeClock(), Gate(), Journal()
    gates = iter([Gate(), slow, Gate()])

    class Moody(Threaded):
        def on_start(self) -> None:
            gate = next(gates)
            if gate is not slow:
                gate.open()
            gate.hold()

    tree = grow(Child("a", Moody.start, start_within=LONG), clock=clock)
    tree.on_event(events.add)
    tree.address("a").tell(("raise", Boom()))
    slow.reached()
    clock.wait_for_waiting(1)
    clock.advance(LONG)
    assert tree.address("a").wait_up(LONG)
    assert abandoned(events) == ["a"]
    assert sum(isinstance(each, ChildRestarting) for each in events.entries) == 2
    slow.open()


# Shutdowns


def test_a_child_that_does_not_stop_is_abandoned_by_the_trees_clock(grow: Grow) -> None:
    clock, gate, journal, events = FakeClock(), Gate(), Journal(), Journal()
    child = Child("a", partial(SlowStop.start, journal, gate), shutdown=LONG)
    tree = grow(child, clock=clock)
    tree.on_event(events.add)
    with meanwhile(lambda: tree.stop_child("a")) as outcome:
        gate.reached()
        clock.wait_for_waiting(1)
        clock.advance(LONG - 0.1)
        assert (outcome.entries, abandoned(events)) == ([], [])
        clock.advance(0.1)
        assert outcome.wait_for(1) == [None]
    assert abandoned(events) == ["a"]
    gate.open()


def test_a_child_whose_shutdown_is_none_may_take_as_long_as_it_likes(grow: Grow) -> None:
    clock, gate, journal, events = FakeClock(), Gate(), Journal(), Journal()
    child = Child("a", partial(SlowStop.start, journal, gate), shutdown=None)
    tree = grow(child, clock=clock)
    tree.on_event(events.add)
    with meanwhile(lambda: tree.stop_child("a")) as outcome:
        gate.reached()
        clock.advance(24 * LONG)
        assert outcome.entries == []
        gate.open()
    assert journal.entries == ["start", "stop"]
    assert abandoned(events) == []


def test_dynamic_children_share_one_deadline_of_the_trees_clock() -> None:
    clock, gate, journal, events = FakeClock(), Gate(), Journal(), Journal()
    template = Child("w", partial(SlowStop.start, journal, gate), shutdown=LONG)
    tree = DynamicSupervisor.start(template, clock=clock)
    tree.on_event(events.add)
    for _ in range(3):
        tree.dynamic().start_child()
    with meanwhile(lambda: tree.stop(timeout=WAIT)) as outcome:
        clock.wait_for_waiting(1)
        clock.advance(LONG)
        assert outcome.wait_for(1) == [True]
    assert abandoned(events) == ["w-1", "w-2", "w-3"]
    gate.open()


# Asks


@pytest.fixture
def ticking(grow: Grow) -> tuple[Tree, FakeClock]:
    """A tree with one child that backs off for a minute, on a fake clock."""
    clock = FakeClock()
    backoff = Backoff(first=60.0, cap=60.0, jitter=0.0)
    return grow(Child("a", Threaded.start, backoff=backoff), clock=clock), clock


def test_an_ask_times_out_by_the_trees_clock(ticking: tuple[Tree, FakeClock]) -> None:
    (tree, clock), gate = ticking, Gate()
    address = tree.address("a")
    hold = call(lambda _me: gate.hold())
    with meanwhile(lambda: address.ask(hold, timeout=LONG)) as outcome:
        gate.reached()
        clock.wait_for_waiting(1)
        clock.advance(LONG - 0.1)
        assert outcome.entries == []
        clock.advance(0.1)
        (error,) = outcome.wait_for(1)
    assert isinstance(error, pykka.Timeout)
    assert str(error) == "no answer within 3600.0 seconds"
    gate.open()


def test_an_ask_of_pykkas_ref_times_out_by_it_too(ticking: tuple[Tree, FakeClock]) -> None:
    (tree, clock), gate = ticking, Gate()
    ref = tree.address("a").ask(call(lambda me: me.actor_ref), timeout=LONG)
    hold = call(lambda _me: gate.hold())
    with meanwhile(lambda: ref.ask(hold, timeout=LONG)) as outcome:
        gate.reached()
        clock.wait_for_waiting(1)
        clock.advance(LONG)
        (error,) = outcome.wait_for(1)
    assert isinstance(error, pykka.Timeout)
    gate.open()


def test_an_ask_to_a_child_that_is_down_waits_by_the_trees_clock(
    ticking: tuple[Tree, FakeClock],
) -> None:
    tree, clock = ticking
    address = tree.address("a")
    address.tell(("raise", Boom()))
    clock.wait_for_timers(1)  # it backs off
    with meanwhile(lambda: address.ask(("echo", 1), timeout=30.0)) as outcome:
        clock.wait_for_waiting(1)
        clock.advance(30.0)
        (error,) = outcome.wait_for(1)
    assert isinstance(error, NotDelivered)
    assert str(error) == "a was down for 30 seconds"


def test_waiting_for_a_child_to_come_up_ends_by_the_trees_clock(
    ticking: tuple[Tree, FakeClock],
) -> None:
    tree, clock = ticking
    address = tree.address("a")
    address.tell(("raise", Boom()))
    clock.wait_for_timers(1)
    with meanwhile(lambda: address.wait_up(59.0)) as outcome:
        clock.wait_for_waiting(1)
        clock.advance(59.0)
        assert outcome.wait_for(1) == [False]
    with meanwhile(lambda: address.wait_up(2.0)) as outcome:
        clock.wait_for_waiting(1)
        clock.advance(1.0)
        assert outcome.wait_for(1) == [True]


def test_an_ask_that_is_sent_again_has_only_the_rest_of_its_timeout(
    ticking: tuple[Tree, FakeClock],
) -> None:
    """It waits behind a message that takes 20 seconds and crashes the actor, then for the next."""
    (tree, clock), gate = ticking, Gate()
    address = tree.address("a")

    def crash_later(_me: Any) -> None:
        gate.hold()
        raise Boom

    address.tell(call(crash_later))
    gate.reached()
    asking = meanwhile(lambda: address.ask(("echo", 1), timeout=50.0))
    with held(address, "_next_inbox") as again, asking as outcome:
        clock.wait_for_waiting(1)
        clock.advance(20.0)
        gate.open()
        again.reached()  # refused: the actor is down for a minute
        again.open()
        clock.wait_for_waiting(1)
        clock.advance(29.9)
        assert outcome.entries == []
        clock.advance(0.1)
        (error,) = outcome.wait_for(1)
    assert str(error) == "a was down for 30 seconds"


def test_an_ask_without_patience_is_answered_or_not_at_once(
    ticking: tuple[Tree, FakeClock],
) -> None:
    (tree, _), gate = ticking, Gate()
    address = tree.address("a")
    address.tell(call(lambda _me: gate.hold()))
    gate.reached()
    with pytest.raises(pykka.Timeout):
        address.ask(("echo", 1), timeout=0)
    gate.open()
    assert address.ask(("echo", 1), timeout=LONG) == 1


# What stays real


def test_the_trees_own_calls_wait_for_real_threads_whatever_the_clock(
    ticking: tuple[Tree, FakeClock],
) -> None:
    (tree, clock), gate = ticking, Gate()
    child = Child("slow", partial(SlowStart.start, Journal(), gate), start_within=LONG)
    with meanwhile(lambda: tree.start_child(child)) as outcome:
        gate.reached()
        assert [view.state for view in tree.children()] == ["up", "starting"]
        assert clock.waiting == 1  # the start; nobody's look is on this clock
        gate.open()
        outcome.wait_for(1)
