"""Restart type and exit reason, every pair, with what exactly happens then and in which order."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from actors import (
    AutoShutdown,
    Cause,
    Child,
    ChildAbandoned,
    ChildEnded,
    ChildRestarting,
    ChildStarted,
    Restart,
    Strategy,
    Supervisor,
    SupervisorGaveUp,
    SupervisorShutDown,
    Tree,
    TreeEvent,
)
from actors.supervision.plan import (
    Action,
    ChildState,
    Ended,
    Remove,
    ScheduleRestart,
    Stop,
    SupervisorState,
    plan,
)
from actors.testing import FakeClock, Gate
from tests.supervision.conftest import Grow
from tests.supervision.subjects import WAIT, Boom, Journal, Threaded, Turn, call

PERMANENT, TRANSIENT, TEMPORARY = Restart.PERMANENT, Restart.TRANSIENT, Restart.TEMPORARY
GONE, DOWN, BACK = "gone", "down", "back"

FATE = {
    (PERMANENT, False): BACK,
    (PERMANENT, True): BACK,
    (TRANSIENT, False): DOWN,
    (TRANSIENT, True): BACK,
    (TEMPORARY, False): GONE,
    (TEMPORARY, True): GONE,
}
"""OTP's table: restart type, and whether the exit was abnormal."""


def ends_normally(tree: Tree, _clock: FakeClock) -> None:
    tree.address("a").tell(call(lambda me: me.stop()))


def crashes(tree: Tree, _clock: FakeClock) -> None:
    tree.address("a").tell(("raise", Boom()))


def exits(tree: Tree, _clock: FakeClock) -> None:
    tree.address("a").tell(("raise", SystemExit(3)))


def fails_to_stop(tree: Tree, _clock: FakeClock) -> None:
    """Ends normally, but its ``on_stop`` raises."""

    def stop(me: Any) -> None:
        me.journal = None  # where on_stop notes that it ran
        me.stop()

    tree.address("a").tell(call(stop))


def hangs(tree: Tree, clock: FakeClock) -> None:
    gate, events = Gate(), Journal()
    tree.on_event(events.add)
    tree.address("a").tell(call(lambda _me: gate.hold()))
    gate.reached()
    while not any(isinstance(each, ChildAbandoned) for each in events.entries):
        clock.wait_for_timers(1)
        clock.advance(0.5)
        tree.children()
    gate.open()


def is_stopped_by_a_stranger(tree: Tree, _clock: FakeClock) -> None:
    ref = tree.address("a").ask(call(lambda me: me.actor_ref), timeout=WAIT)
    ref.stop(timeout=WAIT)


Trigger = Callable[[Tree, FakeClock], None]

REASONS: list[tuple[Trigger, Cause]] = [
    (ends_normally, Cause.NORMAL),
    (is_stopped_by_a_stranger, Cause.NORMAL),
    (crashes, Cause.CRASH),
    (exits, Cause.CRASH),
    (fails_to_stop, Cause.CRASH),
    (hangs, Cause.HUNG),
]


def note_of(path: str, events: Journal, event: TreeEvent) -> None:
    """A listener that notes what happens to one child."""
    if event.path == path:
        events.add(event)


def after(tree: Tree, fate: str, events: Journal) -> list[Any]:
    """The events of child ``a`` once its fate is sealed."""
    if fate == BACK:
        events.wait(lambda entries: ChildStarted("a", 2) in entries)
    else:
        events.wait(lambda entries: any(isinstance(each, ChildEnded) for each in entries))
    tree.children()  # the supervisor has done what it had in hand
    return [each for each in events.entries if not isinstance(each, ChildAbandoned)]


CASES = [
    pytest.param(kind, trigger, cause, id=f"{kind.__name__}-{trigger.__name__}")
    for kind in (Threaded, Turn)
    for trigger, cause in REASONS
    # Whoever hangs a thread-less actor is its sender: test_hung.py has that.
    if (kind, trigger) != (Turn, hangs)
]


@pytest.mark.parametrize(("kind", "trigger", "cause"), CASES)
@pytest.mark.parametrize("restart", [*Restart])
def test_restart_type_and_exit_reason_decide(
    grow: Grow, restart: Restart, trigger: Trigger, cause: Cause, kind: Any
) -> None:
    clock, events = FakeClock(), Journal()
    hang_after = 2.0 if trigger is hangs else None
    tree = grow(
        Child("bystander", kind.start),
        Child("a", kind.start, restart=restart, hang_after=hang_after),
        clock=clock,
    )
    tree.on_event(events.add)
    trigger(tree, clock)
    fate = FATE[restart, cause in {Cause.CRASH, Cause.HUNG}]
    happened = after(tree, fate, events)
    assert happened[0].path == "a"
    assert happened[0].exit.cause is cause
    assert happened[1:] == (
        [ChildRestarting("a", 0.0), ChildStarted("a", 2)] if fate == BACK else []
    )
    views = {view.id: (view.state, view.epoch) for view in tree.children()}
    assert views.pop("bystander") == ("up", 1)
    assert views == {BACK: {"a": ("up", 2)}, DOWN: {"a": ("down", 1)}, GONE: {}}[fate]
    specs, active = {BACK: (2, 2), DOWN: (2, 1), GONE: (1, 1)}[fate]
    assert tree.counts() == {"specs": specs, "active": active, "supervisors": 0}


