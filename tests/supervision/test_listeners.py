"""Who listens to a tree: events in order, exits that keep nothing alive, metrics."""

from __future__ import annotations

import dataclasses
import gc
import threading
import weakref
from functools import partial
from typing import Any

import pykka
import pytest
from prometheus_client import CollectorRegistry

from actors import (
    AskCycle,
    Backoff,
    Cause,
    Child,
    ChildAbandoned,
    ChildEnded,
    ChildRestarting,
    ChildStarted,
    DynamicSupervisor,
    Exit,
    Failure,
    Supervisor,
    SupervisorGaveUp,
    SupervisorShutDown,
)
from actors.supervision import plan
from actors.supervision.events import EventBus
from actors.supervision.lifecycle import TRACEBACK_LIMIT
from actors.supervision.metrics import SupervisionMetrics
from actors.supervision.plan import ChildState, Status, SupervisorState
from actors.supervision.spec import Strategy
from actors.testing import FakeClock
from tests.supervision.conftest import Grow
from tests.supervision.subjects import WAIT, Boom, Journal, Threaded, Turn

# Events


def test_whoever_is_answered_by_a_new_incarnation_finds_that_the_listeners_know_of_it(
    grow: Grow,
) -> None:
    tree, events = grow(Child("a", Turn.start)), Journal()
    tree.on_event(events.add)
    for number in range(2, 12):
        tree.address("a").tell(("raise", Boom()))
        assert tree.address("a").ask(("echo", 1), timeout=WAIT) == 1
        assert events.entries[-1] == ChildStarted("a", number)


def test_a_nested_start_is_told_from_the_inside_out(grow: Grow) -> None:
    tree, events = grow(), Journal()
    tree.on_event(events.add)
    inner = Supervisor.child("inner", Child("a", Turn.start), Child("b", Turn.start))
    tree.start_child(Supervisor.child("outer", inner))
    paths = ["outer/inner/a", "outer/inner/b", "outer/inner", "outer"]
    assert events.entries == [ChildStarted(path, 1) for path in paths]


def test_a_nested_stop_is_told_from_the_inside_out_and_in_reverse(grow: Grow) -> None:
    inner = Supervisor.child("inner", Child("a", Turn.start), Child("b", Turn.start))
    tree, events = grow(Supervisor.child("outer", inner)), Journal()
    tree.on_event(events.add)
    tree.stop_child("outer")
    paths = ["outer/inner/b", "outer/inner/a", "outer/inner", "outer"]
    assert events.entries == [ChildEnded(path, Exit(Cause.SHUTDOWN)) for path in paths]


def test_a_listener_may_describe_the_tree_and_nothing_else(grow: Grow) -> None:
    tree, drawn, refused = grow(Child("a", Turn.start)), Journal(), Journal()

    def listen(_event: object) -> None:
        drawn.add(str(tree.describe()))
        try:
            tree.counts()
        except AskCycle as error:
            refused.add(error.cycle)

    tree.on_event(listen)
    tree.address("a").tell(("raise", Boom("why")))
    drawn.wait_for(3)
    assert tree.address("a").ask(("echo", 1), timeout=WAIT) == 1
    assert "last exit: crash (Boom: why)" in drawn.entries[0]
    assert refused.entries == [("root", "root")] * 3


def test_every_listener_hears_every_event_in_the_order_of_listening() -> None:
    bus, heard = EventBus(), list[tuple[str, object]]()
    for name in ("one", "two"):
        bus.listen(lambda event, name=name: heard.append((name, event)))  # type: ignore[misc]  # a default binds the name
    first, second = ChildStarted("a", 1), ChildStarted("a", 2)
    bus.publish(first)
    bus.publish(second)
    assert heard == [("one", first), ("two", first), ("one", second), ("two", second)]


