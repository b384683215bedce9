"""Actors that run on the thread of the caller: what they promise, and their races."""

from __future__ import annotations

import threading
from _thread import LockType
from functools import partial
from typing import Any, cast

import pykka
import pytest
from pykka.messages import _ActorStop  # pyright: ignore[reportPrivateUsage]  # how Pykka says stop

from actors import Cause, Child, MailboxFull, NotDelivered, Overflow, Supervised
from actors.supervision.actor_loop import ActorLoop
from actors.supervision.calling_thread_actor import MAX_MESSAGES_PER_TURN, CallingThreadMailbox
from actors.supervision.mailbox import Envelope, SystemMessage
from actors.supervision.reply import Reply
from actors.testing import Gate
from tests.supervision.conftest import Grow
from tests.supervision.subjects import WAIT, Journal, Turn, call

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


def test_the_handler_runs_on_the_thread_of_the_sender(grow: Grow) -> None:
    before = threading.active_count()
    address = grow(Child("a", Turn.start)).address("a")
    assert threading.active_count() == before + 1  # the supervisor's
    assert address.ask(call(lambda _me: threading.get_ident()), timeout=WAIT) == (
        threading.get_ident()
    )


def test_a_crash_is_healed_by_the_supervisor_and_not_by_the_teller(grow: Grow) -> None:
    journal = Journal()

    class Noting(Turn):
        def on_start(self) -> None:
            journal.add(threading.get_ident())

    address = grow(Child("a", Noting.start)).address("a")
    address.tell("no command, so the handler fails")
    assert address.ask(("echo", 1), timeout=WAIT) == 1
    assert threading.get_ident() not in journal.wait_for(2)


def test_a_sender_handles_no_more_than_its_share_of_a_flood(grow: Grow) -> None:
    address = grow(Child("a", Turn.start)).address("a")
    gate, handled = Gate(), Journal()

    def note(_me: Any) -> None:
        handled.add(threading.get_ident())

    unlucky = threading.Thread(
        target=lambda: address.ask(call(lambda _me: gate.hold()), timeout=WAIT)
    )
    unlucky.start()
    gate.reached()
    for _ in range(3 * MAX_MESSAGES_PER_TURN):
        address.tell(call(note))
    assert handled.entries == []
    gate.open()
    entries = handled.wait_for(3 * MAX_MESSAGES_PER_TURN)
    unlucky.join(WAIT)
    assert len(entries) == 3 * MAX_MESSAGES_PER_TURN
    assert entries.count(entries[0]) == MAX_MESSAGES_PER_TURN - 1


def test_a_message_that_waits_while_the_turn_is_taken_is_handled_without_another_put(
    grow: Grow,
) -> None:
    address = grow(Child("a", Turn.start)).address("a")
    gate, handled = Gate(), Journal()
    holder = threading.Thread(
        target=lambda: address.ask(call(lambda _me: gate.hold()), timeout=WAIT)
    )
    holder.start()
    gate.reached()
    address.tell(call(lambda _me: handled.add("second")))
    gate.open()
    handled.wait_for(1)
    holder.join(WAIT)


class TellsItself(Turn):
    """Sends itself a message before it is up."""

    def on_start(self) -> None:
        self.actor_ref.tell(call(lambda me: me.journal.add("handled")))
        super().on_start()


def test_what_is_told_in_on_start_is_handled_once_the_actor_is_up(grow: Grow) -> None:
    journal = Journal()
    grow(Child("a", partial(TellsItself.start, journal)))
    assert journal.entries == [("start", ""), "handled"]


def loop_of(ref: pykka.ActorRef[Any]) -> ActorLoop:
    """What runs the actor behind ``ref``."""
    return cast("ActorLoop", ref.ask(call(lambda me: me._supervised_loop), timeout=WAIT))


def note(entry: object, me: Any) -> None:
    me.journal.add(entry)


