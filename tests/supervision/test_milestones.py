"""A supervisor that waits for a child's start or end can be asked by nobody whom that waits for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pykka
import pytest

from actors import AskCycle, Child, StartFailed, Supervised, Supervisor
from actors.supervision.mailbox import Mailbox
from actors.supervision.reply import Reply
from actors.supervision.waits import Milestone, held_up_by
from actors.testing import FakeClock, Gate
from tests.supervision.conftest import Grow
from tests.supervision.subjects import WAIT, Journal, Threaded, call
from tests.supervision.test_waits import asked, party, running


def never() -> bool:
    return False


def waits(asker: Mailbox, target: Mailbox) -> Reply:
    """As if the handler of ``asker`` had asked ``target`` a moment ago."""
    reply = asked(target)
    asker.waiting_for = reply
    return reply


class Asking(Supervised):
    """Calls the tree while it starts."""

    def __init__(self, look: Callable[[], object]) -> None:
        super().__init__()
        self.look = look

    def on_start(self) -> None:
        self.look()


@pytest.mark.parametrize("under", ["", "nested"])
def test_a_child_that_calls_its_tree_while_it_starts_is_told_at_once(
    grow: Grow, under: str
) -> None:
    tree = grow(Supervisor.child("nested"), clock=FakeClock())  # no deadline will ever come
    path = f"{under}/a" if under else "a"
    with pytest.raises(StartFailed) as caught:
        tree.start_child(
            Child("a", partial(Asking.start, partial(tree.counts, under))), under=under
        )
    cause = caught.value.__cause__
    assert isinstance(cause, AskCycle)
    assert cause.cycle == (path, under or "root", path)


def test_a_child_that_calls_its_tree_while_it_is_stopped_is_told_at_once(grow: Grow) -> None:
    clock, gate, told = FakeClock(), Gate(), Journal()
    tree = grow(clock=clock)

    def handle(_me: Any) -> None:
        gate.hold()
        try:
            tree.start_child(Child("b", Threaded.start))
        except AskCycle as error:
            told.add(error.cycle)

    tree.start_child(Child("a", Threaded.start)).tell(call(handle))
    gate.reached()
    stopper = threading.Thread(target=lambda: tree.stop_child("a"))
    stopper.start()
    clock.wait_for_waiting(1)
    gate.open()
    stopper.join(WAIT)
    assert told.entries == [("a", "root", "a")]
    assert [child.id for child in tree.children()] == ["a"]


def test_who_asked_just_before_the_supervisor_came_to_wait_is_told_too() -> None:
    child, supervisor = party("child"), party("supervisor")
    reply = waits(child, supervisor)
    with (
        running(supervisor),
        held_up_by(Milestone(child, never)),
        pytest.raises(AskCycle) as caught,
    ):
        reply.get(timeout=0)
    assert caught.value.cycle == ("child", "supervisor", "child")
    assert reply.withdrawn  # the supervisor is not to do it later, when nobody waits
    assert supervisor.waiting_for is None


def test_who_asks_the_supervisor_on_behalf_of_a_starting_child_is_told() -> None:
    child, other, supervisor = party("child"), party("other"), party("supervisor")
    behind, reply = waits(child, other), waits(other, supervisor)
    with (
        running(supervisor),
        held_up_by(Milestone(child, never)),
        pytest.raises(AskCycle) as caught,
    ):
        reply.get(timeout=0)
    assert caught.value.cycle == ("other", "supervisor", "child", "other")
    assert not behind.done


def test_a_starting_child_that_asks_the_supervisor_of_its_supervisor_is_told() -> None:
    child, inner, outer = party("child"), party("inner"), party("outer")
    reply = waits(child, outer)
    outer.waiting_for = Milestone(inner, never)
    with running(inner), held_up_by(Milestone(child, never)), pytest.raises(AskCycle) as caught:
        reply.get(timeout=0)
    assert caught.value.cycle == ("child", "outer", "inner", "child")


def test_who_waits_for_somebody_else_or_was_answered_is_left_alone() -> None:
    child, other, supervisor = party("child"), party("other"), party("supervisor")
    elsewhere = waits(child, other)
    with running(supervisor), held_up_by(Milestone(child, never)):
        assert not elsewhere.done
    answered = waits(child, supervisor)
    answered.settle("well")
    with running(supervisor), held_up_by(Milestone(child, never)):
        assert answered.get(timeout=0) == "well"
    with held_up_by(Milestone(child, never)):  # on a thread that runs no actor
        assert child.waiting_for is answered


def test_a_milestone_that_was_reached_holds_nobody_up() -> None:
    child, supervisor = party("child"), party("supervisor")
    supervisor.waiting_for = Milestone(child, lambda: True)
    with running(child), pytest.raises(pykka.Timeout):
        asked(supervisor).get(timeout=0)
