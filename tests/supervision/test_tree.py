"""The tree's own methods: adding, stopping, deleting, listening, looking.

A subclass shares its names with ours, so ours are few, listed, and replaced by nobody.

What others hold of an actor: watchers that end with theirs, handles that are never copied.
"""

from __future__ import annotations

import copy
import dataclasses
import gc
import pickle
import weakref
from functools import partial
from typing import Any

import pykka
import pytest
from pykka.messages import ProxyCall

from actors import (
    Address,
    CallingThreadActor,
    CancellationToken,
    Cause,
    Child,
    ChildEnded,
    ChildRestarting,
    ChildStarted,
    ChildStateError,
    Exit,
    InvalidSpec,
    NotDelivered,
    Supervised,
    Supervisor,
    UnknownChild,
)
from tests.supervision.conftest import Grow
from tests.supervision.subjects import WAIT, Boom, Journal, Threaded, Turn, call, crash


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


PUBLIC = {
    "address",
    "fatal",
    "restored_state",
    "lifecycle",
    "mailbox_capacity",
    "mailbox_overflow",
    "name",
    "save_state",
    "token",
}
OURS = {"_actor_start_context", "_supervised_loop"}
PYTHONS = {"_abc_impl"}


@pytest.mark.parametrize("kind", [Supervised, CallingThreadActor])
def test_the_names_that_a_supervised_actor_adds_to_pykkas_are_these(kind: type[Supervised]) -> None:
    pykkas = {*dir(pykka.Actor), "_actor_ref", "actor_inbox", "actor_stopped", "actor_urn"}
    added = {*dir(kind), *vars(kind())} - pykkas - PYTHONS
    assert {name for name in added if not name.startswith("__")} == PUBLIC | OURS


@pytest.mark.parametrize("kind", [Supervised, CallingThreadActor])
def test_a_subclass_may_use_any_obvious_name_for_its_own(kind: Any, grow: Grow) -> None:
    class Greedy(kind):  # type: ignore[misc]  # the kind is a parameter
        def __init__(self) -> None:
            super().__init__()  # pyright: ignore[reportUnknownMemberType]  # likewise
            self.mailbox = self.thread = self.busy_since = self.start_error = None
            self.name = "mine"

        def _mine(self, *_args: object) -> None:
            raise AssertionError("called by the library")

        _run = _live = _handle = _crash = _stop = _end = _terminate = _fail = _failed = _mine
        _start = _now = _context = _address = abandon = take = _mine

        def on_receive(self, message: Any) -> Any:
            return message

    tree = grow(Child("a", Greedy.start))
    assert tree.address("a").ask(1, timeout=WAIT) == 1
    tree.address("a").tell(ProxyCall(("missing",), (), {}))
    assert tree.address("a").ask(2, timeout=WAIT) == 2
    assert tree.address("a").epoch == 2
    tree.stop_child("a")


KINDS = [Threaded, Turn]

# Watchers


@pytest.mark.parametrize("how", ["in a handler", "in on_start", "a method", "its ref", "a partial"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_watcher_ends_with_the_actor_that_watches(grow: Grow, kind: Any, how: str) -> None:
    told = Journal()
    target = grow(Child("target", Threaded.start)).address("target")

    class Watching(kind):  # type: ignore[misc]  # the kind is a parameter
        def __init__(self) -> None:
            super().__init__()  # pyright: ignore[reportUnknownMemberType]  # likewise
            if how == "a method":
                target.watch(self.down)
            elif how == "its ref":
                target.watch(self.actor_ref.tell)
            elif how == "a partial":
                target.watch(partial(self.down))

        def on_start(self) -> None:
            if how == "in on_start":
                target.watch(lambda exit_: self.down(exit_))

        def down(self, exit_: Exit) -> None:
            told.add((self.name, exit_))

    def watch(me: Any) -> None:
        target.watch(lambda exit_: me.down(exit_))

    ref: Any = None
    gone: list[weakref.ref[Any]] = []
    for _ in range(20):
        ref = Watching.start()
        if how == "in a handler":
            ref.ask(call(watch))
        gone.append(ref._actor_weakref)  # pyright: ignore[reportPrivateUsage]  # is it pinned?
        ref.stop()
    del ref
    gc.collect()
    assert [each() for each in gone] == [None] * 20
    target.tell(("raise", Boom()))
    assert target.ask(("echo", 1), timeout=WAIT) == 1
    assert told.entries == []


@pytest.mark.parametrize("kind", KINDS)
def test_an_actor_that_watches_thousands_of_short_lives_keeps_nothing_of_them(
    grow: Grow, kind: Any
) -> None:
    tree, told = grow(Child("watcher", kind.start)), Journal()
    watcher = tree.address("watcher")
    ref: Any = None
    address: Any = None
    lives: list[weakref.ref[Any]] = []

    def watch(address: Address, _me: Any) -> None:
        address.watch(told.add)

    for _ in range(20):
        ref = Turn.start()
        address = ref.ask(call(lambda me: me.address))
        watcher.ask(call(partial(watch, address)), timeout=WAIT)
        lives.append(weakref.ref(address))
        ref.stop()
    del ref, address
    gc.collect()
    assert len(told.entries) == 20
    assert [each() for each in lives] == [None] * 20


def test_a_watcher_outside_of_every_actor_stays_until_it_is_told(grow: Grow) -> None:
    told, address = Journal(), grow(Child("a", Threaded.start)).address("a")
    address.watch(told.add)
    address.tell(("raise", Boom()))
    assert told.wait_for(1)[0].cause is Cause.CRASH


# Copies


@dataclasses.dataclass
class Holding:
    """What holds a handle."""

    handle: Any


def test_a_copy_of_a_handle_is_the_handle_and_a_pickle_is_refused_by_name(grow: Grow) -> None:
    tree = grow(Child("a", Turn.start))
    token = CancellationToken()
    watch = tree.on_exit(lambda _exit: None)
    for handle in (tree.address("a"), tree, token, token.on_cancel(print), watch, token.guard()):
        assert copy.copy(handle) is handle
        assert copy.deepcopy([handle])[0] is handle
        assert dataclasses.asdict(Holding(handle)) == {"handle": handle}
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises(TypeError, match=f"{type(handle).__name__}.* pickled"):
                pickle.dumps(Holding(handle), protocol)
    with pytest.raises(TypeError, match=r"<Address a up, epoch 1> can't be pickled.*as a path"):
        pickle.dumps(tree.address("a"))