def hold_the_turn(ref: pykka.ActorRef[Any], gate: Gate) -> threading.Thread:
    """Have a thread of its own stand in the actor's handler, at ``gate``."""
    holder = threading.Thread(target=lambda: ref.tell(call(lambda _me: gate.hold())))
    holder.start()
    gate.reached()
    return holder


def test_a_stop_overtakes_whatever_waits_for_the_turn() -> None:
    journal, gate, lost = Journal(), Gate(), Journal()
    ref = Turn.start(journal)
    loop_of(ref).mailbox.on_dead_letter = lost.add
    holder = hold_the_turn(ref, gate)
    messages = [call(partial(note, number)) for number in range(3)]
    for message in messages:
        ref.tell(message)
    answer = ref.ask(("echo", 1), block=False)
    ref.stop(block=False)
    gate.open()
    holder.join(WAIT)
    assert journal.entries == [("start", ""), ("stop", "")]
    assert lost.entries == messages
    with pytest.raises(NotDelivered):
        answer.get(timeout=WAIT)


def test_control_messages_overtake_users_and_keep_their_own_order() -> None:
    class Noting(Turn):
        def on_receive(self, message: Any) -> Any:
            if isinstance(message, SystemMessage | str):
                self.journal.add(message)
                return None
            return super().on_receive(message)

    journal, gate = Journal(), Gate()
    ref = Noting.start(journal)
    mailbox = loop_of(ref).mailbox
    holder = hold_the_turn(ref, gate)
    control = [SystemMessage(), SystemMessage()]
    ref.tell("user")
    for each in control:
        mailbox.put(Envelope(each))
    gate.open()
    holder.join(WAIT)
    assert journal.entries[1:] == [*control, "user"]


class GivenBackSlowly:
    """A turn lock that lets somebody put a message just before it is given back, once."""

    def __init__(self, lock: LockType, meanwhile: Any) -> None:
        self.lock, self.meanwhile = lock, meanwhile

    def acquire(self, blocking: bool = True) -> bool:
        return self.lock.acquire(blocking)

    def release(self) -> None:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        self.lock.release()


def test_a_message_that_comes_while_the_turn_is_given_back_is_handled_by_who_had_it() -> None:
    """Its sender finds the turn taken and goes away: nobody else would look again."""
    journal = Journal()
    ref = Turn.start(journal)
    mailbox = loop_of(ref).mailbox
    assert isinstance(mailbox, CallingThreadMailbox)
    late = threading.Thread(target=lambda: ref.tell(call(partial(note, "late"))))

    def come_late() -> None:
        late.start()
        late.join(WAIT)

    mailbox._turn = GivenBackSlowly(mailbox._turn, come_late)  # type: ignore[assignment]  # stands for a lock
    ref.tell(call(partial(note, "early")))
    assert journal.entries == [("start", ""), "early", "late"]
    assert mailbox.empty()
    ref.stop(timeout=WAIT)


def test_a_control_message_that_comes_while_the_turn_is_given_back_is_handled_too() -> None:
    journal = Journal()
    ref = Turn.start(journal)
    mailbox = loop_of(ref).mailbox
    assert isinstance(mailbox, CallingThreadMailbox)
    mailbox._turn = GivenBackSlowly(mailbox._turn, lambda: ref.stop(block=False))  # type: ignore[assignment]  # stands for a lock
    ref.tell(call(partial(note, "early")))
    assert journal.entries == [("start", ""), "early", ("stop", "")]
    assert not ref.is_alive()


def test_whoever_comes_in_the_turn_of_another_leaves_at_once() -> None:
    journal, gate = Journal(), Gate()
    ref = Turn.start(journal)
    holder = hold_the_turn(ref, gate)
    ref.tell(call(partial(note, "told")))  # returns, though nobody handles it yet
    assert journal.entries == [("start", "")]
    gate.open()
    holder.join(WAIT)
    assert journal.entries[1:] == ["told"]
    ref.stop(timeout=WAIT)


