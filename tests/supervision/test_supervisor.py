"""The supervisor with real actors: order, strategies, intensity, backoff."""

from __future__ import annotations

from functools import partial
from typing import Any

import pykka
import pytest

from actors import (
    AutoShutdown,
    Backoff,
    Cause,
    Child,
    ChildRestarting,
    ChildStarted,
    Exit,
    Restart,
    StartFailed,
    Strategy,
    Supervised,
    Supervisor,
    SupervisorGaveUp,
    Tree,
    TreeEvent,
)
from actors.testing import FakeClock, Gate
from tests.supervision.conftest import Grow
from tests.supervision.subjects import WAIT, Boom, Journal, Threaded, Turn, call, crash

IDS = ("a", "b", "c")


def three(journal: Journal, **options: Any) -> list[Child]:
    """Children a, b, c that note their starts and stops in ``journal``."""
    return [Child(each, partial(Threaded.start, journal, each), **options) for each in IDS]


def note_delay(delays: Journal, event: TreeEvent) -> None:
    """A listener that notes the delay of each restart."""
    if isinstance(event, ChildRestarting):
        delays.add(event.delay)


def epochs(tree: Tree) -> list[int]:
    return [tree.address(each).epoch for each in IDS]


# Order


def test_children_start_in_order_and_stop_in_reverse() -> None:
    journal = Journal()
    tree = Supervisor.start(*three(journal))
    assert tree.stop(timeout=WAIT)
    assert journal.entries == [("start", each) for each in IDS] + [
        ("stop", each) for each in reversed(IDS)
    ]


def test_a_failed_start_unwinds_what_was_started_in_reverse() -> None:
    class Fails(Supervised):
        def on_start(self) -> None:
            raise Boom("no port")

    journal = Journal()
    with pytest.raises(StartFailed, match="child 'd' did not start: Boom: no port") as caught:
        Supervisor.start(*three(journal), Child("d", Fails.start))
    assert caught.value.child == "d"
    assert journal.entries[3:] == [("stop", each) for each in reversed(IDS)]


def test_the_root_cause_of_a_nested_start_reaches_the_outermost_caller() -> None:
    class Fails(Supervised):
        def on_start(self) -> None:
            raise Boom("no port")

    inner = Supervisor.child("inner", Child("http", Fails.start))
    with pytest.raises(StartFailed) as caught:
        Supervisor.start(Supervisor.child("outer", inner))
    assert caught.value.child == "outer/inner/http"
    assert isinstance(caught.value.__cause__, Boom)


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), Boom("no")])
def test_whatever_a_constructor_raises_is_a_failed_start(error: BaseException) -> None:
    def start() -> pykka.ActorRef[Any]:
        raise error

    with pytest.raises(StartFailed) as caught:
        Supervisor.start(Child("a", start))
    assert caught.value.__cause__ is error


def test_a_start_that_returns_no_supervised_actor_is_refused() -> None:
    with pytest.raises(StartFailed, match="must return the ref of a Supervised"):
        Supervisor.start(Child("a", lambda: None))  # type: ignore[arg-type, return-value]  # wrong on purpose


def test_a_start_that_hangs_fails_after_start_within() -> None:
    gate = Gate()

    class Hangs(Supervised):
        def on_start(self) -> None:
            gate.hold()

    try:
        with pytest.raises(StartFailed, match=r"on_start took longer than 0\.05 s"):
            Supervisor.start(Child("a", Hangs.start, start_within=0.05))
    finally:
        gate.open()


# Strategies


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (Strategy.ONE_FOR_ONE, [1, 2, 1]),
        (Strategy.REST_FOR_ONE, [1, 2, 2]),
        (Strategy.ONE_FOR_ALL, [2, 2, 2]),
    ],
)
def test_the_strategy_decides_who_is_restarted_with_a_crashed_child(
    grow: Grow, strategy: Strategy, expected: list[int]
) -> None:
    journal = Journal()
    tree = grow(*three(journal), strategy=strategy)
    crash(tree, "b")
    journal.wait(lambda entries: sum(kind == "start" for kind, _ in entries) == sum(expected))
    tree.children()  # the supervisor has finished its turn
    assert epochs(tree) == expected


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (Strategy.ONE_FOR_ONE, ["start b"]),
        (Strategy.REST_FOR_ONE, ["stop c", "start b", "start c"]),
        (Strategy.ONE_FOR_ALL, ["stop c", "stop a", "start a", "start b", "start c"]),
    ],
)
def test_siblings_stop_in_reverse_and_all_start_in_order(
    grow: Grow, strategy: Strategy, expected: list[str]
) -> None:
    journal = Journal()
    tree = grow(*three(journal), strategy=strategy)
    tree.address("b").tell(("raise", Boom()))
    entries = journal.wait(lambda entries: len(entries) >= 3 + len(expected))
    assert [f"{kind} {child}" for kind, child in entries[3:]] == expected


def test_a_tree_whose_last_significant_child_ended_stops_the_others_and_ends() -> None:
    journal, exits = Journal(), Journal()
    tree = Supervisor.start(
        Child("other", partial(Threaded.start, journal, "other")),
        Child("job", Threaded.start, restart=Restart.TRANSIENT, significant=True),
        auto_shutdown=AutoShutdown.ALL_SIGNIFICANT,
    )
    tree.on_exit(exits.add)
    tree.address("job").tell(call(lambda me: me.stop()))
    assert exits.wait_for(1) == [Exit(Cause.SHUTDOWN)]
    assert ("stop", "other") in journal.entries