def test_an_event_is_frozen_and_compares_by_value() -> None:
    event = ChildRestarting("a", 0.5)
    assert event == ChildRestarting("a", 0.5)
    with pytest.raises(AttributeError):
        event.delay = 1.0  # type: ignore[misc]  # wrong on purpose


# Exits


@pytest.mark.parametrize(
    ("cause", "abnormal"),
    [
        (Cause.NORMAL, False),
        (Cause.SHUTDOWN, False),
        (Cause.CRASH, True),
        (Cause.START, True),
        (Cause.HUNG, True),
    ],
)
def test_the_cause_decides_whether_an_exit_is_abnormal(cause: Cause, abnormal: bool) -> None:
    assert Exit(cause).abnormal is abnormal
    assert str(Exit(cause)) == cause.value


def deep(levels: int) -> None:
    """Raise from so many frames down."""
    if not levels:
        raise Boom("at the bottom")
    deep(levels - 1)


def raised(levels: int) -> Boom:
    try:
        deep(levels)
    except Boom as error:
        return error
    raise AssertionError


def test_a_failure_keeps_the_innermost_frames_of_a_deep_fall() -> None:
    failure = Failure(raised(10 * -TRACEBACK_LIMIT))
    lines = failure.traceback.splitlines()
    assert lines[-1].endswith("Boom: at the bottom")
    assert failure.traceback.count('File "') <= -TRACEBACK_LIMIT
    assert (failure.type, failure.message) == ("Boom", "at the bottom")


def test_a_failure_keeps_neither_the_exception_nor_what_its_frames_held_alive() -> None:
    class Heavy:
        pass

    def fail() -> weakref.ref[Heavy]:
        heavy = Heavy()
        reference = weakref.ref(heavy)
        try:
            raise Boom(heavy)  # noqa: TRY301  # its frame is the point
        except Boom as error:
            kept.append(Exit.of(Cause.CRASH, error))
        return reference

    kept: list[Exit] = []
    reference = fail()
    gc.collect()
    assert reference() is None
    assert "raise Boom(heavy)" in str(kept[0].error and kept[0].error.traceback)


def test_a_cause_behind_the_cause_is_in_the_trace() -> None:
    try:
        try:
            raise Boom("first")  # noqa: TRY301  # the chain is the point
        except Boom as error:
            raise ValueError("second") from error
    except ValueError as error:
        failure = Failure(error)
    assert failure.traceback.index("Boom: first") < failure.traceback.index("ValueError: second")


def test_failures_compare_by_type_and_text() -> None:
    one, same = Failure(Boom("x")), Failure(Boom("x"))
    assert one == same
    assert hash(one) == hash(same)
    assert one != Failure(Boom("y"))
    assert one != Failure(ValueError("x"))
    assert one != "Boom: x"
    assert repr(one) == "Failure(Boom: x)"
    assert str(Failure(Boom())) == "Boom"


# Metrics


def counted(registry: CollectorRegistry, what: str, **labels: str) -> float:
    return registry.get_sample_value(f"mine_supervision_{what}_total", labels) or 0.0


def test_metrics_count_restarts_ends_and_supervisors_that_gave_up() -> None:
    registry = CollectorRegistry()
    metrics = SupervisionMetrics(registry, prefix="mine")
    for event in (
        ChildStarted("a", 1),
        ChildEnded("a", Exit(Cause.CRASH)),
        ChildRestarting("a", 0.1),
        ChildStarted("a", 2),
        ChildAbandoned("a"),
        ChildEnded("a", Exit(Cause.HUNG)),
        ChildStarted("a", 3),
        SupervisorGaveUp("s", 2),
        SupervisorShutDown("s", "a"),
    ):
        metrics(event)
    assert counted(registry, "restarts", child="a") == 2
    assert counted(registry, "exits", child="a", cause="crash") == 1
    assert counted(registry, "exits", child="a", cause="hung") == 1
    assert counted(registry, "abandoned", child="a") == 1
    assert counted(registry, "gave_up", supervisor="s") == 1


