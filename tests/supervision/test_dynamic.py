"""The dynamic supervisor: children that come and go, each with arguments of its own."""

from __future__ import annotations

import gc
import time
import weakref
from functools import partial
from typing import Any

import pytest

from actors import (
    Cause,
    Child,
    ChildAbandoned,
    ChildStateError,
    DynamicSupervisor,
    Exit,
    InvalidSpec,
    NotDelivered,
    Restart,
    StartFailed,
    Supervisor,
    Tree,
    UnknownChild,
)
from actors.testing import Gate
from tests.supervision.conftest import Grow
from tests.supervision.subjects import WAIT, Boom, Journal, Threaded, Turn, call

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


def worker(journal: Journal, **options: Any) -> Child:
    """A template whose children note their starts and stops under their own label."""
    return Child("w", partial(Threaded.start, journal), **options)


@pytest.fixture(params=["root", "nested"])
def place(request: pytest.FixtureRequest, grow: Grow) -> Any:
    """Starts a dynamic supervisor as a root or as a child; returns the tree and its path."""

    def start(template: Child, **flags: Any) -> tuple[Tree, str]:
        flags.setdefault("intensity", 1000)
        if request.param == "nested":
            return grow(DynamicSupervisor.child("pool", template, **flags)), "pool"
        # The other one is given to ``grow`` only for its being stopped.
        tree = DynamicSupervisor.start(template, **flags)
        request.addfinalizer(lambda: tree.stop(timeout=WAIT))
        return tree, ""

    return start


def test_children_are_started_with_their_arguments_and_get_ids(place: Any) -> None:
    journal = Journal()
    tree, path = place(worker(journal))
    pool = tree.dynamic(path)
    first, second = pool.start_child("one"), pool.start_child(label="two")
    assert [first.id, second.id] == ["w-1", "w-2"]
    assert tree.address(second.path) is second
    assert journal.entries == [("start", "one"), ("start", "two")]
    assert [view.id for view in pool.children()] == ["w-1", "w-2"]
    assert pool.count() == 2


def test_a_crashed_child_comes_back_alone_with_the_same_arguments(place: Any) -> None:
    journal = Journal()
    tree, path = place(worker(journal))
    first, second = (tree.dynamic(path).start_child(each) for each in ("one", "two"))
    second.tell(("raise", Boom()))
    assert second.ask(call(lambda me: me.label), timeout=WAIT) == "two"
    assert (first.epoch, second.epoch) == (1, 2)


@pytest.mark.parametrize("restart", [Restart.TEMPORARY, Restart.TRANSIENT])
def test_a_child_that_is_not_restarted_is_no_longer_up(place: Any, restart: Restart) -> None:
    tree, path = place(worker(Journal(), restart=restart))
    pool = tree.dynamic(path)
    address = pool.start_child()
    address.tell(call(lambda me: me.stop()))
    with pytest.raises(NotDelivered):
        address.ask(("echo", 1), timeout=60)
    assert list(pool.children()) == []


def test_a_terminated_child_is_forgotten_by_id_or_by_address(place: Any) -> None:
    journal = Journal()
    tree, path = place(worker(journal))
    pool = tree.dynamic(path)
    first, second = pool.start_child("one"), pool.start_child("two")
    pool.terminate_child(first)
    pool.terminate_child("w-2")
    assert journal.entries[2:] == [("stop", "one"), ("stop", "two")]
    assert pool.count() == 0
    with pytest.raises(UnknownChild):
        tree.address(second.path)
    with pytest.raises(UnknownChild, match="'w-1'"):
        pool.terminate_child(first)


def test_nothing_is_kept_of_a_child_that_fails_to_start(place: Any) -> None:
    def start(error: Exception) -> Any:
        raise error

    tree, path = place(Child("w", start))  # type: ignore[arg-type]  # a template takes more
    with pytest.raises(StartFailed, match="'w-1' did not start: Boom: no"):
        tree.dynamic(path).start_child(Boom("no"))
    assert tree.dynamic(path).count() == 0


