"""A supervisor that waits for a child's start or end can be asked by nobody whom that waits for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pykka
import pytest

from actors import AskCycle, Child, NotDelivered, StartFailed, Supervised, Supervisor
from actors.supervision.deadlock import LifecycleWait, waiting_for_lifecycle
from actors.supervision.lifecycle import Latch
from actors.supervision.mailbox import Mailbox
from actors.supervision.reply import Reply
from actors.testing import FakeClock, Gate
from tests.supervision.conftest import Grow
from tests.supervision.subjects import WAIT, Journal, Threaded, call
from tests.supervision.test_deadlock import asked, node, running


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
    child, supervisor = node("child"), node("supervisor")
    reply = waits(child, supervisor)
    with (
        running(supervisor),
        waiting_for_lifecycle(LifecycleWait(child, never)),
        pytest.raises(AskCycle) as caught,
    ):
        reply.get(timeout=0)
    assert caught.value.cycle == ("child", "supervisor", "child")
    assert reply.withdrawn  # the supervisor is not to do it later, when nobody waits
    assert supervisor.waiting_for is None


def test_who_asks_the_supervisor_on_behalf_of_a_starting_child_is_told() -> None:
    child, other, supervisor = node("child"), node("other"), node("supervisor")
    behind, reply = waits(child, other), waits(other, supervisor)
    with (
        running(supervisor),
        waiting_for_lifecycle(LifecycleWait(child, never)),
        pytest.raises(AskCycle) as caught,
    ):
        reply.get(timeout=0)
    assert caught.value.cycle == ("other", "supervisor", "child", "other")
    assert not behind.done


def test_a_starting_child_that_asks_the_supervisor_of_its_supervisor_is_told() -> None:
    child, inner, outer = node("child"), node("inner"), node("outer")
    reply = waits(child, outer)
    outer.waiting_for = LifecycleWait(inner, never)
    with (
        running(inner),
        waiting_for_lifecycle(LifecycleWait(child, never)),
        pytest.raises(AskCycle) as caught,
    ):
        reply.get(timeout=0)
    assert caught.value.cycle == ("child", "outer", "inner", "child")


def test_who_waits_for_somebody_else_or_was_answered_is_left_alone() -> None:
    child, other, supervisor = node("child"), node("other"), node("supervisor")
    elsewhere = waits(child, other)
    with running(supervisor), waiting_for_lifecycle(LifecycleWait(child, never)):
        assert not elsewhere.done
    answered = waits(child, supervisor)
    answered.settle("well")
    with running(supervisor), waiting_for_lifecycle(LifecycleWait(child, never)):
        assert answered.get(timeout=0) == "well"
    with waiting_for_lifecycle(LifecycleWait(child, never)):  # on a thread that runs no actor
        assert child.waiting_for is answered


def test_a_milestone_that_was_reached_holds_nobody_up() -> None:
    child, supervisor = node("child"), node("supervisor")
    supervisor.waiting_for = LifecycleWait(child, lambda: True)
    with running(child), pytest.raises(pykka.Timeout):
        asked(supervisor).get(timeout=0)


def test_an_actor_that_asks_itself_while_it_starts_is_told_at_once(grow: Grow) -> None:
    class Selfish(Supervised):
        def on_start(self) -> None:
            self.address.ask("anybody?", timeout=600)

    with pytest.raises(StartFailed, match="a -> a") as caught:
        grow(clock=FakeClock()).start_child(Child("a", Selfish.start))
    assert isinstance(caught.value.__cause__, AskCycle)


def test_a_child_that_calls_its_supervisor_while_both_start_is_told_at_once(grow: Grow) -> None:
    tree, told = grow(clock=FakeClock()), Journal()

    def look() -> None:
        try:
            tree.start_child(Child("b", Threaded.start), under="nested")
        except AskCycle as error:
            told.add(error.cycle)

    tree.start_child(Supervisor.child("nested", Child("a", partial(Asking.start, look))))
    assert told.entries == [("nested/a", "nested", "nested/a")]
    assert [child.id for child in tree.children("nested")] == ["a"]


def test_a_namesake_in_another_tree_is_somebody_else(grow: Grow) -> None:
    other, told = grow(Child("a", Threaded.start)), Journal()
    other.stop_child("a")

    def look() -> None:
        try:
            other.address("a").ask(("echo", 1), timeout=WAIT)
        except NotDelivered as error:
            told.add(str(error))

    assert grow(Child("a", partial(Asking.start, look))).address("a").alive
    assert told.entries == ["a has ended, and will not be started again"]


def test_ctrl_c_while_a_tree_starts_has_it_stop(
    no_thread_is_left: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, gate = Journal(), Gate()

    def interrupted(_latch: Latch, _seconds: float | None = None) -> bool:
        if threading.current_thread() is not threading.main_thread():
            return original(_latch, _seconds)
        gate.reached()
        gate.open()
        raise KeyboardInterrupt

    class Slow(Threaded):
        def on_start(self) -> None:
            super().on_start()
            gate.hold()

    original = Latch.wait
    monkeypatch.setattr(Latch, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Supervisor.start(Child("a", partial(Slow.start, journal)))
    assert journal.wait_for(2) == [("start", ""), ("stop", "")]
