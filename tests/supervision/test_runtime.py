"""How one actor runs and dies: fences, burial, who is told what and in which order."""

from __future__ import annotations

import logging
import threading
from typing import Any, cast

import pykka
import pytest

from actors import (
    ActorCrashed,
    Cause,
    Child,
    ChildEnded,
    ChildRestarting,
    Exit,
    NotDelivered,
    Strategy,
    Supervised,
    Supervisor,
    Tree,
)
from actors.supervision.actor_loop import ActorLoop
from actors.supervision.base_supervisor import ChildDown, RunInSupervisor
from actors.supervision.mailbox import Envelope
from actors.supervision.reply import Reply
from actors.testing import Gate
from tests.supervision.conftest import Grow
from tests.supervision.subjects import WAIT, Boom, Fatal, Journal, Threaded, Turn, call

HUNG = Exit(Cause.HUNG)


@pytest.fixture(params=[Threaded, Turn])
def kind(request: pytest.FixtureRequest) -> Any:
    """The type of actor under test."""
    return request.param


def loop_of(ref: pykka.ActorRef[Any]) -> ActorLoop:
    """What runs the actor behind ``ref``."""
    return cast("ActorLoop", ref.ask(call(lambda me: me._supervised_loop), timeout=WAIT))


def watched(loop: ActorLoop) -> Journal:
    """The exits that a watcher is told of."""
    exits = Journal()
    loop.lifecycle.watch(exits.add)
    return exits


# The fence


def test_a_letter_that_was_taken_just_before_the_abandonment_is_refused_and_not_handled() -> None:
    journal = Journal()
    ref = Threaded.start(journal)
    loop, reply = loop_of(ref), Reply()
    take = loop.mailbox.get

    def take_too_late() -> Any:
        envelope = take()
        loop.abandon(HUNG)
        return envelope

    loop.mailbox.get = take_too_late  # type: ignore[method-assign]  # a race, made certain
    for _ in range(2):  # the first one only brings the thread around to the new ``get``
        ref.tell(call(lambda me: me.journal.add("handled")))
    loop.mailbox.put(Envelope(("echo", 1), reply))
    with pytest.raises(NotDelivered):
        reply.get(timeout=WAIT)
    assert reply.refused
    assert loop.thread is not None
    loop.thread.join(WAIT)
    assert journal.entries.count("handled") == 1


def test_a_zombies_late_answer_reaches_nobody_and_its_late_crash_neither(kind: Any) -> None:
    gate, answer = Gate(), Journal()
    ref = kind.start()
    loop = loop_of(ref)
    exits = watched(loop)

    def ask() -> None:
        try:
            answer.add(ref.ask(call(haunt), timeout=WAIT))
        except ActorCrashed as error:
            answer.add(str(error))

    def haunt(_me: Supervised) -> None:
        gate.hold()
        raise Fatal("too late")

    thread = threading.Thread(target=ask)
    thread.start()
    gate.reached()
    loop.abandon(HUNG)
    told = f"{type(loop.actor).__name__} was abandoned while it handled this"
    if kind is Threaded:
        assert answer.wait_for(1) == [told]
    gate.open()
    thread.join(WAIT)
    assert answer.entries == [told]
    assert exits.entries == [HUNG]


def test_an_abandoned_actor_takes_nothing_more_and_leaves_the_registry(kind: Any) -> None:
    ref = kind.start()
    loop = loop_of(ref)
    loop.abandon(HUNG)
    assert ref not in pykka.ActorRegistry.get_all()
    assert not ref.is_alive()
    assert loop.stopping
    with pytest.raises(pykka.ActorDeadError):
        ref.ask(("echo", 1), timeout=WAIT)


def test_an_end_is_told_once_however_often_the_actor_is_buried(kind: Any) -> None:
    loop = loop_of(kind.start())
    exits = watched(loop)
    loop.terminate(HUNG)
    loop.terminate(Exit(Cause.NORMAL))
    assert exits.entries == [HUNG]
    assert not loop.lifecycle.end(Exit(Cause.NORMAL))


# Burial


