"""Depth that a user chose, chains and trees, overflows no stack of ours."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import pytest

from actors import CallingThreadActor, Child, ChildView, Supervisor, Tree, TreeView
from tests.supervision.conftest import Grow
from tests.supervision.subjects import WAIT, Journal

LENGTH = 300


class Link(CallingThreadActor):
    """Passes a message on to the next one, and adds its number to the answer."""

    def __init__(self, number: int, tree: list[Tree], seen: Journal) -> None:
        super().__init__()
        self.number, self.tree, self.seen = number, tree, seen

    def on_receive(self, message: Any) -> Any:
        how, what = message
        if self.number == LENGTH - 1:
            self.seen.add(what)
            return [self.number]
        following = self.tree[0].address(str(self.number + 1))
        if how == "tell":
            return following.tell(message)
        return [self.number, *following.ask(message, timeout=WAIT)]


def chain(grow: Grow, seen: Journal) -> Tree:
    """A chain of turn actors, each of which knows the next one."""
    found: list[Tree] = []
    links = [Child(str(each), partial(Link.start, each, found, seen)) for each in range(LENGTH)]
    found.append(grow(*links))
    return found[0]


def test_a_chain_of_turn_actors_that_ask_one_another_is_answered_from_its_end(grow: Grow) -> None:
    tree, seen = chain(grow, Journal()), Journal()
    assert tree.address("0").ask(("ask", 1), timeout=WAIT) == [*range(LENGTH)]
    assert [child.epoch for child in tree.children()] == [1] * LENGTH
    assert seen.entries == []


def test_what_is_told_down_a_long_chain_arrives_in_its_order(grow: Grow) -> None:
    seen = Journal()
    tree = chain(grow, seen)
    for number in range(20):
        tree.address("0").tell(("tell", number))
    assert seen.wait_for(20) == [*range(20)]
    assert [child.epoch for child in tree.children()] == [1] * LENGTH


def test_from_the_bottom_of_a_deep_stack_a_short_chain_is_asked_as_from_its_top(
    grow: Grow,
) -> None:
    tree = chain(grow, Journal())

    def dive(depth: int) -> Any:
        if depth:
            return dive(depth - 1)
        return tree.address(str(LENGTH - 10)).ask(("ask", 1), timeout=WAIT)

    answers = Journal()
    thread = threading.Thread(target=lambda: answers.add(dive(400)))
    thread.start()
    thread.join(WAIT)
    assert answers.entries == [[*range(LENGTH - 10, LENGTH)]]


@pytest.mark.parametrize("depth", [3, 5000])
def test_a_view_of_any_depth_is_drawn(depth: int) -> None:
    view = ChildView("leaf", "leaf", "up", 1)
    for _ in range(depth):
        view = ChildView("s", "s", "up", 1, supervisor=True, children=(view,))
    drawn = str(TreeView("root", (view, view))).splitlines()
    assert len(drawn) == 1 + 2 * (depth + 1)
    assert drawn[1].startswith("├─ s")
    assert drawn[2].startswith("│  └─ ")
    assert drawn[-1].endswith("└─ leaf, up, epoch 1")


def test_a_tree_of_hundreds_of_levels_can_be_looked_at_and_stopped() -> None:
    child = Child("leaf", partial(Link.start, 0, [], Journal()))
    for _ in range(400):
        child = Supervisor.child("s", child)
    tree = Supervisor.start(child)
    view, depth = tree.describe().children[0], 0
    while view.children:
        view, depth = view.children[0], depth + 1
    assert (view.id, depth) == ("leaf", 400)
    assert tree.stop(timeout=60)
