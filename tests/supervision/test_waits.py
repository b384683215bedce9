"""The graph of who waits for whom: a cycle is found the moment it would close, and only then."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import pytest

from actors import AskCycle, CallingThreadActor, Child, Supervised
from actors.supervision.deadlock import blocked_on, this_thread
from actors.supervision.mailbox import Envelope, Mailbox
from actors.supervision.reply import Reply
from actors.testing import Gate
from tests.supervision.conftest import Grow
from tests.supervision.subjects import WAIT, Journal, Threaded, Turn, call


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
