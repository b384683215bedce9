"""Actors that hang or do not stop in time: abandoned, fenced, replaced, counted."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from actors import (
    ActorCrashed,
    Child,
    ChildAbandoned,
    Supervised,
    Supervisor,
)
from actors.supervision.child_runner import HangDetector
from actors.testing import FakeClock, Gate
from tests.supervision.conftest import Grow
from tests.supervision.subjects import WAIT, Journal, Threaded, Turn, call, crash


def test_a_hung_actor_is_replaced_and_its_asker_is_told(grow: Grow) -> None:
    clock, gate = FakeClock(), Gate()
    tree = grow(Child("a", Threaded.start, hang_after=2.0), clock=clock)
    address, told, events = tree.address("a"), Journal(), Journal()
    tree.on_event(events.add)

    def ask() -> None:
        try:
            address.ask(call(lambda _me: gate.hold()), timeout=60)
        except ActorCrashed as error:
            told.add(error)

    thread = threading.Thread(target=ask)
    thread.start()
    gate.reached()
    for _ in range(6):
        clock.wait_for_timers(1)
        clock.advance(0.5)
        tree.children()  # the supervisor has looked
    assert address.ask(("echo", 1), timeout=WAIT) == 1
    told.wait(bool)
    abandoned = [each for each in events.entries if isinstance(each, ChildAbandoned)]
    assert [each.path for each in abandoned] == ["a"]
    assert "gate.hold()" in abandoned[0].stack
    gate.open()
    thread.join(WAIT)


def test_more_abandoned_threads_than_allowed_end_the_tree_instead_of_adding_to_them() -> None:
    clock, gate, exits = FakeClock(), Gate(), Journal()
    tree = Supervisor.start(
        Child("a", Threaded.start, hang_after=2.0), clock=clock, intensity=9, max_abandoned=0
    )
    tree.on_exit(exits.add)
    tree.address("a").tell(call(lambda _me: gate.hold()))
    gate.reached()
    clock.advance(2.5)
    (exit_,) = exits.wait_for(1)
    assert str(exit_) == "shutdown (GaveUp: root: 1 abandoned threads still run)"
    gate.open()


def test_what_a_zombie_publishes_does_not_reach_its_successors(grow: Grow) -> None:
    clock, gate, done = FakeClock(), Gate(), threading.Event()
    tree = grow(Child("a", Threaded.start, hang_after=2.0, hand_over=True), clock=clock)
    address = tree.address("a")

    def haunt(me: Supervised) -> None:
        me.save_state("before")
        gate.hold()
        me.save_state("haunted")
        done.set()

    address.tell(call(haunt))
    gate.reached()
    for _ in range(6):
        clock.wait_for_timers(1)
        clock.advance(0.5)
        tree.children()
    assert address.ask(call(lambda me: me.restored_state), timeout=WAIT) == "before"
    gate.open()
    assert done.wait(WAIT)
    crash(tree, "a")
    assert address.ask(call(lambda me: me.restored_state), timeout=WAIT) == "before"


@pytest.mark.usefixtures("no_thread_is_left")
def test_a_brutal_shutdown_leaves_no_idle_thread_behind() -> None:
    tree = Supervisor.start(Child("a", Threaded.start, shutdown=0))
    assert tree.stop(timeout=WAIT)


def test_a_child_that_does_not_stop_in_time_is_left_behind_and_reported() -> None:
    gate = Gate()

    class Stubborn(Threaded):
        def on_stop(self) -> None:
            gate.hold()

    events, journal = Journal(), Journal()
    tree = Supervisor.start(
        Child("good", partial(Threaded.start, journal, "good")),
        Child("bad", Stubborn.start, shutdown=0.05),
    )
    tree.on_event(events.add)
    assert tree.stop(timeout=WAIT)
    assert ("stop", "good") in journal.entries
    assert [each.path for each in events.entries if isinstance(each, ChildAbandoned)] == ["bad"]
    gate.open()


def test_a_child_that_hangs_sooner_is_looked_for_sooner() -> None:
    clock, looks = FakeClock(), Journal()
    watch = HangDetector(clock, {}, lambda: looks.add("look"))
    watch.arm(60.0)
    watch.arm(1.0)
    clock.advance(0.25)
    assert looks.entries == ["look"]
    watch.check()
    clock.advance(60.0)
    assert looks.entries == ["look"]


def test_who_waits_behind_a_hung_turn_is_answered_by_the_successor(grow: Grow) -> None:
    clock, gate = FakeClock(), Gate()
    tree = grow(Child("a", Turn.start, hang_after=2.0), clock=clock)
    address, answers = tree.address("a"), Journal()
    hung = threading.Thread(target=lambda: address.tell(call(lambda _me: gate.hold())))
    hung.start()
    gate.reached()
    waiting = threading.Thread(
        target=lambda: answers.add(address.ask(("echo", "late"), timeout=WAIT))
    )
    waiting.start()
    while waiting.is_alive():
        clock.wait_for_timers(1)
        clock.advance(0.5)
        tree.children()  # the supervisor has looked
    assert answers.entries == ["late"]
    gate.open()
    hung.join(WAIT)