def test_metrics_of_a_living_tree(grow: Grow) -> None:
    registry = CollectorRegistry()
    tree = grow(Child("a", Turn.start), Child("b", Turn.start))
    tree.on_event(SupervisionMetrics(registry, prefix="mine"))
    for _ in range(3):
        tree.address("a").tell(("raise", Boom()))
        assert tree.address("a").ask(("echo", 1), timeout=WAIT) == 1
    assert counted(registry, "restarts", child="a") == 3
    assert counted(registry, "exits", child="a", cause="crash") == 3
    assert counted(registry, "restarts", child="b") == 0


# What ten thousand of them cost


@pytest.mark.parametrize("kind", [Turn])
def test_ten_thousand_named_children_start_and_stop(kind: Any) -> None:
    """That the time is linear shows in ``make bench ARGS=supervision``."""
    tree = Supervisor.start(*(Child(f"c{number}", kind.start) for number in range(10_000)))
    exits = Journal()
    tree.on_exit(exits.add)
    assert tree.address("c9999").ask(("echo", 1), timeout=WAIT) == 1
    assert tree.stop(timeout=60)
    assert exits.entries == [Exit(Cause.SHUTDOWN)]


def test_an_end_or_a_new_child_looks_at_no_other_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cost of a step, counted and not timed: how many members it is asked about."""
    roster = plan.OrderedChildren(SupervisorState(Strategy.ONE_FOR_ONE, 1, 5.0))
    made = Journal()
    original = dataclasses.replace

    def note(*args: Any, **changes: Any) -> Any:
        made.add(changes)
        return original(*args, **changes)

    monkeypatch.setattr(plan, "replace", note)
    for number in range(100):
        roster.add(ChildState(str(number)))
        roster.mark(str(number), Status.DOWN)
    assert len(made.entries) == 100
    roster.drop("99")
    roster.drop("unknown")
    roster.mark("unknown", Status.UP)
    assert len(made.entries) == 100
    assert [each.id for each in roster.members] == [str(number) for number in range(99)]
    assert {each.status for each in roster.members} == {Status.DOWN}


def test_children_that_are_stopped_leave_pykkas_registry_at_once(grow: Grow) -> None:
    gate_reached, registered = Journal(), len(pykka.ActorRegistry.get_all())
    clock = FakeClock()

    class Looks(Threaded):
        def on_stop(self) -> None:
            gate_reached.add(len(pykka.ActorRegistry.get_all()))

    tree = grow(
        Supervisor.child("inner", *(Child(str(n), Looks.start) for n in range(3))),
        DynamicSupervisor.child("pool", Child("w", partial(Looks.start, Journal()))),
        clock=clock,
    )
    tree.dynamic("pool").start_child()
    tree.stop_child("inner")
    tree.stop_child("pool")
    # Seen by the first to stop: the supervisors and the pool's child are listed, its siblings not.
    assert gate_reached.entries[0] == registered + 4
    assert len(pykka.ActorRegistry.get_all()) == registered + 1


def test_a_restarted_child_is_in_pykkas_registry_again(grow: Grow) -> None:
    tree = grow(Child("a", Threaded.start, backoff=Backoff()))
    registered = len(pykka.ActorRegistry.get_all())
    tree.stop_child("a")
    assert len(pykka.ActorRegistry.get_all()) == registered - 1
    tree.restart_child("a")
    assert len(pykka.ActorRegistry.get_all()) == registered


def test_a_listener_that_comes_while_events_are_told_hears_the_next_ones(grow: Grow) -> None:
    tree, events, late = grow(Child("a", Turn.start)), Journal(), Journal()
    begin = threading.Event()

    def listen_once(event: object) -> None:
        events.add(event)
        if not begin.is_set():
            begin.set()
            tree.on_event(late.add)

    tree.on_event(listen_once)
    tree.address("a").tell(("raise", Boom()))
    events.wait_for(3)
    assert late.wait_for(2) == events.entries[1:]
