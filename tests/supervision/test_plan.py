"""The plan: exact actions in exact order, and what holds for every history of events."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors import Restart, Strategy
from actors.supervision.plan import (
    Action,
    ChildState,
    Ended,
    Event,
    GiveUp,
    Remove,
    RestartFailed,
    RetryDue,
    ScheduleRestart,
    ShutDown,
    Start,
    Status,
    Stop,
    SupervisorState,
    plan,
)
from actors.supervision.spec import AutoShutdown

IDS = ("a", "b", "c", "d")


def state(strategy: Strategy = Strategy.ONE_FOR_ONE, **changes: Restart) -> SupervisorState:
    """Children a to d, all up and permanent but for ``changes``."""
    members = tuple(ChildState(each, changes.get(each, Restart.PERMANENT)) for each in IDS)
    return SupervisorState(strategy, intensity=3, period=5.0, members=members)


def crash(before: SupervisorState, child: str) -> tuple[SupervisorState, tuple[Action, ...]]:
    """The plan for a crash of ``child``, now."""
    return plan(before, Ended(child, abnormal=True, now=0.0))


def started(after: SupervisorState, actions: tuple[Action, ...], but: str = "") -> SupervisorState:
    """The state when every start of ``actions`` succeeded, up to that of ``but``."""
    for action in actions:
        if isinstance(action, Start):
            if action.child == but:
                return after
            after = after.mark(action.child, Status.UP)
    return after


@pytest.mark.parametrize(
    ("restart", "abnormal", "expected"),
    [
        (Restart.PERMANENT, False, (ScheduleRestart("b", 1),)),
        (Restart.PERMANENT, True, (ScheduleRestart("b", 1),)),
        (Restart.TRANSIENT, False, ()),
        (Restart.TRANSIENT, True, (ScheduleRestart("b", 1),)),
        (Restart.TEMPORARY, False, (Remove("b"),)),
        (Restart.TEMPORARY, True, (Remove("b"),)),
    ],
)
def test_restart_type_and_exit_decide(
    restart: Restart, abnormal: bool, expected: tuple[Action, ...]
) -> None:
    _, actions = plan(state(b=restart), Ended("b", abnormal, now=0.0))
    assert actions == expected


@pytest.mark.parametrize(
    ("strategy", "at_the_crash", "when_due"),
    [
        (Strategy.ONE_FOR_ONE, (ScheduleRestart("b", 1),), ("b",)),
        (Strategy.REST_FOR_ONE, (Stop("d"), Stop("c"), ScheduleRestart("b", 1)), ("b", "c", "d")),
        (Strategy.ONE_FOR_ALL, (Stop("d"), Stop("c"), Stop("a"), ScheduleRestart("b", 1)), IDS),
    ],
)
def test_the_group_stops_in_reverse_at_the_crash_and_starts_in_order_when_due(
    strategy: Strategy, at_the_crash: tuple[Action, ...], when_due: tuple[str, ...]
) -> None:
    between, actions = crash(state(strategy), "b")
    assert actions == at_the_crash
    assert [each.id for each in between.members if each.waits_for(1)] == [*when_due]
    after, actions = plan(between, RetryDue("b", 1))
    assert actions == tuple(Start(each) for each in when_due)
    assert started(after, actions) == replace(state(strategy), restarts=(0.0,), attempts=1)


def test_a_temporary_bystander_is_stopped_and_forgotten_and_not_started() -> None:
    between, actions = crash(state(Strategy.REST_FOR_ONE, c=Restart.TEMPORARY), "b")
    assert actions == (Stop("d"), Stop("c"), Remove("c"), ScheduleRestart("b", 1))
    assert between.find("c") is None
    assert plan(between, RetryDue("b", 1))[1] == (Start("b"), Start("d"))


def test_a_bystander_that_was_down_is_not_stopped_but_started_with_the_others() -> None:
    before = state(Strategy.ONE_FOR_ALL).mark("a", Status.DOWN)
    between, actions = crash(before, "d")
    assert actions == (Stop("c"), Stop("b"), ScheduleRestart("d", 1))
    assert plan(between, RetryDue("d", 1))[1] == tuple(Start(each) for each in IDS)


@pytest.mark.parametrize(
    ("strategy", "stopped", "restarted"),
    [
        (Strategy.ONE_FOR_ALL, (Stop("b"), Stop("a")), IDS),
        (Strategy.REST_FOR_ONE, (), ("c", "d")),
    ],
)
def test_who_started_before_a_sibling_failed_to_is_stopped_at_the_next_attempt(
    strategy: Strategy, stopped: tuple[Action, ...], restarted: tuple[str, ...]
) -> None:
    between, _ = crash(state(strategy), "a")
    after, actions = plan(between, RetryDue("a", 1))
    failed, actions = plan(started(after, actions, but="c"), RestartFailed("c", now=0.0))
    assert actions == (ScheduleRestart("c", 2),)
    assert [each.status for each in failed.members[:2]] == [Status.UP] * 2
    _, actions = plan(failed, RetryDue("c", 2))
    assert actions == (*stopped, *(Start(each) for each in restarted))


def test_a_retry_of_a_child_that_was_stopped_meanwhile_is_stale() -> None:
    between, _ = crash(state(), "b")
    stopped = between.mark("b", Status.DOWN)
    assert plan(stopped, RetryDue("b", 1)) == (stopped, ())


def test_the_timer_of_an_earlier_attempt_starts_nothing_early() -> None:
    """Crash, stopped by hand while it backs off, started by hand, crash: two timers run."""
    between, _ = crash(state(), "b")
    between = between.mark("b", Status.DOWN).mark("b", Status.UP)
    between, actions = crash(between, "b")
    assert actions == (ScheduleRestart("b", 2),)
    assert plan(between, RetryDue("b", 1)) == (between, ())
    assert plan(between, RetryDue("b", 2))[1] == (Start("b"),)


@pytest.mark.parametrize("gone", [Status.DOWN, None])
def test_siblings_come_back_without_a_child_that_was_stopped_by_hand_meanwhile(
    gone: Status | None,
) -> None:
    between, _ = crash(state(Strategy.ONE_FOR_ALL), "b")
    between = between.without("b") if gone is None else between.mark("b", gone)
    _, actions = plan(between, RetryDue("b", 1))
    assert actions == (Start("a"), Start("c"), Start("d"))


def test_a_crash_further_up_takes_over_who_waits_for_an_attempt_already() -> None:
    between, _ = crash(state(Strategy.REST_FOR_ONE), "c")
    between, actions = crash(between, "b")
    assert actions == (ScheduleRestart("b", 2),)
    assert plan(between, RetryDue("c", 1)) == (between, ())
    assert plan(between, RetryDue("b", 2))[1] == (Start("b"), Start("c"), Start("d"))


def test_an_event_of_an_unknown_child_changes_nothing() -> None:
    before = state()
    assert plan(before, Ended("ghost", abnormal=True, now=0.0)) == (before, ())


@pytest.mark.parametrize("intensity", [0, 1, 4])
def test_exactly_one_restart_more_than_the_intensity_gives_up(intensity: int) -> None:
    current = replace(state(), intensity=intensity)
    for number in range(intensity):
        current, actions = plan(current, RestartFailed("b", now=float(number)))
        assert actions == (ScheduleRestart("b", number + 1),)
    _, actions = plan(replace(current, period=100.0), RestartFailed("b", now=50.0))
    assert actions == (GiveUp(intensity + 1),)


@pytest.mark.parametrize(("gap", "gives_up"), [(5.0, True), (5.001, False)])
def test_the_window_includes_its_edge(gap: float, gives_up: bool) -> None:
    current = replace(state(), intensity=1)
    current, _ = plan(current, Ended("a", abnormal=True, now=10.0))
    _, actions = plan(current, Ended("b", abnormal=True, now=10.0 + gap))
    assert (actions == (GiveUp(2),)) is gives_up


@pytest.mark.parametrize(
    ("auto_shutdown", "after_first", "after_second"),
    [
        (AutoShutdown.NEVER, (), ()),
        (AutoShutdown.ANY_SIGNIFICANT, (ShutDown("b"),), (ShutDown("c"),)),
        (AutoShutdown.ALL_SIGNIFICANT, (), (ShutDown("c"),)),
    ],
)
def test_the_end_of_significant_children_ends_the_supervisor_if_told_so(
    auto_shutdown: AutoShutdown,
    after_first: tuple[Action, ...],
    after_second: tuple[Action, ...],
) -> None:
    members = tuple(
        ChildState(each, Restart.TRANSIENT, significant=each in {"b", "c"}) for each in IDS
    )
    current = replace(state(), members=members, auto_shutdown=auto_shutdown)
    current, actions = plan(current, Ended("a", abnormal=False, now=0.0))
    assert actions == ()
    current, actions = plan(current, Ended("b", abnormal=False, now=0.0))
    assert actions == after_first
    _, actions = plan(current, Ended("c", abnormal=False, now=0.0))
    assert actions == after_second


def test_a_significant_child_that_is_restarted_ends_nothing() -> None:
    members = (ChildState("a", Restart.TRANSIENT, significant=True),)
    before = replace(state(), members=members, auto_shutdown=AutoShutdown.ANY_SIGNIFICANT)
    _, actions = plan(before, Ended("a", abnormal=True, now=0.0))
    assert actions == (ScheduleRestart("a", 1),)


events = st.one_of(
    st.builds(Ended, st.sampled_from(IDS), st.booleans(), st.just(0.0)),
    st.builds(RestartFailed, st.sampled_from(IDS), st.just(0.0)),
    st.builds(RetryDue, st.sampled_from(IDS), st.integers(0, 2)),
)


def at(event: Event, now: float, attempts: int) -> Event:
    """The event at that time; a retry is of the latest attempt, or one or two before."""
    if isinstance(event, RetryDue):
        return replace(event, attempt=attempts - event.attempt)
    return replace(event, now=now)


@given(
    strategy=st.sampled_from(Strategy),
    restarts=st.tuples(*[st.sampled_from(Restart) for _ in IDS]),
    intensity=st.integers(0, 4),
    history=st.lists(st.tuples(events, st.floats(0, 4)), max_size=25),
)
@settings(max_examples=300, deadline=None)
def test_whatever_happens_the_plan_keeps_its_rules(
    strategy: Strategy,
    restarts: tuple[Restart, ...],
    intensity: int,
    history: list[tuple[Event, float]],
) -> None:
    members = tuple(ChildState(each, kind) for each, kind in zip(IDS, restarts, strict=True))
    current = SupervisorState(strategy, intensity, 5.0, members)
    now, counted = 0.0, list[float]()
    for event, pause in history:
        now += pause
        before = current
        current, actions = plan(before, at(event, now, before.attempts))
        current = started(current, actions)
        counted = counted_restarts(counted, before, actions, now)
        assert_order(before, actions)
        assert_window(actions, counted, intensity)
        assert [each.id for each in current.members] == [
            each.id for each in before.members if Remove(each.id) not in actions
        ]
        if any(isinstance(action, GiveUp) for action in actions):
            return


def counted_restarts(
    counted: list[float], before: SupervisorState, actions: tuple[Action, ...], now: float
) -> list[float]:
    """The model of the window: OTP's, by its definition."""
    del before
    if not any(isinstance(action, ScheduleRestart | GiveUp) for action in actions):
        return counted
    return [each for each in [*counted, now] if each >= now - 5.0]


def assert_window(actions: tuple[Action, ...], counted: list[float], intensity: int) -> None:
    for action in actions:
        if isinstance(action, GiveUp):
            assert len(counted) == action.restarts > intensity
        if isinstance(action, ScheduleRestart):
            assert len(counted) <= intensity


def assert_order(before: SupervisorState, actions: tuple[Action, ...]) -> None:
    """Stops come first and in reverse, starts last and in order, and temporaries never start."""
    ids = [each.id for each in before.members]
    stops = [action.child for action in actions if isinstance(action, Stop)]
    starts = [action.child for action in actions if isinstance(action, Start)]
    assert stops == sorted(stops, key=ids.index, reverse=True)
    assert starts == sorted(starts, key=ids.index)
    order: list[type] = [Stop, Remove, Start, ScheduleRestart, GiveUp, ShutDown]
    kinds: list[type] = [type(action) for action in actions]
    assert kinds == sorted(kinds, key=order.index)
    for each in before.members:
        if each.restart is Restart.TEMPORARY and each.status is not Status.RESTARTING:
            assert each.id not in starts