@pytest.mark.parametrize("end", ["crash", "stop", "abandon"])
def test_the_token_is_cancelled_however_the_actor_ends(kind: Any, end: str) -> None:
    ref = kind.start()
    loop = loop_of(ref)
    ends: dict[str, Any] = {
        "crash": lambda: ref.tell(("raise", Boom())),
        "stop": lambda: ref.stop(block=False),
        "abandon": lambda: loop.abandon(HUNG),
    }
    cancelled = Journal()
    loop.lifecycle.watch(lambda _exit: cancelled.add(loop.mailbox.token.cancelled))
    ends[end]()
    assert cancelled.wait_for(1) == [True]  # and before anybody is told of the end


def test_whoever_is_told_of_the_end_finds_the_mailbox_closed_and_the_actor_unlisted(
    kind: Any,
) -> None:
    ref = kind.start()
    loop, seen = loop_of(ref), Journal()

    def look(_exit: Exit) -> None:
        reply = Reply()
        loop.mailbox.put(Envelope(("echo", 1), reply))
        seen.add((reply.refused, ref in pykka.ActorRegistry.get_all(), ref.is_alive()))

    loop.lifecycle.watch(look)
    ref.tell(("raise", Boom()))
    assert seen.wait_for(1) == [(True, False, False)]


def test_a_watcher_that_raises_is_logged_and_the_others_are_told(
    kind: Any, caplog: pytest.LogCaptureFixture
) -> None:
    ref = kind.start()
    lifecycle = loop_of(ref).lifecycle

    def bad(_exit: Exit) -> None:
        raise Boom

    exits = Journal()
    lifecycle.watch(bad)
    lifecycle.watch(exits.add)
    ref.stop(timeout=WAIT)
    assert [exit_.cause for exit_ in exits.wait_for(1)] == [Cause.NORMAL]
    assert "a death watcher failed" in caplog.text


def test_a_watcher_that_comes_late_is_told_at_once_and_can_take_nothing_back(kind: Any) -> None:
    ref = kind.start()
    lifecycle = loop_of(ref).lifecycle
    first = watched(loop_of(ref))
    ref.stop(timeout=WAIT)
    first.wait_for(1)
    late = Journal()
    watch = lifecycle.watch(late.add)
    assert late.entries == first.entries
    assert not watch.unwatch()


# Crashes


def test_on_failure_gets_the_exception_and_on_stop_is_not_called(kind: Any) -> None:
    class Noting(kind):  # type: ignore[misc]  # the kind is a parameter
        def on_failure(self, exception_type: Any, value: Any, traceback: Any) -> None:
            self.journal.add((exception_type, value, traceback is not None))

    journal, error = Journal(), Boom("why")
    ref = Noting.start(journal)
    exits = watched(loop_of(ref))
    ref.tell(("raise", error))
    exits.wait_for(1)
    assert journal.entries == [("start", ""), (Boom, error, True)]


