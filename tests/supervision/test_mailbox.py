"""The mailbox keeps its five invariants, each under its name.

The first writer of a reply wins, and nobody is hurt by the second.
"""

from __future__ import annotations

import threading
from typing import Any

import pykka
import pytest
from pykka.messages import _ActorStop  # pyright: ignore[reportPrivateUsage]  # how Pykka says stop

from actors import InvalidSpec, MailboxFull, NotDelivered
from actors.supervision.calling_thread_actor import CallingThreadMailbox
from actors.supervision.mailbox import Envelope, Mailbox, Overflow, SystemMessage
from actors.supervision.reply import Reply
from tests.supervision.subjects import WAIT, Boom, Journal


def stop_letter(reply: pykka.Future[Any] | None = None) -> Envelope:
    """The envelope by which Pykka asks an actor to stop."""
    return Envelope(_ActorStop(), reply)


def messages(mailbox: Mailbox, count: int) -> list[Any]:
    return [mailbox.get().message for _ in range(count)]


def test_first_in_is_first_out() -> None:
    mailbox = Mailbox()
    for number in range(5):
        mailbox.put(Envelope(number))
    assert mailbox.depth == 5
    assert messages(mailbox, 5) == [0, 1, 2, 3, 4]
    assert mailbox.empty()


def test_a_stop_overtakes_every_message_that_waits_and_loses_none() -> None:
    mailbox, stop = Mailbox(), stop_letter()
    for number in range(3):
        mailbox.put(Envelope(number))
    mailbox.put(stop)
    assert mailbox.get() is stop
    assert messages(mailbox, 3) == [0, 1, 2]


def test_control_messages_overtake_users_in_their_own_order_and_wake_the_taker() -> None:
    mailbox, control = Mailbox(capacity=1), [SystemMessage(), SystemMessage()]
    mailbox.put(Envelope("user"))
    for each in control:
        mailbox.put(Envelope(each))
    assert messages(mailbox, 3) == [*control, "user"]
    taken = Journal()
    thread = threading.Thread(target=lambda: taken.add(mailbox.get().message))
    thread.start()
    mailbox.put(Envelope(control[0]))
    assert taken.wait_for(1) == [control[0]]
    thread.join(WAIT)


@pytest.mark.parametrize("kind", [Mailbox, CallingThreadMailbox])
@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"capacity": 0}, "mailbox_capacity is 0"),
        ({"capacity": True}, "mailbox_capacity is True"),
        ({"overflow": "reject"}, "mailbox_overflow is 'reject'"),
    ],
)
def test_a_wrong_capacity_is_refused_with_its_value(
    kind: type[Mailbox], options: dict[str, Any], named: str
) -> None:
    with pytest.raises(InvalidSpec, match=named):
        kind(**options)


def test_a_stop_cancels_the_token_before_anybody_takes_it() -> None:
    mailbox = Mailbox()
    mailbox.put(Envelope("user"))
    assert not mailbox.token.cancelled
    mailbox.put(stop_letter())
    assert mailbox.token.cancelled


def test_a_closed_mailbox_refuses_what_waits_and_what_comes() -> None:
    mailbox, lost = Mailbox(), Journal()
    mailbox.on_dead_letter = lost.add
    replies = [Reply(), Reply()]
    mailbox.put(Envelope("told"))
    mailbox.put(Envelope("asked", replies[0]))
    mailbox.close()
    mailbox.put(Envelope("asked late", replies[1]))
    mailbox.put(Envelope("told late"))
    assert lost.entries == ["told", "told late"]
    for reply in replies:
        assert reply.refused
        with pytest.raises(NotDelivered):
            reply.get(timeout=0)


def test_a_stop_of_a_closed_mailbox_counts_as_done() -> None:
    mailbox, reply = Mailbox(), Reply()
    mailbox.close()
    mailbox.put(stop_letter(reply))
    assert reply.get(timeout=0) is None