def test_without_a_thread_for_the_backlog_the_sender_does_it_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Held up, but no message is lost."""
    journal, gate = Journal(), Gate()
    ref = Turn.start(journal)
    holder = hold_the_turn(ref, gate)
    for number in range(3 * MAX_MESSAGES_PER_TURN):
        ref.tell(call(partial(note, number)))

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError(f"can't start new thread {thread.name}")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    gate.open()
    holder.join(WAIT)
    assert journal.entries[1:] == [*range(3 * MAX_MESSAGES_PER_TURN)]
    ref.stop(timeout=WAIT)


def test_exactly_as_much_as_the_cap_needs_no_thread_for_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    journal, gate = Journal(), Gate()
    ref = Turn.start(journal)
    holder = hold_the_turn(ref, gate)
    for number in range(MAX_MESSAGES_PER_TURN - 1):  # and the one that holds the turn
        ref.tell(call(partial(note, number)))

    def refuse(_thread: threading.Thread) -> None:
        pytest.fail("a thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    gate.open()
    holder.join(WAIT)
    assert journal.entries[1:] == [*range(MAX_MESSAGES_PER_TURN - 1)]
    ref.stop(timeout=WAIT)


def test_an_actor_that_ends_in_its_turn_refuses_what_waits_behind(grow: Grow) -> None:
    journal, gate, told = Journal(), Gate(), Journal()
    tree = grow(Child("a", partial(Turn.start, journal)))
    address = tree.address("a")
    address.watch(told.add)

    def crash(_me: Supervised) -> None:
        gate.hold()
        raise ValueError("in its turn")

    holder = threading.Thread(target=lambda: address.tell(call(crash)))
    holder.start()
    gate.reached()
    address.tell(call(partial(note, "lost")))
    gate.open()
    holder.join(WAIT)
    assert [exit_.cause for exit_ in told.wait_for(1)] == [Cause.CRASH]
    assert address.ask(("echo", 1), timeout=WAIT) == 1
    assert address.dead_letters == 1
    assert "lost" not in journal.entries


def test_a_full_turn_mailbox_that_drops_the_oldest_finds_none_when_it_was_just_taken() -> None:
    mailbox, lost = CallingThreadMailbox(capacity=1, overflow=Overflow.DROP_OLDEST), Journal()
    mailbox.on_dead_letter = lost.add
    for each in ("one", "two"):
        mailbox.put(Envelope(each))
    assert (lost.entries, mailbox.depth) == (["one"], 1)
    mailbox._envelopes.clear()  # taken by the turn between the look and the drop  # pyright: ignore[reportPrivateUsage]  # the race itself
    mailbox._overflow(Envelope("three"))  # pyright: ignore[reportPrivateUsage]  # the race itself
    assert (lost.entries, mailbox.depth) == (["one"], 1)


def test_a_full_turn_mailbox_refuses_with_its_name_and_size() -> None:
    mailbox, reply = CallingThreadMailbox(capacity=1), Reply()
    mailbox.name = "ticker"
    mailbox.put(Envelope("one"))
    mailbox.put(Envelope("two", reply))
    with pytest.raises(MailboxFull, match="the mailbox of ticker holds 1 messages already"):
        reply.get(timeout=0)
    assert mailbox.refused == 1
    mailbox.put(Envelope(_ActorStop()))  # a stop needs no room
    assert mailbox.token.cancelled


def test_a_closed_turn_mailbox_refuses_what_waits_and_what_comes() -> None:
    mailbox, replies, lost = CallingThreadMailbox(), [Reply(), Reply()], Journal()
    mailbox.on_dead_letter = lost.add
    mailbox.put(Envelope("waits", replies[0]))
    mailbox.put(Envelope("told"))
    mailbox.put(Envelope(SystemMessage()))
    mailbox.close("it is gone")
    mailbox.put(Envelope("late", replies[1]))
    for reply in replies:
        with pytest.raises(NotDelivered, match="it is gone"):
            reply.get(timeout=0)
    assert lost.entries == ["told"]  # nobody sent the system message
    assert mailbox.empty()
