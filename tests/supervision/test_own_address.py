"""An actor's address is its own from its first step on, and nobody else's."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import pytest

from actors import (
    Backoff,
    CallingThreadActor,
    Cause,
    Child,
    ChildRestarting,
    Exit,
    Supervised,
)
from actors.testing import FakeClock
from tests.supervision.conftest import Grow
from tests.supervision.subjects import WAIT, Boom, Journal, Threaded, Turn, call

KINDS = [Threaded, Turn]


def telling_itself(kind: Any, what: Any, *, by_ref: bool) -> Any:
    """An actor that tells itself to do ``what`` while it starts."""

    class Eager(kind):  # type: ignore[misc]  # the kind is a parameter
        def on_start(self) -> None:
            (self.actor_ref if by_ref else self.address).tell(call(what))

    return Eager


@pytest.mark.parametrize("by_ref", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_what_an_actor_tells_itself_in_on_start_finds_its_address_up(
    grow: Grow, kind: Any, by_ref: bool
) -> None:
    seen = Journal()

    def look(me: Supervised) -> None:
        address = me.address
        seen.add((address.alive, address.epoch, address.wait_up(0), str(address)))
        address.watch(lambda exit_: seen.add(exit_.cause))

    tree = grow(Child("a", telling_itself(kind, look, by_ref=by_ref).start))
    assert seen.wait_for(1) == [(True, 1, True, "<Address a up, epoch 1>")]
    assert tree.address("a").dead_letters == 0
    tree.address("a").tell(("raise", Boom()))
    assert seen.wait_for(3)[1:] == [Cause.CRASH, (True, 2, True, "<Address a up, epoch 2>")]


@pytest.mark.parametrize("kind", KINDS)
def test_who_watches_itself_in_on_start_is_told_of_its_own_end_and_of_no_other(
    grow: Grow, kind: Any
) -> None:
    told = Journal()

    def note(number: int, exit_: Exit) -> None:
        told.add((number, exit_.cause))

    class Watching(kind):  # type: ignore[misc]  # the kind is a parameter
        def on_start(self) -> None:
            number = self.address.epoch
            self.address.watch(partial(note, number))

    address = grow(Child("a", Watching.start)).address("a")
    assert address.ask(("echo", 1), timeout=WAIT) == 1
    assert told.entries == []
    for number in range(3):
        address.tell(("raise", Boom()))
        assert address.ask(("echo", 1), timeout=WAIT) == 1
        assert told.wait_for(number + 1)[number:] == [(number, Cause.CRASH)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_handler_of_the_first_message_may_ask_others(grow: Grow, kind: Any) -> None:
    seen = Journal()
    tree = grow(Child("other", Threaded.start))

    def ask(_me: Any) -> None:
        seen.add(tree.address("other").ask(("echo", 2), timeout=WAIT))

    tree.start_child(Child("a", telling_itself(kind, ask, by_ref=False).start))
    assert seen.wait_for(1) == [2]


def test_what_a_thread_tells_an_actor_that_still_starts_is_handled_once_it_is_up(
    grow: Grow,
) -> None:
    seen = Journal()

    class WithThread(Threaded):
        def on_start(self) -> None:
            def report() -> None:
                self.address.tell(call(lambda me: seen.add(me.address.alive)))

            thread = threading.Thread(target=report)
            thread.start()
            thread.join(WAIT)

    grow(Child("a", WithThread.start))
    assert seen.wait_for(1) == [True]


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_told_to_a_start_that_fails_is_a_dead_letter(grow: Grow, kind: Any) -> None:
    class Failing(kind):  # type: ignore[misc]  # the kind is a parameter
        def on_start(self) -> None:
            self.address.tell(("echo", 1))
            if self.address.epoch == 1:
                raise Boom

    clock, lost = FakeClock(), Journal()
    tree = grow(clock=clock)

    def listen(event: object) -> None:
        if isinstance(event, ChildRestarting):
            lost.add(event.path)

    tree.on_event(listen)
    address = tree.start_child(Child("a", Failing.start, backoff=Backoff(60.0)))
    assert address.ask(("echo", 1), timeout=WAIT) == 1
    assert address.dead_letters == 0
    address.tell(("raise", Boom()))
    assert lost.wait_for(1) == ["a"]
    clock.advance(100.0)
    tree.children()
    assert address.dead_letters == 1
    assert not address.alive


@pytest.mark.parametrize("kind", KINDS)
def test_outside_of_a_tree_the_address_leads_to_the_actor_until_it_ends(kind: Any) -> None:
    ref = kind.start()
    address = ref.ask(call(lambda me: me.address))
    assert address.ask(("echo", 1), timeout=WAIT) == 1
    ref.stop()
    assert not address.alive
    address.tell("lost")
    assert address.dead_letters == 1


# Helpers


class Helper(Supervised):
    """An actor that another one makes for itself."""

    def on_receive(self, message: Any) -> Any:
        return message(self)


class TurnHelper(CallingThreadActor):
    """Likewise, without a thread."""

    def on_receive(self, message: Any) -> Any:
        return message(self)


def facts(me: Any) -> Any:
    """What an actor knows of itself."""
    return me.name, me.address.path, me.restored_state


def steal(me: Any) -> None:
    """Leave something to an heir that is not one's own."""
    me.save_state("stolen")