def test_closing_wakes_the_taker_who_then_gets_nothing() -> None:
    mailbox, taken = Mailbox(), Journal()
    thread = threading.Thread(target=lambda: taken.add(mailbox.get()))
    thread.start()
    mailbox.close()
    assert taken.wait_for(1) == [None]
    thread.join(WAIT)


def test_a_full_mailbox_rejects_the_newcomer_without_blocking() -> None:
    mailbox, reply, lost = Mailbox(capacity=1), Reply(), Journal()
    mailbox.on_dead_letter = lost.add
    mailbox.put(Envelope("first"))
    mailbox.put(Envelope("second", reply))
    mailbox.put(Envelope("third"))
    with pytest.raises(MailboxFull, match="1 messages"):
        reply.get(timeout=0)
    assert lost.entries == ["third"]
    assert messages(mailbox, 1) == ["first"]


def test_a_full_mailbox_may_drop_the_oldest_instead() -> None:
    mailbox, lost = Mailbox(capacity=2, overflow=Overflow.DROP_OLDEST), Journal()
    mailbox.on_dead_letter = lost.add
    for number in range(4):
        mailbox.put(Envelope(number))
    assert lost.entries == [0, 1]
    assert messages(mailbox, 2) == [2, 3]


def test_a_stop_gets_into_a_full_mailbox() -> None:
    mailbox, stop = Mailbox(capacity=1), stop_letter()
    mailbox.put(Envelope("user"))
    mailbox.put(stop)
    assert mailbox.get() is stop


def test_of_messages_that_race_with_the_close_each_is_taken_or_refused() -> None:
    for _ in range(50):
        mailbox, lost = Mailbox(), Journal()
        mailbox.on_dead_letter = lost.add
        begin = threading.Barrier(3)

        def put_many(mailbox: Mailbox = mailbox, begin: threading.Barrier = begin) -> None:
            begin.wait(WAIT)
            for number in range(20):
                mailbox.put(Envelope(number))

        threads = [threading.Thread(target=put_many) for _ in range(2)]
        for thread in threads:
            thread.start()
        begin.wait(WAIT)
        mailbox.close()
        for thread in threads:
            thread.join(WAIT)
        assert len(lost.entries) == 40


def test_the_first_writer_wins_and_the_others_are_told() -> None:
    reply = Reply()
    assert reply.settle(1)
    assert not reply.settle(2)
    assert not reply.fail(Boom())
    assert not reply.refuse(NotDelivered())
    reply.set(3)
    reply.set_exception((Boom, Boom(), None))
    assert reply.get(timeout=0) == 1
    assert not reply.refused


def test_of_many_writers_at_once_exactly_one_wins() -> None:
    reply, wins, begin = Reply(), Journal(), threading.Barrier(8)

    def write() -> None:
        begin.wait(WAIT)
        wins.add(reply.settle(threading.get_ident()))

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert sorted(wins.entries) == [False] * 7 + [True]


def test_a_reply_can_be_read_again_and_by_many() -> None:
    reply, seen = Reply(), Journal()
    threads = [threading.Thread(target=lambda: seen.add(reply.get(timeout=WAIT))) for _ in range(3)]
    for thread in threads:
        thread.start()
    reply.settle("answer")
    assert seen.wait_for(3) == ["answer"] * 3
    for thread in threads:
        thread.join(WAIT)


def test_no_answer_in_time_is_pykkas_timeout_and_a_late_answer_is_harmless() -> None:
    reply = Reply()
    with pytest.raises(pykka.Timeout):
        reply.get(timeout=0)
    reply.set("late")
    assert reply.get(timeout=0) == "late"


def test_the_exception_being_handled_is_set_if_none_is_given() -> None:
    reply = Reply()
    try:
        raise Boom  # noqa: TRY301  # the exception being handled is the point
    except Boom:
        reply.set_exception()
    with pytest.raises(Boom):
        reply.get(timeout=0)


def test_pykkas_futures_of_futures_work_on_it() -> None:
    reply = Reply()
    doubled = reply.map(lambda value: value * 2)
    reply.set(21)
    assert doubled.get(timeout=0) == 42
