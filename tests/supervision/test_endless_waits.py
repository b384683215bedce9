"""Who waits for a child that is down waits for its supervisor, which must not wait for it."""

from __future__ import annotations

from typing import Any

import pytest

from actors import AskCycle, Backoff, Child, Strategy
from actors.testing import FakeClock
from tests.supervision.conftest import Grow
from tests.supervision.subjects import WAIT, Boom, Journal, Threaded, Turn, call

KINDS = [Threaded, Turn]


@pytest.mark.parametrize("how", ["ask", "wait_up"])
def test_a_sibling_that_comes_up_later_is_not_waited_for_in_on_start(grow: Grow, how: str) -> None:
    told = Journal()

    class First(Threaded):
        def on_start(self) -> None:
            if self.restored_state is None:
                self.save_state("again")
                return
            try:
                later = tree.address("later")
                _ = later.ask(1, timeout=600) if how == "ask" else later.wait_up(600)
            except AskCycle as error:
                told.add(error.cycle)

    tree = grow(
        Child("first", First.start, hand_over=True),
        Child("later", Threaded.start),
        strategy=Strategy.ONE_FOR_ALL,
        clock=FakeClock(),
    )
    tree.address("later").tell(("raise", Boom()))
    assert told.wait_for(1) == [("first", "root", "first")]
    assert tree.address("later").ask(("echo", 1), timeout=WAIT) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_waits_in_on_start_until_it_is_up_itself(grow: Grow, kind: Any) -> None:
    told = Journal()

    class Patient(kind):  # type: ignore[misc]  # the kind is a parameter
        def on_start(self) -> None:
            assert not self.address.wait_up(0)
            try:
                self.address.wait_up(600)
            except AskCycle as error:
                told.add(error.cycle)

    grow(Child("a", Patient.start), clock=FakeClock())
    assert told.wait_for(1)[0][0] == "a"


@pytest.mark.parametrize("how", ["ask", "wait_up"])
def test_a_listener_that_waits_for_a_child_of_its_supervisor_is_told_at_once(
    grow: Grow, how: str
) -> None:
    told, tree = Journal(), grow(Child("a", Threaded.start), clock=FakeClock())

    def listen(_event: object) -> None:
        address = tree.address("a")
        try:
            _ = address.ask(("echo", 1), timeout=600) if how == "ask" else address.wait_up(600)
        except AskCycle as error:
            told.add(error.cycle)

    tree.on_event(listen)
    tree.address("a").tell(("raise", Boom()))
    assert told.wait_for(3) == [("root", "root")] * 3
    assert tree.address("a").ask(("echo", 1), timeout=WAIT) == 1


def test_who_waits_for_a_child_whose_supervisor_comes_to_wait_for_the_asker_is_told(
    grow: Grow,
) -> None:
    """The sibling is in its backoff when the asker begins to wait; then the asker is stopped."""
    told, clock = Journal(), FakeClock()
    tree = grow(
        Child("a", Threaded.start),
        Child("b", Threaded.start, backoff=Backoff(60.0)),
        clock=clock,
    )

    def wait(_me: Any) -> None:
        try:
            tree.address("b").wait_up(600)
        except AskCycle as error:
            told.add(error.cycle)

    tree.address("b").tell(("raise", Boom()))
    clock.wait_for_timers(1)
    tree.address("a").tell(call(wait))
    clock.wait_for_waiting(1)
    tree.stop_child("a")
    assert told.wait_for(1) == [("a", "root", "a")]


@pytest.mark.parametrize("kind", KINDS)
def test_whoever_is_told_of_an_end_before_the_supervisor_does_not_wait_for_the_successor(
    grow: Grow, kind: Any
) -> None:
    """The supervisor is told on the same thread, after the watcher has returned."""
    told = Journal()

    class Watched(kind):  # type: ignore[misc]  # the kind is a parameter
        def on_start(self) -> None:
            address = self.address

            def wait(_exit: object) -> None:
                try:
                    address.ask(("echo", 1), timeout=600)
                except AskCycle as error:
                    told.add(error.cycle)

            address.watch(wait)

    tree = grow(Child("a", Watched.start), clock=FakeClock())
    tree.address("a").tell(("raise", Boom()))
    assert set(told.wait_for(1)[0]) == {"a"}
    assert tree.address("a").ask(("echo", 1), timeout=WAIT) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_whoever_is_told_of_an_end_after_the_supervisor_waits_for_the_successor(
    grow: Grow, kind: Any
) -> None:
    told, tree = Journal(), grow(Child("a", kind.start))
    address = tree.address("a")
    address.watch(lambda _exit: told.add(address.ask(("echo", 2), timeout=WAIT)))
    address.tell(("raise", Boom()))
    assert told.wait_for(1) == [2]