def with_helper(kind: Any, helper: Any, where: str) -> Any:
    """An actor with a helper that it makes at ``where``."""

    class Making(kind):  # type: ignore[misc]  # the kind is a parameter
        def __init__(self) -> None:
            if where == "before":
                self.helper = helper.start()
            super().__init__()  # pyright: ignore[reportUnknownMemberType]  # likewise
            if where == "within":
                self.helper = helper.start()

        def on_start(self) -> None:
            if where == "on_start":
                self.helper = helper.start()

    return Making


@pytest.mark.parametrize("where", ["before", "within", "on_start"])
@pytest.mark.parametrize("helper", [Helper, TurnHelper])
@pytest.mark.parametrize("kind", KINDS)
def test_a_helper_is_nobody_but_itself(grow: Grow, kind: Any, helper: Any, where: str) -> None:
    making = with_helper(kind, helper, where)
    address = grow(Child("a", making.start, hand_over=True)).address("a")
    for inherited in (None, "state"):
        assert address.ask(call(facts), timeout=WAIT) == ("a", "a", inherited)
        ref = address.ask(call(lambda me: me.helper), timeout=WAIT)
        assert ref.ask(facts) == (helper.__name__, helper.__name__, None)
        ref.ask(steal)
        ref.stop()
        assert address.alive
        address.ask(call(lambda me: me.save_state("state")), timeout=WAIT)
        address.tell(("raise", Boom()))


def test_a_helper_of_the_same_class_is_not_the_child(grow: Grow) -> None:
    class Leader(Threaded):
        def __init__(self, *, leads: bool = True) -> None:
            self.second = Leader.start(leads=False) if leads else None
            super().__init__()

    address = grow(Child("a", Leader.start)).address("a")
    assert address.ask(call(facts), timeout=WAIT) == ("a", "a", None)
    second = address.ask(call(lambda me: me.second), timeout=WAIT)
    assert second.ask(call(facts))[0] == "Leader"
    second.stop()


@pytest.mark.parametrize("first", [True, False])
def test_of_what_a_function_makes_only_what_it_returns_is_the_child(
    grow: Grow, first: bool
) -> None:
    made: list[Any] = []

    def start() -> Any:
        if first:
            made.append(Helper.start())
        child = Threaded.start()
        assert child.ask(("echo", 1)) == 1  # a function may ask what it made
        if not first:
            made.append(Helper.start())
        return child

    address = grow(Child("a", start, hand_over=True)).address("a")
    assert address.ask(call(facts), timeout=WAIT) == ("a", "a", None)
    assert made[0].ask(facts) == ("Helper", "Helper", None)
    made[0].ask(steal)
    made[0].stop()
    address.tell(("raise", Boom()))
    assert address.ask(call(facts), timeout=WAIT) == ("a", "a", None)
    made[-1].stop()
