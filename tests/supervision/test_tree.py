"""The tree's own methods: adding, stopping, deleting, listening, looking."""

from __future__ import annotations

import pytest

from actors import (
    Cause,
    Child,
    ChildEnded,
    ChildRestarting,
    ChildStarted,
    ChildStateError,
    Exit,
    InvalidSpec,
    NotDelivered,
    Supervisor,
    UnknownChild,
)
from tests.supervision.conftest import Grow
from tests.supervision.subjects import WAIT, Boom, Journal, Threaded, Turn, crash


def test_children_can_be_added_stopped_started_and_deleted(grow: Grow) -> None:
    tree = grow(Supervisor.child("inner", Child("x", Threaded.start)))
    address = tree.start_child(Child("a", Threaded.start), under="inner")
    assert address.ask(("echo", 1), timeout=WAIT) == 1
    with pytest.raises(ChildStateError, match="stop it first"):
        tree.delete_child("inner/a")
    with pytest.raises(ChildStateError):
        tree.restart_child("inner/a")
    tree.stop_child("inner/a")
    tree.stop_child("inner/a")
    assert [view.state for view in tree.children("inner")] == ["up", "down"]
    tree.restart_child("inner/a")
    assert address.ask(("echo", 2), timeout=WAIT) == 2
    tree.stop_child("inner/a")
    tree.delete_child("inner/a")
    with pytest.raises(UnknownChild, match="inner/x"):
        tree.address("inner/a")
    assert tree.counts("inner") == {"specs": 1, "active": 1, "supervisors": 0}


def test_an_id_that_is_taken_is_refused_and_nothing_is_started(grow: Grow) -> None:
    tree = grow(Child("a", Threaded.start))
    with pytest.raises(InvalidSpec, match="'a'"):
        tree.start_child(Child("a", Threaded.start))
    assert tree.address("a").epoch == 1


def test_events_tell_the_life_of_a_child(grow: Grow) -> None:
    tree, events = grow(Child("a", Threaded.start)), Journal()
    tree.on_event(events.add)
    crash(tree, "a")
    kinds: list[type] = [type(each) for each in events.wait_for(3)]
    assert kinds == [ChildEnded, ChildRestarting, ChildStarted]
    assert events.entries[0].exit.cause is Cause.CRASH
    assert events.entries[2] == ChildStarted("a", 2)


def test_a_listener_that_raises_stops_neither_the_tree_nor_the_others(grow: Grow) -> None:
    tree, events = grow(Child("a", Threaded.start)), Journal()

    def bad(_event: object) -> None:
        raise Boom

    tree.on_event(bad)
    tree.on_event(events.add)
    crash(tree, "a")
    events.wait_for(3)


def test_a_tree_can_be_looked_at(grow: Grow) -> None:
    tree = grow(Child("a", Threaded.start), Supervisor.child("inner", Child("x", Turn.start)))
    crash(tree, "a")
    text = str(tree.describe())
    assert text.splitlines()[0] == "root"
    assert "├─ a, up, epoch 2, last exit: crash (Boom)" in text
    assert "   └─ x, up, epoch 1" in text


def test_when_the_tree_is_gone_every_ask_fails_at_once_and_no_timer_runs() -> None:
    tree = Supervisor.start(Child("a", Threaded.start))
    address = tree.address("a")
    exits: list[Exit] = []
    tree.on_exit(exits.append)
    assert tree.stop(timeout=WAIT)
    assert tree.stop(timeout=WAIT)
    assert exits == [Exit(Cause.SHUTDOWN)]
    with pytest.raises(NotDelivered):
        address.ask(("echo", 1), timeout=60)
