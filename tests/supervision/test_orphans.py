"""A supervisor that is abandoned leaves no orphans, and can't disturb its successor."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pykka
import pytest

from actors import (
    ActorCrashed,
    Child,
    ChildAbandoned,
    ChildEnded,
    ChildStarted,
    DynamicSupervisor,
    StartFailed,
    Supervisor,
    Tree,
)
from actors.supervision.base_supervisor import RunInSupervisor
from actors.testing import FakeClock, Gate
from tests.supervision.conftest import Grow
from tests.supervision.subjects import WAIT, Boom, Journal, Threaded, Turn


class HangsOnce(Threaded):
    """Its first start waits at the gate; any later one is quick."""

    def __init__(self, journal: Journal, gate: Gate, first: list[bool]) -> None:
        super().__init__(journal, "hangs")
        self.gate, self.first = gate, first

    def on_start(self) -> None:
        if self.first:
            self.first.clear()
            self.gate.hold()
        super().on_start()


def inner(journal: Journal, gate: Gate, first: list[bool], **options: Any) -> Child:
    """A supervisor whose middle child hangs in its first start."""
    return Supervisor.child(
        "inner",
        Child("a", partial(Threaded.start, journal, "a"), **options),
        Child("b", partial(HangsOnce.start, journal, gate, first), start_within=3600.0),
        Child("c", partial(Threaded.start, journal, "c")),
        start_within=10.0,
    )


def test_a_supervisor_abandoned_in_its_start_takes_its_children_along() -> None:
    clock, gate, journal, outcome = FakeClock(), Gate(), Journal(), Journal()

    def start() -> None:
        try:
            Supervisor.start(inner(journal, gate, [True]), clock=clock)
        except StartFailed as error:
            outcome.add(error)

    registered = len(pykka.ActorRegistry.get_all())
    thread = threading.Thread(target=start)
    thread.start()
    gate.reached()
    clock.wait_for_waiting(2)  # the root for inner, inner for b
    clock.advance(10.0)
    (error,) = outcome.wait_for(1)
    assert error.child == "inner"
    assert journal.entries == [("start", "a"), ("stop", "a")]
    (abandoned,) = [each for each in threading.enumerate() if each.name == "inner"]
    gate.open()
    thread.join(WAIT)
    abandoned.join(WAIT)
    assert journal.entries[2:] == [("start", "hangs"), ("stop", "hangs")]  # and c was never started
    assert len(pykka.ActorRegistry.get_all()) == registered


def test_the_successor_starts_when_the_orphans_have_stopped_and_keeps_its_addresses(
    grow: Grow,
) -> None:
    clock, gate, journal, events = FakeClock(), Gate(), Journal(), Journal()
    first: list[bool] = []
    tree = grow(inner(journal, gate, first), clock=clock)
    tree.on_event(events.add)
    addresses = [tree.address(f"inner/{each}") for each in ("a", "b", "c")]
    first.append(True)
    stop(tree, "inner")
    gate.reached()
    clock.wait_for_waiting(2)
    journal.entries.clear()
    clock.advance(10.0)  # the second incarnation is abandoned, the third comes up
    assert [each.ask(("echo", 1), timeout=60.0) for each in addresses] == [1, 1, 1]
    assert journal.entries[:2] == [("stop", "a"), ("start", "a")]
    gate.open()  # the second one's start goes on: it must end by itself
    journal.wait(lambda entries: ("stop", "hangs") in entries)
    assert [each.ask(("echo", 2), timeout=60.0) for each in addresses] == [2, 2, 2]
    assert [each.alive for each in addresses] == [True] * 3
    assert [view.state for view in tree.children("inner")] == ["up"] * 3
    ends = [each for each in events.entries if isinstance(each, ChildEnded)]
    assert sum(each.path == "inner/a" for each in ends) == 2  # one for each of two incarnations


def refused(start: Callable[..., object], *args: object) -> None:
    """Start a child whose supervisor is abandoned meanwhile."""
    with pytest.raises(ActorCrashed, match="pool was abandoned"):
        start(*args)


def stop(tree: Tree, path: str) -> None:
    """Have the supervisor at ``path`` end by itself, so that its parent starts it again."""
    supervisor = tree.address(path).ask(RunInSupervisor(lambda me: me), timeout=WAIT)
    supervisor.actor_ref.stop(block=False)


@pytest.mark.parametrize("kind", [Threaded, Turn])
def test_the_children_of_a_supervisor_that_hangs_are_stopped_by_who_abandons_it(
    grow: Grow, kind: Any
) -> None:
    """A supervisor hangs where a start runs on its own thread: in a constructor."""
    gate, journal, clock = Gate(), Journal(), FakeClock()

    class Stuck(Threaded):
        def __init__(self) -> None:
            gate.hold()
            super().__init__()

    pool = Supervisor.child("pool", Child("a", partial(kind.start, journal, "a")))
    tree = grow(replace(pool, hang_after=1.0), clock=clock)
    thread = threading.Thread(
        target=refused, args=(tree.start_child, Child("s", Stuck.start), "pool")
    )
    thread.start()
    gate.reached()
    while tree.address("pool").epoch == 1:
        clock.wait_for_timers(1)
        clock.advance(0.5)
        tree.children()
    assert journal.entries == [("start", "a"), ("stop", "a"), ("start", "a")]
    gate.open()
    thread.join(WAIT)
    assert tree.address("pool/a").ask(("echo", 1), timeout=WAIT) == 1


def test_an_orphan_that_does_not_stop_is_abandoned_and_counted(grow: Grow) -> None:
    clock, stubborn, gate, events = FakeClock(), Gate(), Gate(), Journal()

    class Stubborn(Threaded):
        def on_stop(self) -> None:
            stubborn.hold()

    child = Supervisor.child(
        "inner",
        Child("a", Stubborn.start, shutdown=None),  # an orphan has five seconds all the same
        Child("b", partial(HangsOnce.start, Journal(), gate, [True]), start_within=3600.0),
        start_within=10.0,
    )
    tree = grow(max_abandoned=1, clock=clock)
    tree.on_event(events.add)
    exits, outcome = Journal(), Journal()
    tree.on_exit(exits.add)

    def start() -> None:
        try:
            tree.start_child(child)
        except StartFailed as error:
            outcome.add(error)

    thread = threading.Thread(target=start)
    thread.start()
    gate.reached()
    clock.wait_for_waiting(2)
    clock.advance(10.0)
    stubborn.reached()
    clock.wait_for_waiting(2)
    clock.advance(5.0)
    outcome.wait_for(1)
    abandoned = [each.path for each in events.entries if isinstance(each, ChildAbandoned)]
    assert abandoned == ["inner", "inner/a"]
    (exit_,) = exits.wait_for(1)  # one more than allowed: inner's own thread, and that of a
    assert "2 abandoned threads still run" in str(exit_)
    stubborn.open()
    gate.open()
    thread.join(WAIT)


def test_dynamic_orphans_are_stopped_too(grow: Grow) -> None:
    gate, journal, clock = Gate(), Journal(), FakeClock()

    def start(label: str) -> Any:
        if label == "stuck":
            gate.hold()
        return Threaded.start(journal, label)

    pool = DynamicSupervisor.child("pool", Child("w", start))  # type: ignore[arg-type]  # a template takes more
    tree = grow(replace(pool, hang_after=1.0), clock=clock)
    children = tree.dynamic("pool")
    address = children.start_child("one")
    thread = threading.Thread(target=refused, args=(children.start_child, "stuck"))
    thread.start()
    gate.reached()
    while tree.address("pool").epoch == 1:
        clock.wait_for_timers(1)
        clock.advance(0.5)
        tree.children()
    assert journal.entries == [("start", "one"), ("stop", "one")]
    assert not address.alive
    gate.open()
    thread.join(WAIT)
    assert tree.dynamic("pool").count() == 0
    assert journal.wait_for(4)[2:] == [("start", "stuck"), ("stop", "stuck")]


def test_a_supervisor_that_crashes_in_its_own_code_is_no_orphanage(grow: Grow) -> None:
    journal, events = Journal(), Journal()
    tree = grow(Supervisor.child("inner", Child("a", partial(Threaded.start, journal, "a"))))
    tree.on_event(events.add)

    def defect(_supervisor: object) -> None:
        raise Boom

    tree.address("inner").tell(RunInSupervisor(defect))
    events.wait(lambda entries: ChildStarted("inner", 2) in entries)
    assert journal.entries == [("start", "a"), ("stop", "a"), ("start", "a")]
