"""A child that fails to restart again and again: its supervisor stays open to every call."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from actors import (
    Backoff,
    Child,
    ChildStateError,
    DynamicSupervisor,
    Strategy,
    Supervisor,
    Tree,
)
from actors.testing import FakeClock
from tests.supervision.subjects import WAIT, Boom, Journal, Threaded

ENDLESS: dict[str, Any] = {"intensity": 10**9, "period": 1e-6}
"""An intensity that is never used up, and a period that keeps no past."""


class Loops(Threaded):
    """Comes up the first time; then only when it is allowed to again."""

    def __init__(self, journal: Journal, allowed: list[bool]) -> None:
        super().__init__(journal, "loops")
        self.allowed = allowed

    def on_start(self) -> None:
        self.journal.add("tried")
        if not self.allowed:
            raise Boom("not yet")


def begin(tree: Tree, path: str, journal: Journal, allowed: list[bool]) -> None:
    """Have the child fail to restart, and wait until it has done so some times."""
    allowed.clear()
    tree.address(path).tell(("raise", Boom()))
    journal.wait_for(5)


@pytest.mark.parametrize("strategy", [*Strategy])
def test_a_looping_child_is_restarting_and_can_be_stopped_deleted_and_started(
    strategy: Strategy,
) -> None:
    journal, allowed = Journal(), [True]
    tree = Supervisor.start(
        Child("first", Threaded.start),
        Child("a", partial(Loops.start, journal, allowed)),
        Child("last", Threaded.start),
        strategy=strategy,
        **ENDLESS,
    )
    begin(tree, "a", journal, allowed)
    states = {view.id: view.state for view in tree.children()}
    assert states["a"] == "restarting"
    assert states["last"] == ("up" if strategy is Strategy.ONE_FOR_ONE else "restarting")
    for method in (tree.restart_child, tree.delete_child):
        with pytest.raises(ChildStateError) as caught:
            method("a")
        assert caught.value.state == "restarting"
    tree.stop_child("a")
    tried = len(journal.entries)
    states = {view.id: view.state for view in tree.children()}
    assert states["a"] == "down"
    assert len(journal.entries) == tried
    if strategy is not Strategy.ONE_FOR_ALL:
        assert states["first"] == "up"
    allowed.append(True)
    tree.restart_child("a")
    assert tree.address("a").ask(("echo", 1), timeout=WAIT) == 1
    assert tree.stop(timeout=WAIT)


def one(journal: Journal, allowed: list[bool]) -> tuple[Tree, str]:
    """A supervisor with a loop in it."""
    child = Child("a", partial(Loops.start, journal, allowed))
    return Supervisor.start(child, Child("b", Threaded.start), **ENDLESS), "a"


def rest(journal: Journal, allowed: list[bool]) -> tuple[Tree, str]:
    """One whose siblings wait with the looping child."""
    child = Child("a", partial(Loops.start, journal, allowed))
    flags: dict[str, Any] = {"strategy": Strategy.REST_FOR_ONE, **ENDLESS}
    return Supervisor.start(child, Child("b", Threaded.start), **flags), "a"


def dynamic(journal: Journal, allowed: list[bool]) -> tuple[Tree, str]:
    """A dynamic one."""
    tree = DynamicSupervisor.start(Child("w", partial(Loops.start, journal)), **ENDLESS)
    return tree, tree.dynamic().start_child(allowed).path


@pytest.mark.parametrize("make", [one, rest, dynamic])
def test_a_tree_stops_while_a_child_of_it_loops(make: Callable[..., tuple[Tree, str]]) -> None:
    journal, allowed = Journal(), [True]
    tree, path = make(journal, allowed)
    begin(tree, path, journal, allowed)
    assert tree.stop(timeout=WAIT)
    tried = len(journal.entries)
    assert [view.state for view in tree.children()] == ["down"] * len(tree.children())
    assert len(journal.entries) == tried


@pytest.mark.parametrize("make", [one, rest, dynamic])
def test_a_looping_child_comes_up_as_soon_as_it_can(make: Callable[..., tuple[Tree, str]]) -> None:
    journal, allowed = Journal(), [True]
    tree, path = make(journal, allowed)
    begin(tree, path, journal, allowed)
    allowed.append(True)
    assert tree.address(path).ask(("echo", 1), timeout=WAIT) == 1
    assert tree.stop(timeout=WAIT)


def test_a_looping_dynamic_child_can_be_terminated_and_others_started() -> None:
    journal, allowed = Journal(), [True]
    tree, path = dynamic(journal, allowed)
    pool = tree.dynamic()
    begin(tree, path, journal, allowed)
    assert [view.state for view in pool.children()] == ["restarting"]
    assert pool.count() == 1
    pool.terminate_child(path)
    assert pool.count() == 0
    other = pool.start_child([True])
    assert other.ask(("echo", 1), timeout=WAIT) == 1
    assert tree.stop(timeout=WAIT)


@pytest.mark.parametrize("strategy", [*Strategy])
def test_with_a_backoff_the_timer_of_a_child_that_was_stopped_meanwhile_starts_nothing(
    strategy: Strategy,
) -> None:
    clock, journal, allowed = FakeClock(), Journal(), [True]
    child = Child(
        "a", partial(Loops.start, journal, allowed), backoff=Backoff(first=1.0, jitter=0.0)
    )
    tree = Supervisor.start(child, clock=clock, strategy=strategy, intensity=9)
    tree.address("a").tell(("raise", Boom()))
    clock.wait_for_timers(1)
    tree.stop_child("a")
    clock.advance(1.0)
    assert [view.state for view in tree.children()] == ["down"]
    assert journal.entries == ["tried"]
    assert tree.stop(timeout=WAIT)
