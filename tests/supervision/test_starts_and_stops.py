"""Children that fail to start, or end by themselves while they are being stopped."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import pykka
import pytest

from actors import (
    Backoff,
    Cause,
    Child,
    ChildAbandoned,
    ChildEnded,
    ChildStateError,
    DynamicSupervisor,
    Exit,
    InvalidSpec,
    NotDelivered,
    Restart,
    StartFailed,
    Supervisor,
    TreeEvent,
    UnknownChild,
)
from actors.testing import Gate
from tests.supervision.conftest import Grow
from tests.supervision.subjects import WAIT, Boom, Journal, Threaded, Turn, call


class Fails(Threaded):
    """Never comes up."""

    def on_start(self) -> None:
        raise Boom("no port")


def test_a_childs_keys_have_these_defaults() -> None:
    child = Child("a", Threaded.start)
    assert (child.restart, child.shutdown) == (Restart.PERMANENT, 5.0)
    assert (child.start_within, child.hang_after) == (5.0, None)
    assert child.backoff == Backoff(first=0.0, cap=10.0, jitter=0.2, reset_after=10.0)
    assert (child.significant, child.hand_over) == (False, False)


def test_a_nested_supervisor_has_the_time_that_its_children_need() -> None:
    child = Supervisor.child("s", Child("a", Threaded.start))
    assert (child.shutdown, child.start_within, child.restart) == (None, 60.0, Restart.PERMANENT)
    pool = DynamicSupervisor.child("p", Child("a", Threaded.start))
    assert (pool.shutdown, pool.restart, pool.significant) == (None, Restart.PERMANENT, False)


def test_a_specification_is_frozen_and_knows_no_other_keys() -> None:
    child = Child("a", Threaded.start)
    with pytest.raises(AttributeError):
        child.id = "b"  # type: ignore[misc]  # wrong on purpose
    with pytest.raises(TypeError, match="colour"):
        Child("a", Threaded.start, colour="red")  # type: ignore[call-arg]  # wrong on purpose


@pytest.mark.parametrize("kind", [Threaded, Turn])
def test_an_added_child_that_fails_to_start_leaves_nothing(grow: Grow, kind: Any) -> None:
    class Refuses(kind):  # type: ignore[misc]  # the kind is a parameter
        def on_start(self) -> None:
            raise Boom("no port")

    tree = grow(Child("a", Threaded.start))
    registered = len(pykka.ActorRegistry.get_all())
    with pytest.raises(StartFailed, match="child 'b' did not start: Boom: no port") as caught:
        tree.start_child(Child("b", Refuses.start))
    assert isinstance(caught.value.__cause__, Boom)
    assert tree.counts() == {"specs": 1, "active": 1, "supervisors": 0}
    with pytest.raises(UnknownChild, match="'b'"):
        tree.address("b")
    assert len(pykka.ActorRegistry.get_all()) == registered
    tree.start_child(Child("b", Threaded.start))  # the id is free
    assert tree.address("b").epoch == 1


def test_a_child_that_fails_to_start_by_hand_is_still_down_and_can_be_tried_again(
    grow: Grow,
) -> None:
    fails = iter([False, True, False])

    class Moody(Threaded):
        def on_start(self) -> None:
            if next(fails):
                raise Boom("not now")

    tree = grow(Child("a", Moody.start))
    tree.stop_child("a")
    with pytest.raises(StartFailed, match="not now"):
        tree.restart_child("a")
    assert [(view.state, view.epoch) for view in tree.children()] == [("down", 1)]
    with pytest.raises(NotDelivered):
        tree.address("a").ask(("echo", 1), timeout=60.0)
    tree.restart_child("a")
    assert tree.address("a").ask(("echo", 1), timeout=WAIT) == 1


def test_a_start_that_answers_with_an_actor_made_elsewhere_is_refused_and_that_lives_on() -> None:
    outside = Threaded.start()
    with pytest.raises(StartFailed, match="must return the ref of a Supervised actor that it made"):
        Supervisor.start(Child("a", lambda: outside))
    assert outside.ask(("echo", 1), timeout=WAIT) == 1
    outside.stop(timeout=WAIT)


def test_a_start_may_make_other_actors_too_if_it_answers_with_its_own(grow: Grow) -> None:
    helpers: list[pykka.ActorRef[Any]] = []

    def start() -> pykka.ActorRef[Any]:
        helpers.append(Turn.start())
        return Threaded.start()

    tree = grow(Child("a", start))
    assert tree.address("a").ask(call(lambda me: type(me).__name__), timeout=WAIT) == "Threaded"
    helpers[0].stop(timeout=WAIT)
    assert tree.address("a").epoch == 1


@pytest.mark.parametrize("what", ["stop_child", "restart_child", "delete_child"])
@pytest.mark.parametrize("path", ["ghost", "inner/ghost", "ghost/a"])
def test_an_unknown_child_is_named_by_every_call(grow: Grow, what: str, path: str) -> None:
    tree = grow(Supervisor.child("inner", Child("a", Turn.start)))
    with pytest.raises(UnknownChild, match="ghost"):
        getattr(tree, what)(path)


@pytest.mark.parametrize("path", ["", "inner/"])
def test_a_path_that_names_no_child_is_refused_with_the_next_step(grow: Grow, path: str) -> None:
    tree = grow(Supervisor.child("inner", Child("a", Turn.start)))
    with pytest.raises(UnknownChild, match="names no child: give its path"):
        tree.stop_child(path)


def test_an_added_child_must_be_valid_among_its_new_siblings(grow: Grow) -> None:
    tree = grow(Child("a", Turn.start))
    with pytest.raises(InvalidSpec, match=r"'job' is significant.*auto_shutdown"):
        tree.start_child(Child("job", Fails.start, restart=Restart.TRANSIENT, significant=True))
    with pytest.raises(InvalidSpec, match="children are Child"):
        tree.start_child("job")  # type: ignore[arg-type]  # wrong on purpose
    assert [view.id for view in tree.children()] == ["a"]


def test_stopped_children_count_as_specs_and_supervisors_are_counted_apart(grow: Grow) -> None:
    tree = grow(
        Child("a", Turn.start),
        Supervisor.child("s", Child("x", Turn.start), Child("y", Turn.start)),
        DynamicSupervisor.child("p", Child("w", Turn.start)),
    )
    tree.dynamic("p").start_child()
    assert tree.counts() == {"specs": 3, "active": 3, "supervisors": 2}
    assert tree.counts("s") == {"specs": 2, "active": 2, "supervisors": 0}
    assert tree.counts("p") == {"specs": 1, "active": 1, "supervisors": 0}
    tree.stop_child("s")
    tree.stop_child("a")
    assert tree.counts() == {"specs": 3, "active": 1, "supervisors": 1}
    assert tree.counts("s") == {"specs": 0, "active": 0, "supervisors": 0}


def test_many_children_are_counted_and_found(grow: Grow) -> None:
    """OTP counts 2,000."""
    tree = grow(*(Child(f"c{number}", Turn.start) for number in range(2000)))
    assert tree.counts() == {"specs": 2000, "active": 2000, "supervisors": 0}
    tree.stop_child("c1999")
    tree.delete_child("c1999")
    tree.stop_child("c0")
    assert tree.counts() == {"specs": 1999, "active": 1998, "supervisors": 0}
    assert [view.id for view in tree.children()][:2] == ["c0", "c1"]


# Stops


def test_a_brutal_shutdown_of_dynamic_children_asks_none_of_them() -> None:
    journal, events = Journal(), Journal()
    template = Child("w", partial(Threaded.start, journal), shutdown=0)
    tree = DynamicSupervisor.start(template)
    tree.on_event(events.add)
    refs = [
        tree.dynamic().start_child(str(number)).ask(call(lambda me: me.actor_ref), timeout=WAIT)
        for number in range(3)
    ]
    assert tree.stop(timeout=WAIT)
    assert [kind for kind, _ in journal.entries] == ["start"] * 3
    ends = [each.exit.cause for each in events.entries if isinstance(each, ChildEnded)]
    assert ends == [Cause.HUNG] * 3
    assert not any(ref.is_alive() for ref in refs)


def test_a_dynamic_child_that_fails_to_stop_says_so_and_holds_up_nobody() -> None:
    class Clumsy(Threaded):
        def on_stop(self) -> None:
            super().on_stop()
            if self.label == "bad":
                raise Boom("dropped it")

    journal, events, exits = Journal(), list[TreeEvent](), Journal()
    tree = DynamicSupervisor.start(Child("w", partial(Clumsy.start, journal)))
    tree.on_event(events.append)
    tree.on_exit(exits.add)
    for label in ("good", "bad", "good"):
        tree.dynamic().start_child(label)
    assert tree.stop(timeout=WAIT)
    assert exits.entries == [Exit(Cause.SHUTDOWN)]
    ends = {each.path: str(each.exit) for each in events if isinstance(each, ChildEnded)}
    assert ends == {"w-1": "shutdown", "w-2": "crash (Boom: dropped it)", "w-3": "shutdown"}


WAYS = {
    "normal": (call(lambda me: me.stop()), "normal"),
    "crash": (("raise", Boom("why")), "crash (Boom: why)"),
    "exit": (("raise", SystemExit(3)), "crash (SystemExit: 3)"),
    "hold": (None, "shutdown"),
}
RACE = [(restart, way) for restart in Restart for way in WAYS]


def test_children_that_end_by_themselves_while_the_tree_stops_keep_their_own_reasons() -> None:
    """OTP's sup_stop_race: every restart type and every way to end, during one shutdown."""
    gate, events, exits, done = Gate(), list[TreeEvent](), Journal(), Journal()

    class Last(Threaded):
        def on_stop(self) -> None:
            gate.hold()

    children = [
        Child(f"{restart.value}-{way}", Threaded.start, restart=restart) for restart, way in RACE
    ]
    tree = Supervisor.start(*children, Child("last", Last.start), intensity=0)
    tree.on_event(events.append)
    tree.on_exit(exits.add)
    thread = threading.Thread(target=lambda: done.add(tree.stop(timeout=WAIT)))
    thread.start()
    gate.reached()  # the supervisor stops the last one, which takes its time
    ended = Journal()
    for restart, way in RACE:
        message, _ = WAYS[way]
        if message is not None:
            address = tree.address(f"{restart.value}-{way}")
            address.watch(ended.add)
            address.tell(message)
    ended.wait_for(len(RACE) - len(Restart))
    gate.open()
    thread.join(WAIT)
    assert done.entries == [True]
    assert exits.entries == [Exit(Cause.SHUTDOWN)]
    reasons = {each.path: str(each.exit) for each in events if isinstance(each, ChildEnded)}
    assert reasons.pop("last") == "shutdown"
    assert reasons == {f"{restart.value}-{way}": WAYS[way][1] for restart, way in RACE}
    assert len(events) == len(RACE) + 1  # nothing but ends: nobody was restarted