@pytest.mark.parametrize(
    ("restart", "kept"), [(Restart.TEMPORARY, False), (Restart.PERMANENT, True)]
)
def test_the_arguments_of_temporary_children_are_not_kept(restart: Restart, kept: bool) -> None:
    class Argument:
        pass

    tree = DynamicSupervisor.start(Child("w", starts_and_forgets, restart=restart))
    argument = Argument()
    reference = weakref.ref(argument)
    tree.dynamic().start_child(argument)
    del argument
    gc.collect()
    assert (reference() is not None) is kept
    assert tree.stop(timeout=WAIT)


def starts_and_forgets(_argument: object = None) -> Any:
    return Turn.start()


def test_children_share_the_intensity_of_their_supervisor() -> None:
    tree, exits = DynamicSupervisor.start(worker(Journal()), intensity=2, period=60.0), Journal()
    tree.on_exit(exits.add)
    children = [tree.dynamic().start_child() for _ in range(3)]
    for child in children[:2]:
        child.tell(("raise", Boom()))
        assert child.ask(("echo", 1), timeout=WAIT) == 1
    children[2].tell(("raise", Boom()))
    (exit_,) = exits.wait_for(1)
    assert "3 restarts within 60 seconds" in str(exit_)


def test_all_are_told_to_stop_at_once_and_share_one_deadline() -> None:
    gate, events, stopping = Gate(), Journal(), Journal()

    class Stubborn(Threaded):
        def on_stop(self) -> None:
            stopping.add(self.label)
            gate.hold()

    tree = DynamicSupervisor.start(Child("w", Stubborn.start, shutdown=0.2))
    tree.on_event(events.add)
    for _ in range(5):
        tree.dynamic().start_child()
    begin = time.monotonic()
    assert tree.stop(timeout=WAIT)
    assert 0.2 <= time.monotonic() - begin < 5 * 0.2
    stopping.wait_for(5)
    assert sum(isinstance(each, ChildAbandoned) for each in events.entries) == 5
    gate.open()


def test_what_was_started_is_gone_after_a_restart_of_its_supervisor(grow: Grow) -> None:
    tree = grow(DynamicSupervisor.child("pool", worker(Journal()), intensity=0))
    lost = tree.dynamic("pool").start_child()
    pool = tree.address("pool")
    lost.tell(("raise", Boom()))
    lost_exit = Journal()
    pool.watch(lost_exit.add)
    lost_exit.wait_for(1)
    assert pool.wait_up(WAIT)
    assert tree.dynamic("pool").count() == 0


def test_each_kind_of_supervisor_refuses_the_methods_of_the_other(grow: Grow) -> None:
    tree = grow(
        DynamicSupervisor.child("pool", worker(Journal())),
        Supervisor.child("named", Child("a", Turn.start)),
    )
    with pytest.raises(ChildStateError, match=r"'pool' is a dynamic supervisor: use tree\.dynamic"):
        tree.start_child(Child("b", Turn.start), under="pool")
    with pytest.raises(ChildStateError, match=r"'named' is a supervisor of named children"):
        tree.dynamic("named").start_child()
    with pytest.raises(ChildStateError, match="'named/a' is not a supervisor"):
        tree.children("named/a")


def test_a_significant_template_is_refused_before_anything_starts() -> None:
    template = Child("w", Turn.start, restart=Restart.TEMPORARY, significant=True)
    with pytest.raises(InvalidSpec, match="'w'"):
        DynamicSupervisor.start(template)
    with pytest.raises(InvalidSpec, match="'w'"):
        DynamicSupervisor.child("pool", template)


@pytest.mark.parametrize(("kind", "count"), [(Turn, 10_000), (Threaded, 1_000)])
def test_thousands_of_children_start_and_stop(kind: Any, count: int) -> None:
    tree = DynamicSupervisor.start(Child("w", kind.start, restart=Restart.TEMPORARY))
    exits: list[Exit] = []
    tree.on_exit(exits.append)
    pool = tree.dynamic()
    for _ in range(count):
        pool.start_child()
    assert pool.count() == count
    assert tree.stop(timeout=60)
    assert exits == [Exit(Cause.SHUTDOWN)]
