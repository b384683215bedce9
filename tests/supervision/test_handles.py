"""What others hold of an actor: watchers that end with theirs, handles that are never copied."""

from __future__ import annotations

import copy
import dataclasses
import gc
import pickle
import weakref
from functools import partial
from typing import Any

import pytest

from actors import Address, CancellationToken, Cause, Child, Exit
from tests.supervision.conftest import Grow
from tests.supervision.subjects import WAIT, Boom, Journal, Threaded, Turn, call

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