def test_a_stop_refuses_what_waits_and_finishes_what_is_in_hand(grow: Grow) -> None:
    gate, journal = Gate(), Journal()
    tree = grow(Child("a", partial(Threaded.start, journal)))
    address = tree.address("a")
    token = address.ask(call(lambda me: me.token), timeout=WAIT)

    def slowly(me: Any) -> None:
        gate.hold()
        me.journal.add("in hand")

    address.tell(call(slowly))
    gate.reached()
    address.tell(call(lambda me: me.journal.add("waited")))
    thread = threading.Thread(target=lambda: tree.stop_child("a"))
    thread.start()
    assert token.wait(WAIT)  # the order to stop has come
    gate.open()
    thread.join(WAIT)
    assert journal.entries == [("start", ""), "in hand", ("stop", "")]
    assert address.dead_letters == 1


def test_a_tree_whose_stop_takes_too_long_says_so_and_tells_its_watchers() -> None:
    gate, exits = Gate(), Journal()

    class Endless(Threaded):
        def on_stop(self) -> None:
            gate.hold()

    tree = Supervisor.start(Child("a", Endless.start, shutdown=None))
    tree.on_exit(exits.add)
    assert not tree.stop(timeout=0.01)
    assert [exit_.cause for exit_ in exits.entries] == [Cause.HUNG]
    with pytest.raises(NotDelivered):
        tree.address("a").ask(("echo", 1), timeout=60.0)
    gate.open()


def test_stopping_a_child_twice_or_one_that_has_ended_is_no_error(grow: Grow) -> None:
    tree, events = grow(Child("a", Threaded.start, restart=Restart.TRANSIENT)), Journal()
    tree.on_event(events.add)
    tree.address("a").tell(call(lambda me: me.stop()))
    events.wait_for(1)
    tree.stop_child("a")
    tree.stop_child("a")
    assert [type(each) for each in events.entries] == [ChildEnded]
    assert not any(isinstance(each, ChildAbandoned) for each in events.entries)


def test_a_running_child_can_be_neither_started_nor_deleted_and_the_error_says_its_state(
    grow: Grow,
) -> None:
    tree = grow(Child("a", Turn.start))
    for method in (tree.restart_child, tree.delete_child):
        with pytest.raises(ChildStateError, match="child 'a' is up: stop it first") as caught:
            method("a")
        assert caught.value.state == "up"
