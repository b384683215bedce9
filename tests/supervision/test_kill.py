"""A child that is killed is cut off, and ends abnormally for its supervisor."""

from __future__ import annotations

import pytest

from actors import Cause, Child, ChildEnded, ChildStateError, Restart, Supervisor, UnknownChild
from actors.testing import Gate
from tests.supervision.conftest import Grow
from tests.supervision.subjects import WAIT, Journal, Threaded, Turn, call


@pytest.mark.parametrize("kind", [Threaded, Turn])
def test_a_killed_child_is_started_again(grow: Grow, kind: type[Threaded]) -> None:
    tree, events = grow(Child("a", kind.start, restart=Restart.TRANSIENT)), Journal()
    tree.on_event(events.add)
    tree.kill_child("a")
    assert tree.address("a").ask(("echo", 1), timeout=WAIT) == 1
    assert tree.address("a").epoch == 2
    ended = [each.exit.cause for each in events.entries if isinstance(each, ChildEnded)]
    assert ended == [Cause.HUNG]


def test_a_child_that_hangs_can_be_killed(grow: Grow) -> None:
    gate = Gate()
    tree = grow(Child("a", Threaded.start))
    tree.address("a").tell(call(lambda _me: gate.hold()))
    gate.reached()
    tree.kill_child("a")
    assert tree.address("a").ask(("echo", 1), timeout=WAIT) == 1
    gate.open()


def test_a_killed_supervisor_comes_back_with_its_children(grow: Grow) -> None:
    tree = grow(Supervisor.child("s", Child("a", Threaded.start)))
    tree.kill_child("s")
    assert tree.address("s/a").ask(("echo", 1), timeout=WAIT) == 1


def test_what_is_not_up_can_not_be_killed(grow: Grow) -> None:
    tree = grow(Child("a", Threaded.start))
    tree.stop_child("a")
    with pytest.raises(ChildStateError, match="nothing to kill"):
        tree.kill_child("a")
    with pytest.raises(UnknownChild):
        tree.kill_child("b")