# Intensity and backoff


@pytest.mark.parametrize("intensity", [0, 1, 5])
def test_one_restart_more_than_the_intensity_ends_the_tree(intensity: int) -> None:
    journal, events = Journal(), Journal()
    tree = Supervisor.start(
        Child("sibling", partial(Threaded.start, journal, "sibling")),
        Child("a", partial(Turn.start, journal, "a")),
        intensity=intensity,
        period=60.0,
    )
    tree.on_event(events.add)
    exits = Journal()
    tree.on_exit(exits.add)
    for _ in range(intensity):
        crash(tree, "a")
    tree.address("a").tell(("raise", Boom()))
    (exit_,) = exits.wait(bool)
    assert exit_.cause is Cause.SHUTDOWN
    assert exit_.error.type == "GaveUp"
    assert ("stop", "sibling") in journal.entries
    starts = [entry for entry in journal.entries if entry == ("start", "a")]
    assert len(starts) == intensity + 1
    assert any(isinstance(each, SupervisorGaveUp) for each in events.entries)


def test_restarts_spaced_beyond_the_period_never_give_up(grow: Grow) -> None:
    clock = FakeClock()
    tree = grow(Child("a", Threaded.start), intensity=1, period=5.0, clock=clock)
    for _ in range(5):
        crash(tree, "a")
        clock.advance(5.1)
    assert tree.address("a").epoch == 6


def test_a_nested_supervisor_that_gives_up_is_restarted_by_its_parent(grow: Grow) -> None:
    tree = grow(Supervisor.child("inner", Child("a", Threaded.start), intensity=0))
    address, events = tree.address("inner/a"), Journal()
    tree.on_event(events.add)
    address.tell(("raise", Boom()))
    assert address.ask(("echo", 1), timeout=WAIT) == 1
    events.wait(lambda entries: ChildStarted("inner", 2) in entries)
    assert address.epoch == 2


def test_backoff_waits_longer_each_time_and_an_ask_waits_for_the_end_of_it(grow: Grow) -> None:
    clock = FakeClock()
    backoff = Backoff(first=1.0, cap=3.0, jitter=0.0, reset_after=100.0)
    tree = grow(Child("a", Threaded.start, backoff=backoff), clock=clock)
    delays = Journal()
    tree.on_event(partial(note_delay, delays))
    for number, delay in enumerate([1.0, 2.0, 3.0, 3.0], start=1):
        tree.address("a").tell(("raise", Boom()))
        assert delays.wait_for(number)[-1] == delay
        clock.wait_for_timers(1)
        assert not tree.address("a").alive
        clock.advance(delay)
        assert tree.address("a").ask(("echo", 1), timeout=WAIT) == 1


def test_a_quiet_time_resets_the_backoff(grow: Grow) -> None:
    clock = FakeClock()
    backoff = Backoff(first=1.0, cap=60.0, jitter=0.0, reset_after=10.0)
    tree = grow(Child("a", Threaded.start, backoff=backoff), clock=clock)
    delays = Journal()
    tree.on_event(partial(note_delay, delays))
    for number, (quiet, delay) in enumerate([(0.0, 1.0), (9.0, 2.0), (10.0, 1.0)], start=1):
        clock.advance(quiet)
        tree.address("a").tell(("raise", Boom()))
        assert delays.wait_for(number)[-1] == delay
        clock.wait_for_timers(1)
        clock.advance(delay)
        assert tree.address("a").ask(("echo", 1), timeout=WAIT) == 1


def test_a_tree_stops_at_once_while_a_child_backs_off() -> None:
    clock = FakeClock()
    tree = Supervisor.start(
        Child("a", Threaded.start, backoff=Backoff(first=60.0)), clock=clock, intensity=9
    )
    tree.address("a").tell(("raise", Boom()))
    clock.wait_for_timers(1)
    assert tree.stop(timeout=WAIT)


def test_a_start_that_fails_once_during_a_restart_is_tried_again(grow: Grow) -> None:
    fail = iter([False, True, False])

    class Moody(Threaded):
        def on_start(self) -> None:
            if next(fail):
                raise Boom("not now")

    tree = grow(Child("a", Moody.start))
    crash(tree, "a")
    assert tree.address("a").epoch == 2


@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE])
def test_a_sibling_that_fails_to_restart_is_tried_again_with_its_group(
    grow: Grow, strategy: Strategy
) -> None:
    fail = iter([False, True, False])

    class Moody(Threaded):
        def on_start(self) -> None:
            if next(fail):
                raise Boom("not now")

    tree = grow(
        Child("a", Threaded.start),
        Child("b", Moody.start),
        Child("c", Threaded.start),
        strategy=strategy,
    )
    events = Journal()
    tree.on_event(events.add)
    tree.address("a").tell(("raise", Boom()))
    events.wait(lambda entries: ChildStarted("c", 2) in entries)
    again = 3 if strategy is Strategy.ONE_FOR_ALL else 2
    assert epochs(tree) == [again, 2, 2]
    assert [view.state for view in tree.children()] == ["up"] * 3
