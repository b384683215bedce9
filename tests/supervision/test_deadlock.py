"""Waits that would never end: circles of asks are refused, and every wait has a bound."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import pytest

from actors import AskCycle, Backoff, CallingThreadActor, Child, Strategy, Supervised
from actors.supervision.deadlock import blocked_on, this_thread
from actors.supervision.mailbox import Envelope, Mailbox
from actors.supervision.reply import Reply
from actors.testing import FakeClock, Gate
from tests.supervision.conftest import Grow
from tests.supervision.subjects import WAIT, Boom, Journal, Threaded, Turn, call


def node(name: str) -> Mailbox:
    """An actor as the graph sees it."""
    mailbox = Mailbox()
    mailbox.name = name
    return mailbox


def asked(target: Mailbox) -> Reply:
    """The reply to a message that ``target`` has taken in."""
    reply = Reply()
    target.put(Envelope("question", reply))
    return reply


class running:  # noqa: N801  # reads as what it is
    """This thread runs the handlers of ``nodes`` within the block."""

    def __init__(self, *nodes: Mailbox) -> None:
        self.nodes = nodes

    def __enter__(self) -> None:
        this_thread.stack.extend(self.nodes)

    def __exit__(self, *_exc: object) -> None:
        del this_thread.stack[-len(self.nodes) :]


def test_a_pending_question_back_to_who_asks_is_a_cycle() -> None:
    a, b = node("a"), node("b")
    b.waiting_for = asked(a)
    with running(a), pytest.raises(AskCycle) as caught, blocked_on(asked(b)):
        pytest.fail("waits for ever")
    assert caught.value.cycle == ("a", "b", "a")
    assert a.waiting_for is None  # or the next one that asks it would see a cycle, too


def test_a_question_that_was_answered_just_now_is_no_cycle() -> None:
    """The asked actor was answered, and has not looked yet: it is not stuck."""
    a, b = node("a"), node("b")
    answered = asked(a)
    b.waiting_for = answered
    answered.set("answer")
    reply = asked(b)
    with running(a), blocked_on(reply):
        assert a.waiting_for is reply
    assert a.waiting_for is None


def test_a_long_chain_is_followed_and_named_in_its_order() -> None:
    nodes = [node(name) for name in "abcd"]
    for this, following in zip(nodes[1:], [*nodes[2:], nodes[0]], strict=True):
        this.waiting_for = asked(following)
    with running(nodes[0]), pytest.raises(AskCycle, match="a -> b -> c -> d -> a"):
        blocked_on(asked(nodes[1])).__enter__()


def test_a_chain_that_ends_somewhere_is_no_cycle() -> None:
    a, b, c = node("a"), node("b"), node("c")
    b.waiting_for = asked(c)
    with running(a), blocked_on(asked(b)):
        pass


def test_a_cycle_of_others_ends_the_search_and_is_not_ours() -> None:
    a, b, c = node("a"), node("b"), node("c")
    b.waiting_for, c.waiting_for = asked(c), asked(b)
    with running(a), blocked_on(asked(b)):
        pass


def test_every_actor_that_this_thread_runs_waits_and_each_closes_a_cycle() -> None:
    outer, inner, other = node("outer"), node("inner"), node("other")
    reply = asked(other)
    with running(outer, inner):
        with blocked_on(reply):
            assert (outer.waiting_for, inner.waiting_for) == (reply, reply)
        other.waiting_for = asked(outer)
        with pytest.raises(AskCycle, match="inner -> other -> outer -> inner"):
            blocked_on(asked(other)).__enter__()


def test_a_thread_that_runs_no_actor_waits_for_whom_it_likes() -> None:
    a = node("a")
    a.waiting_for = asked(a)
    with blocked_on(asked(a)):
        pass


def test_a_reply_of_nobody_known_is_waited_for() -> None:
    with running(node("a")), blocked_on(Reply()):
        pass


# With real actors


@pytest.mark.parametrize("kinds", [(Threaded, Turn), (Turn, Threaded), (Threaded, Threaded)])
def test_three_actors_that_ask_around_are_told_the_whole_cycle(grow: Grow, kinds: Any) -> None:
    first, second = kinds
    tree = grow(Child("a", first.start), Child("b", second.start), Child("c", first.start))
    a, b, c = (tree.address(each) for each in ("a", "b", "c"))

    def ask_a(_me: Supervised) -> Any:
        return a.ask(("echo", 1), timeout=60)

    def ask_c(_me: Supervised) -> Any:
        return c.ask(call(ask_a), timeout=60)

    def ask_b(_me: Supervised) -> Any:
        return b.ask(call(ask_c), timeout=60)

    with pytest.raises(AskCycle) as caught:
        a.ask(call(ask_b), timeout=WAIT)
    assert caught.value.cycle[0] == caught.value.cycle[-1] == "c"
    assert "a" in caught.value.cycle
    assert "tell instead of ask" in str(caught.value)
    for address in (a, b, c):
        assert address.ask(("echo", 2), timeout=WAIT) == 2
        assert address.epoch == 1


def test_two_that_ask_one_another_at_the_same_time_are_not_both_stuck(grow: Grow) -> None:
    """Each is in its handler before either asks: at least one sees the other."""
    tree, outcome = grow(Child("a", Threaded.start), Child("b", Threaded.start)), Journal()
    begin = threading.Barrier(2)

    def ask(other: str, _me: Supervised) -> Any:
        begin.wait(WAIT)
        return tree.address(other).ask(("echo", other), timeout=60)

    def ask_from_outside(this: str, other: str) -> None:
        try:
            outcome.add(tree.address(this).ask(call(partial(ask, other)), timeout=WAIT))
        except AskCycle as error:
            outcome.add(type(error))

    pairs = [("a", "b"), ("b", "a")]
    threads = [threading.Thread(target=ask_from_outside, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert AskCycle in outcome.wait_for(2)
    for each in ("a", "b"):
        assert tree.address(each).ask(("echo", 1), timeout=WAIT) == 1


def test_a_turn_that_asks_a_busy_thread_may_wait_and_is_no_cycle(grow: Grow) -> None:
    class Relay(CallingThreadActor):
        def on_receive(self, message: Any) -> Any:
            return tree.address("slow").ask(message, timeout=WAIT)

    tree = grow(Child("slow", Threaded.start), Child("relay", Relay.start))
    gate, answers = Gate(), Journal()
    tree.address("slow").tell(call(lambda _me: gate.hold()))
    gate.reached()
    thread = threading.Thread(
        target=lambda: answers.add(tree.address("relay").ask(("echo", 1), timeout=WAIT))
    )
    thread.start()
    gate.open()
    assert answers.wait_for(1) == [1]
    thread.join(WAIT)


KINDS = [Threaded, Turn]


@pytest.mark.parametrize("how", ["ask", "wait_up"])
def test_a_sibling_that_comes_up_later_is_not_waited_for_in_on_start(grow: Grow, how: str) -> None:
    told = Journal()

    class First(Threaded):
        def on_start(self) -> None:
            if self.restored_state is None:
                self.save_state("again")
                return
            try:
                later = tree.address("later")
                _ = later.ask(1, timeout=600) if how == "ask" else later.wait_up(600)
            except AskCycle as error:
                told.add(error.cycle)

    tree = grow(
        Child("first", First.start, hand_over=True),
        Child("later", Threaded.start),
        strategy=Strategy.ONE_FOR_ALL,
        clock=FakeClock(),
    )
    tree.address("later").tell(("raise", Boom()))
    assert told.wait_for(1) == [("first", "root", "first")]
    assert tree.address("later").ask(("echo", 1), timeout=WAIT) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_waits_in_on_start_until_it_is_up_itself(grow: Grow, kind: Any) -> None:
    told = Journal()

    class Patient(kind):  # type: ignore[misc]  # the kind is a parameter
        def on_start(self) -> None:
            assert not self.address.wait_up(0)
            try:
                self.address.wait_up(600)
            except AskCycle as error:
                told.add(error.cycle)

    grow(Child("a", Patient.start), clock=FakeClock())
    assert told.wait_for(1)[0][0] == "a"


@pytest.mark.parametrize("how", ["ask", "wait_up"])
def test_a_listener_that_waits_for_a_child_of_its_supervisor_is_told_at_once(
    grow: Grow, how: str
) -> None:
    told, tree = Journal(), grow(Child("a", Threaded.start), clock=FakeClock())

    def listen(_event: object) -> None:
        address = tree.address("a")
        try:
            _ = address.ask(("echo", 1), timeout=600) if how == "ask" else address.wait_up(600)
        except AskCycle as error:
            told.add(error.cycle)

    tree.on_event(listen)
    tree.address("a").tell(("raise", Boom()))
    assert told.wait_for(3) == [("root", "root")] * 3
    assert tree.address("a").ask(("echo", 1), timeout=WAIT) == 1


def test_who_waits_for_a_child_whose_supervisor_comes_to_wait_for_the_asker_is_told(
    grow: Grow,
) -> None:
    """The sibling is in its backoff when the asker begins to wait; then the asker is stopped."""
    told, clock = Journal(), FakeClock()
    tree = grow(
        Child("a", Threaded.start),
        Child("b", Threaded.start, backoff=Backoff(60.0)),
        clock=clock,
    )

    def wait(_me: Any) -> None:
        try:
            tree.address("b").wait_up(600)
        except AskCycle as error:
            told.add(error.cycle)

    tree.address("b").tell(("raise", Boom()))
    clock.wait_for_timers(1)
    tree.address("a").tell(call(wait))
    clock.wait_for_waiting(1)
    tree.stop_child("a")
    assert told.wait_for(1) == [("a", "root", "a")]


@pytest.mark.parametrize("kind", KINDS)
def test_whoever_is_told_of_an_end_before_the_supervisor_does_not_wait_for_the_successor(
    grow: Grow, kind: Any
) -> None:
    """The supervisor is told on the same thread, after the watcher has returned."""
    told = Journal()

    class Watched(kind):  # type: ignore[misc]  # the kind is a parameter
        def on_start(self) -> None:
            address = self.address

            def wait(_exit: object) -> None:
                try:
                    address.ask(("echo", 1), timeout=600)
                except AskCycle as error:
                    told.add(error.cycle)

            address.watch(wait)

    tree = grow(Child("a", Watched.start), clock=FakeClock())
    tree.address("a").tell(("raise", Boom()))
    assert set(told.wait_for(1)[0]) == {"a"}
    assert tree.address("a").ask(("echo", 1), timeout=WAIT) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_whoever_is_told_of_an_end_after_the_supervisor_waits_for_the_successor(
    grow: Grow, kind: Any
) -> None:
    told, tree = Journal(), grow(Child("a", kind.start))
    address = tree.address("a")
    address.watch(lambda _exit: told.add(address.ask(("echo", 2), timeout=WAIT)))
    address.tell(("raise", Boom()))
    assert told.wait_for(1) == [2]