def test_an_on_failure_that_fails_is_logged_and_changes_nothing(
    kind: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Clumsy(kind):  # type: ignore[misc]  # the kind is a parameter
        def on_failure(self, *_args: Any, **_named: Any) -> None:
            raise ValueError("dropped it")

    ref = Clumsy.start()
    exits = watched(loop_of(ref))
    ref.tell(("raise", Boom("why")))
    (exit_,) = exits.wait_for(1)
    assert str(exit_) == "crash (Boom: why)"
    assert "on_failure of Clumsy failed" in caplog.text


def test_only_an_actor_without_a_supervisor_logs_its_own_crash(
    kind: Any, grow: Grow, caplog: pytest.LogCaptureFixture
) -> None:
    ref = kind.start()
    exits = watched(loop_of(ref))
    ref.tell(("raise", Boom("alone")))
    exits.wait_for(1)
    address = grow(Child("a", kind.start)).address("a")
    address.tell(("raise", Boom("supervised")))
    assert address.ask(("echo", 1), timeout=WAIT) == 1
    errors = [each.getMessage() for each in caplog.records if each.levelno == logging.ERROR]
    assert errors == [
        f"actor {kind.__name__} crashed: crash (Boom: alone)",
        "a ended: crash (Boom: supervised)",
    ]


def test_the_trace_of_a_crash_is_in_the_log_line_and_in_the_exit(
    grow: Grow, caplog: pytest.LogCaptureFixture
) -> None:
    exits = Journal()
    address = grow(Child("a", Threaded.start)).address("a")
    address.watch(exits.add)
    address.tell(call(raise_somewhere))
    assert address.ask(("echo", 1), timeout=WAIT) == 1
    (record,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    for trace in (record.__dict__["stack"], exits.entries[0].error.traceback):
        assert "in raise_somewhere" in trace
        assert "Boom: here" in trace


def raise_somewhere(_me: Supervised) -> None:
    raise Boom("here")


# What is no news any more


def held_supervisor(tree: Tree, gate: Gate) -> threading.Thread:
    """Have the root stand at ``gate`` in a call, so that deaths pile up in its mailbox."""
    work = RunInSupervisor(lambda _me: gate.hold())
    holder = threading.Thread(target=lambda: tree._address.ask(work, timeout=WAIT))  # pyright: ignore[reportPrivateUsage]  # the supervisor itself
    holder.start()
    gate.reached()
    return holder


@pytest.mark.parametrize("strategy", [Strategy.REST_FOR_ONE, Strategy.ONE_FOR_ALL])
def test_a_death_that_was_overtaken_by_a_restart_counts_no_second_time(
    grow: Grow, strategy: Strategy
) -> None:
    """Both crash while the supervisor is busy: the first restart takes the second one along."""
    tree = grow(Child("a", Threaded.start), Child("b", Threaded.start), strategy=strategy)
    gate, events, ended = Gate(), Journal(), Journal()
    tree.on_event(events.add)
    holder = held_supervisor(tree, gate)
    for number, each in enumerate(("a", "b"), start=1):
        tree.address(each).watch(ended.add)
        tree.address(each).tell(("raise", Boom()))
        ended.wait_for(number)  # the supervisor was told before
    gate.open()
    holder.join(WAIT)
    for each in ("a", "b"):
        assert tree.address(each).ask(("echo", 1), timeout=WAIT) == 1
    tree.children()
    assert [tree.address(each).epoch for each in ("a", "b")] == [2, 2]
    assert sum(isinstance(each, ChildRestarting) for each in events.entries) == 1
    assert sum(isinstance(each, ChildEnded) for each in events.entries) == 2


@pytest.mark.parametrize("known", [True, False])
def test_the_death_of_an_earlier_incarnation_is_ignored(grow: Grow, known: bool) -> None:
    tree = grow(Child("a", Threaded.start))
    address, events = tree.address("a"), Journal()
    old = address.ask(call(lambda me: me._supervised_loop), timeout=WAIT)
    tree.stop_child("a")
    tree.restart_child("a")
    if not known:
        tree.stop_child("a")
        tree.delete_child("a")
    tree.on_event(events.add)
    tree._root.mailbox.put(Envelope(ChildDown("a", old, Exit(Cause.CRASH))))  # pyright: ignore[reportPrivateUsage]  # the supervisor itself
    tree.children()
    assert events.entries == []
    assert address.alive is known


# Who is up


def test_busy_for_is_the_time_of_the_message_in_hand_and_none_in_between(kind: Any) -> None:
    now = [10.0]
    ref = kind.start()
    loop = loop_of(ref)
    loop.now = lambda: now[0]
    seen: list[float | None] = []

    def look(me: Any) -> None:
        now[0] += 2.5
        seen.append(me._supervised_loop.busy_for)

    ref.ask(call(look), timeout=WAIT)
    ref.ask(call(look), timeout=WAIT)
    assert seen == [2.5, 2.5]
    ref.stop(timeout=WAIT)
    assert loop.busy_for is None


def test_the_thread_of_an_actor_is_a_daemon_with_its_path_for_a_name(grow: Grow) -> None:
    tree = grow(Supervisor.child("inner", Child("a", Threaded.start)))

    def thread(_me: Supervised) -> tuple[str, bool]:
        current = threading.current_thread()
        return current.name, current.daemon

    assert tree.address("inner/a").ask(call(thread), timeout=WAIT) == ("inner/a", True)


def test_an_exception_thrown_into_the_thread_of_an_actor_is_a_crash_and_no_zombie() -> None:
    """Wherever it strikes, outside of a handler too: the outermost frame announces the end."""
    ref = Threaded.start()
    loop = loop_of(ref)
    exits = watched(loop)

    def strike() -> Any:
        raise KeyboardInterrupt("out of nowhere")

    loop.mailbox.get = strike  # type: ignore[method-assign]  # where the thread idles
    ref.tell(("echo", 1))
    (exit_,) = exits.wait_for(1)
    assert str(exit_) == "crash (KeyboardInterrupt: out of nowhere)"
    assert not ref.is_alive()
