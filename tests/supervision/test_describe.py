"""A tree can be looked at whatever it is doing, and after its end."""

from __future__ import annotations

import threading
import time
from typing import Any

from actors import Child, DynamicSupervisor, Exit, Supervisor
from actors.testing import FakeClock, Gate
from tests.supervision.conftest import Grow
from tests.supervision.subjects import WAIT, Boom, Journal, Threaded, Turn, call


def test_a_tree_that_has_ended_tells_how_and_shows_its_children_down() -> None:
    tree = Supervisor.start(Child("a", Threaded.start), Child("b", Turn.start))
    assert tree.stop(timeout=WAIT)
    view = tree.describe()
    assert str(view.exit) == "shutdown"
    assert [child.state for child in view.children] == ["down", "down"]
    assert str(view).splitlines()[0] == "root, ended: shutdown"
    assert tree.counts() == {"specs": 2, "active": 0, "supervisors": 0}


def test_a_tree_that_gave_up_tells_why() -> None:
    tree, exits = Supervisor.start(Child("a", Threaded.start), intensity=0), Journal()
    tree.on_exit(exits.add)
    tree.address("a").tell(("raise", Boom("why")))
    exits.wait_for(1)
    text = str(tree.describe())
    assert "root, ended: shutdown (GaveUp: root: 1 restarts within 5 seconds)" in text
    assert "a, down, epoch 1, last exit: crash (Boom: why)" in text


def test_a_supervisor_that_is_stopping_a_slow_child_can_be_described_at_once(grow: Grow) -> None:
    gate, clock = Gate(), FakeClock()

    class Slow(Threaded):
        def on_stop(self) -> None:
            gate.hold()

    inner = Supervisor.child("inner", Child("slow", Slow.start, shutdown=WAIT))
    tree = grow(inner, clock=clock)
    stopper = threading.Thread(target=lambda: tree.stop_child("inner/slow"))
    stopper.start()
    gate.reached()
    clock.advance(3.0)
    (view,) = tree.describe().children
    assert str(view) == "inner, up, epoch 1, busy for 3.0 s"
    assert [child.state for child in view.children] == ["up"]
    begin = time.monotonic()
    assert [child.id for child in tree.children("inner")] == ["slow"]
    assert time.monotonic() - begin < WAIT
    gate.open()
    stopper.join(WAIT)
    assert [child.state for child in tree.children("inner")] == ["down"]


def test_a_child_that_is_starting_or_waits_for_a_restart_says_so(grow: Grow) -> None:
    gate, states = Gate(), Journal()
    tree = grow(Child("first", Turn.start))

    class Slow(Threaded):
        def on_start(self) -> None:
            gate.hold()

    starter = threading.Thread(target=lambda: tree.start_child(Child("slow", Slow.start)))
    starter.start()
    gate.reached()
    states.add([child.state for child in tree.describe().children])
    gate.open()
    starter.join(WAIT)
    states.add([child.state for child in tree.children()])
    assert states.entries == [["up", "starting"], ["up", "up"]]


def test_the_watcher_of_a_trees_end_can_be_taken_back() -> None:
    tree, exits = Supervisor.start(Child("a", Turn.start)), list[Exit]()
    assert tree.on_exit(exits.append).unwatch()
    assert tree.stop(timeout=WAIT)
    assert exits == []


def test_dynamic_children_are_drawn_below_their_supervisor(grow: Grow) -> None:
    tree = grow(DynamicSupervisor.child("pool", Child("w", Turn.start)))
    address = tree.dynamic("pool").start_child()
    busy = address.ask(call(busy_for), timeout=WAIT)
    assert busy is not None
    assert "   └─ w-1, up, epoch 1" in str(tree.describe())
    assert tree.counts() == {"specs": 1, "active": 1, "supervisors": 1}


def busy_for(actor: Any) -> float | None:
    """How long the actor is at its current message, as the records tell it."""
    busy: float | None = actor._supervised_loop.busy_for
    return busy
