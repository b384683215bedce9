"""How a failure travels upwards: restarts that fail, supervisors that end, what the top hears."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from actors import (
    AutoShutdown,
    Cause,
    Child,
    ChildEnded,
    ChildRestarting,
    ChildStarted,
    DynamicSupervisor,
    NotDelivered,
    Restart,
    Strategy,
    Supervisor,
    SupervisorGaveUp,
    SupervisorShutDown,
    Tree,
)
from actors.testing import FakeClock, Gate
from tests.supervision.conftest import Grow
from tests.supervision.subjects import WAIT, Boom, Journal, Threaded, Turn, call

IDS = ("a", "b", "c")


class StartsOnce(Threaded):
    """Comes up the first time, and never again."""

    def on_start(self) -> None:
        super().on_start()
        if self.address.epoch:
            raise Boom("not again")


def ended(tree: Tree) -> Journal:
    """How ``tree`` ends, as soon as it does."""
    exits = Journal()
    tree.on_exit(exits.add)
    return exits


@pytest.mark.parametrize(
    ("strategy", "stopped_first", "each_attempt", "stopped_last"),
    [
        (Strategy.ONE_FOR_ONE, [], ["start b"], ["stop c", "stop a"]),
        (Strategy.REST_FOR_ONE, ["stop c"], ["start b"], ["stop a"]),
        (Strategy.ONE_FOR_ALL, ["stop c", "stop a"], ["start a", "start b", "stop a"], []),
    ],
)
def test_a_restart_that_fails_again_and_again_ends_the_supervisor_and_the_siblings(
    strategy: Strategy, stopped_first: list[str], each_attempt: list[str], stopped_last: list[str]
) -> None:
    journal, events = Journal(), Journal()
    kinds = {"b": StartsOnce}
    tree = Supervisor.start(
        *(Child(each, partial(kinds.get(each, Threaded).start, journal, each)) for each in IDS),
        strategy=strategy,
        intensity=3,
        period=60.0,
    )
    tree.on_event(events.add)
    exits = ended(tree)
    tree.address("b").tell(("raise", Boom()))
    (exit_,) = exits.wait_for(1)
    assert str(exit_) == "shutdown (GaveUp: root: 4 restarts within 60 seconds)"
    happened = [" ".join(entry) for entry in journal.entries[3:]]
    # The crash counts, and so does each attempt that failed: three attempts fit into intensity 3.
    assert happened == [*stopped_first, *each_attempt * 3, *stopped_last]
    gave_up = [each for each in events.entries if isinstance(each, SupervisorGaveUp)]
    assert gave_up == [SupervisorGaveUp("root", 4, "4 restarts within 60 seconds")]
    with pytest.raises(NotDelivered):
        tree.address("a").ask(("echo", 1), timeout=60.0)


def test_a_dynamic_child_whose_restart_fails_ends_its_supervisor_and_the_others() -> None:
    journal = Journal()

    def start(kind: Any, label: str) -> Any:
        return kind.start(journal, label)

    tree = DynamicSupervisor.start(Child("w", start), intensity=2, period=60.0)  # type: ignore[arg-type]  # a template takes more
    exits, pool = ended(tree), tree.dynamic()
    pool.start_child(Threaded, "good")
    pool.start_child(StartsOnce, "bad").tell(("raise", Boom()))
    (exit_,) = exits.wait_for(1)
    assert "3 restarts within 60 seconds" in str(exit_)
    assert journal.entries[2:] == [("start", "bad"), ("start", "bad"), ("stop", "good")]


def test_the_last_exit_of_a_child_that_failed_to_restart_is_that_failure(grow: Grow) -> None:
    clock = FakeClock()
    tree = grow(Child("a", StartsOnce.start), clock=clock, intensity=1, period=1.0)
    exits = ended(tree)
    tree.address("a").tell(("raise", Boom("first")))
    exits.wait_for(1)
    (view,) = tree.describe().children
    assert str(view.last_exit) == ("start (StartFailed: child 'a' did not start: Boom: not again)")


@pytest.mark.parametrize("depth", [1, 3])
def test_supervisors_that_bear_nothing_pass_a_crash_up_to_the_root(depth: int) -> None:
    child = Child("leaf", Threaded.start)
    for level in range(depth, 0, -1):
        child = Supervisor.child(f"s{level}", child, intensity=0)
    tree, events = Supervisor.start(child, intensity=0), Journal()
    tree.on_event(events.add)
    exits = ended(tree)
    path = "/".join([*(f"s{level}" for level in range(1, depth + 1)), "leaf"])
    tree.address(path).tell(("raise", Boom()))
    (exit_,) = exits.wait_for(1)
    assert exit_.cause is Cause.SHUTDOWN
    gave_up = [each.path for each in events.entries if isinstance(each, SupervisorGaveUp)]
    parents = path.split("/")[:-1]
    assert gave_up == ["/".join(parents[:n]) or "root" for n in range(depth, -1, -1)]


# Significant children (OTP's ``significant_*``)

HOW = {"killed": ("raise", SystemExit(9)), "crash": ("raise", Boom())}


def significant(label: str, restart: Restart, journal: Journal) -> Child:
    start = partial(Threaded.start, journal, label)
    return Child(label, start, restart=restart, significant=True)


@pytest.mark.parametrize("auto", [AutoShutdown.ANY_SIGNIFICANT, AutoShutdown.ALL_SIGNIFICANT])
@pytest.mark.parametrize("how", ["normal", "killed", "crash"])
@pytest.mark.parametrize("restart", [Restart.TEMPORARY, Restart.TRANSIENT])
def test_a_significant_child_that_stays_away_ends_the_supervisor(
    restart: Restart, how: str, auto: AutoShutdown
) -> None:
    """A temporary one always stays away, a transient one after a normal end only."""
    journal, events = Journal(), Journal()
    tree = Supervisor.start(
        significant("job", restart, journal),
        Child("other", partial(Threaded.start, journal, "other")),
        auto_shutdown=auto,
        intensity=9,
    )
    tree.on_event(events.add)
    exits = ended(tree)
    tree.address("job").tell(HOW.get(how) or call(lambda me: me.stop()))
    if restart is Restart.TRANSIENT and how != "normal":
        assert tree.address("job").ask(("echo", 1), timeout=WAIT) == 1
        assert exits.entries == []
        assert tree.stop(timeout=WAIT)
        return
    (exit_,) = exits.wait_for(1)
    assert str(exit_) == "shutdown"
    assert ("stop", "other") in journal.entries
    told = [each for each in events.entries if isinstance(each, SupervisorShutDown)]
    assert told == [SupervisorShutDown("root", "job")]


@pytest.mark.parametrize("restart", [Restart.TEMPORARY, Restart.TRANSIENT])
def test_the_last_of_two_significant_children_ends_the_supervisor_if_all_must(
    restart: Restart,
) -> None:
    journal = Journal()
    tree = Supervisor.start(
        *(significant(each, restart, journal) for each in ("one", "two")),
        auto_shutdown=AutoShutdown.ALL_SIGNIFICANT,
    )
    exits, events = ended(tree), Journal()
    tree.on_event(events.add)
    tree.address("one").tell(call(lambda me: me.stop()))
    events.wait(lambda entries: any(isinstance(each, ChildEnded) for each in entries))
    assert tree.address("two").ask(("echo", 1), timeout=WAIT) == 1
    assert exits.entries == []
    tree.address("two").tell(call(lambda me: me.stop()))
    assert str(exits.wait_for(1)[0]) == "shutdown"


@pytest.mark.parametrize("restart", [Restart.TEMPORARY, Restart.TRANSIENT])
def test_stopping_a_significant_child_by_hand_ends_nothing(grow: Grow, restart: Restart) -> None:
    tree = grow(significant("job", restart, Journal()), auto_shutdown=AutoShutdown.ANY_SIGNIFICANT)
    exits = ended(tree)
    tree.stop_child("job")
    assert len(tree.children()) == (restart is Restart.TRANSIENT)
    assert exits.entries == []


@pytest.mark.parametrize("auto", [AutoShutdown.ANY_SIGNIFICANT, AutoShutdown.ALL_SIGNIFICANT])
@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE])
@pytest.mark.parametrize("restart", [Restart.TEMPORARY, Restart.TRANSIENT])
def test_a_significant_child_that_falls_with_a_sibling_ends_nothing(
    grow: Grow, restart: Restart, strategy: Strategy, auto: AutoShutdown
) -> None:
    journal, events = Journal(), Journal()
    tree = grow(
        Child("a", partial(Threaded.start, journal, "a")),
        significant("job", restart, journal),
        strategy=strategy,
        auto_shutdown=auto,
    )
    tree.on_event(events.add)
    exits = ended(tree)
    tree.address("a").tell(("raise", Boom()))
    assert tree.address("a").ask(("echo", 1), timeout=WAIT) == 1
    tree.children()
    assert exits.entries == []
    assert ("stop", "job") in journal.entries
    comes_back = restart is Restart.TRANSIENT
    assert journal.entries.count(("start", "job")) == 1 + comes_back
    assert not any(isinstance(each, SupervisorShutDown) for each in events.entries)


def test_a_chain_of_significant_supervisors_ends_one_after_the_other() -> None:
    """The end of a job ends its supervisor, whose end ends the one above, up to the root."""
    journal, events = Journal(), Journal()
    options: dict[str, Any] = {
        "auto_shutdown": AutoShutdown.ANY_SIGNIFICANT,
        "restart": Restart.TRANSIENT,
        "significant": True,
    }
    job = significant("job", Restart.TRANSIENT, journal)
    outer = Supervisor.child("outer", Supervisor.child("inner", job, **options), **options)
    beside = Child("beside", partial(Threaded.start, journal, "beside"))
    tree = Supervisor.start(outer, beside, auto_shutdown=AutoShutdown.ANY_SIGNIFICANT)
    tree.on_event(events.add)
    exits = ended(tree)
    tree.address("outer/inner/job").tell(call(lambda me: me.stop()))
    assert str(exits.wait_for(1)[0]) == "shutdown"
    assert [each for each in events.entries if isinstance(each, SupervisorShutDown)] == [
        SupervisorShutDown("outer/inner", "job"),
        SupervisorShutDown("outer", "inner"),
        SupervisorShutDown("root", "outer"),
    ]
    assert journal.entries[-1] == ("stop", "beside")


def test_a_significant_dynamic_supervisor_that_gives_up_ends_the_one_above() -> None:
    pool = DynamicSupervisor.child(
        "pool", Child("w", Turn.start), intensity=0, restart=Restart.TEMPORARY, significant=True
    )
    tree = Supervisor.start(pool, auto_shutdown=AutoShutdown.ALL_SIGNIFICANT)
    exits = ended(tree)
    tree.dynamic("pool").start_child().tell(("raise", Boom()))
    assert str(exits.wait_for(1)[0]) == "shutdown"


# Abandoned threads (``max_abandoned``)


class Stubborn(Threaded):
    """Its stop waits at a gate."""

    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self.gate = gate

    def on_stop(self) -> None:
        self.gate.hold()


def test_a_child_left_behind_by_a_stop_counts_as_abandoned() -> None:
    gate = Gate()
    tree = Supervisor.start(
        *(Child(each, partial(Stubborn.start, gate), shutdown=0.001) for each in IDS),
        max_abandoned=1,
    )
    exits = ended(tree)
    tree.stop_child("a")
    tree.children()
    assert exits.entries == []
    tree.stop_child("b")
    (exit_,) = exits.wait_for(1)
    assert str(exit_) == "shutdown (GaveUp: root: 2 abandoned threads still run)"
    gate.open()


@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE])
def test_siblings_left_behind_in_a_restart_end_the_tree_before_anything_is_started(
    strategy: Strategy,
) -> None:
    journal, gate = Journal(), Gate()
    tree = Supervisor.start(
        Child("a", partial(Threaded.start, journal, "a")),
        Child("b", partial(Stubborn.start, gate), shutdown=0.001),
        strategy=strategy,
        max_abandoned=0,
        intensity=9,
    )
    events, exits = Journal(), ended(tree)
    tree.on_event(events.add)
    tree.address("a").tell(("raise", Boom()))
    (exit_,) = exits.wait_for(1)
    assert "1 abandoned threads still run" in str(exit_)
    assert journal.entries == [("start", "a")]
    assert not any(isinstance(each, ChildRestarting) for each in events.entries)
    gate.open()


def test_threads_that_have_ended_meanwhile_are_no_longer_counted(grow: Grow) -> None:
    gate, threads = Gate(), Journal()
    tree = grow(
        *(Child(each, partial(Stubborn.start, gate), shutdown=0.001) for each in IDS),
        max_abandoned=1,
    )
    exits = ended(tree)

    def thread_of(me: Any) -> None:
        threads.add(me._supervised_loop.thread)

    for each in ("a", "b"):
        tree.address(each).ask(call(thread_of), timeout=WAIT)
    tree.stop_child("a")
    gate.open()
    threads.entries[0].join(WAIT)
    tree.stop_child("b")
    tree.stop_child("c")
    tree.children()
    assert exits.entries == []


def test_a_turn_actor_leaves_no_thread_behind_to_count(grow: Grow) -> None:
    tree = grow(*(Child(each, Turn.start, shutdown=0) for each in IDS), max_abandoned=0)
    exits, events = ended(tree), Journal()
    tree.on_event(events.add)
    for each in IDS:
        tree.stop_child(each)
    tree.restart_child("a")
    assert tree.address("a").ask(("echo", 1), timeout=WAIT) == 1
    assert exits.entries == []
    assert events.entries[-1] == ChildStarted("a", 2)