@pytest.mark.parametrize("why", ["gave up", "shut down by itself"])
@pytest.mark.parametrize("restart", [*Restart])
def test_a_supervisor_that_ends_with_shutdown_is_not_abnormal(
    grow: Grow, restart: Restart, why: str
) -> None:
    """OTP's trap: only a permanent supervisor is started again after it gave up."""
    job = Child("job", Threaded.start, restart=TRANSIENT, significant=True)
    inner = Supervisor.child(
        "a", job, intensity=0, auto_shutdown=AutoShutdown.ANY_SIGNIFICANT, restart=restart
    )
    tree, events = grow(inner), Journal()
    tree.on_event(partial(note_of, "a", events))
    gives_up = why == "gave up"
    message = ("raise", Boom()) if gives_up else call(lambda me: me.stop())
    tree.address("a/job").tell(message)
    fate = FATE[restart, False]
    happened = after(tree, fate, events)
    kinds: list[type] = [type(each) for each in happened]
    restarted: list[type] = [ChildRestarting, ChildStarted] if fate == BACK else []
    decided = SupervisorGaveUp if gives_up else SupervisorShutDown
    assert kinds == [decided, ChildEnded, *restarted]
    assert happened[1].exit.cause is Cause.SHUTDOWN
    assert (happened[1].exit.error is not None) is gives_up
    states = [view.state for view in tree.children()]
    assert states == {BACK: ["up"], DOWN: ["down"], GONE: []}[fate]
    assert tree.counts()["supervisors"] == (fate == BACK)


IDS = ("a", "b", "c")

ORDER: list[tuple[Strategy, Restart, bool, tuple[Action, ...]]] = [
    (Strategy.ONE_FOR_ONE, PERMANENT, False, (ScheduleRestart("b", 1),)),
    (Strategy.ONE_FOR_ONE, PERMANENT, True, (ScheduleRestart("b", 1),)),
    (Strategy.ONE_FOR_ONE, TRANSIENT, False, ()),
    (Strategy.ONE_FOR_ONE, TRANSIENT, True, (ScheduleRestart("b", 1),)),
    (Strategy.ONE_FOR_ONE, TEMPORARY, False, (Remove("b"),)),
    (Strategy.ONE_FOR_ONE, TEMPORARY, True, (Remove("b"),)),
    (Strategy.REST_FOR_ONE, PERMANENT, False, (Stop("c"), ScheduleRestart("b", 1))),
    (Strategy.REST_FOR_ONE, PERMANENT, True, (Stop("c"), ScheduleRestart("b", 1))),
    (Strategy.REST_FOR_ONE, TRANSIENT, False, ()),
    (Strategy.REST_FOR_ONE, TRANSIENT, True, (Stop("c"), ScheduleRestart("b", 1))),
    (Strategy.REST_FOR_ONE, TEMPORARY, False, (Remove("b"),)),
    (Strategy.REST_FOR_ONE, TEMPORARY, True, (Remove("b"),)),
    (Strategy.ONE_FOR_ALL, PERMANENT, False, (Stop("c"), Stop("a"), ScheduleRestart("b", 1))),
    (Strategy.ONE_FOR_ALL, PERMANENT, True, (Stop("c"), Stop("a"), ScheduleRestart("b", 1))),
    (Strategy.ONE_FOR_ALL, TRANSIENT, False, ()),
    (Strategy.ONE_FOR_ALL, TRANSIENT, True, (Stop("c"), Stop("a"), ScheduleRestart("b", 1))),
    (Strategy.ONE_FOR_ALL, TEMPORARY, False, (Remove("b"),)),
    (Strategy.ONE_FOR_ALL, TEMPORARY, True, (Remove("b"),)),
]


@pytest.mark.parametrize(("strategy", "restart", "abnormal", "expected"), ORDER)
def test_the_actions_for_every_strategy_restart_type_and_exit_come_in_this_order(
    strategy: Strategy, restart: Restart, abnormal: bool, expected: tuple[Action, ...]
) -> None:
    members = tuple(ChildState(each, restart if each == "b" else PERMANENT) for each in IDS)
    state = SupervisorState(strategy, intensity=3, period=5.0, members=members)
    assert plan(state, Ended("b", abnormal, now=0.0))[1] == expected


def test_the_table_above_is_complete() -> None:
    rows = {(strategy, restart, abnormal) for strategy, restart, abnormal, _ in ORDER}
    assert len(rows) == len(ORDER) == len(Strategy) * len(Restart) * 2


@pytest.mark.parametrize("bystander", [*Restart])
@pytest.mark.parametrize("strategy", [Strategy.REST_FOR_ONE, Strategy.ONE_FOR_ALL])
def test_a_bystander_comes_back_unless_it_is_temporary_and_costs_no_intensity(
    grow: Grow, strategy: Strategy, bystander: Restart
) -> None:
    journal, events = Journal(), Journal()
    tree = grow(
        Child("a", partial(Threaded.start, journal, "a")),
        Child("b", partial(Threaded.start, journal, "b"), restart=bystander),
        Child("c", partial(Threaded.start, journal, "c")),
        strategy=strategy,
        intensity=1,
    )
    tree.on_event(events.add)
    tree.address("a").tell(("raise", Boom()))
    events.wait(lambda entries: ChildStarted("c", 2) in entries)
    comes_back = bystander is not TEMPORARY
    again = [("start", each) for each in IDS if comes_back or each != "b"]
    assert journal.entries[3:] == [("stop", "c"), ("stop", "b"), *again]
    assert [view.id for view in tree.children()] == [each for _, each in again]
    assert sum(isinstance(each, ChildRestarting) for each in events.entries) == 1
