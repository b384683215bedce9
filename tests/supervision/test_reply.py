"""The first writer of a reply wins, and nobody is hurt by the second."""

from __future__ import annotations

import threading

import pykka
import pytest

from actors import NotDelivered
from actors.supervision.reply import Reply
from tests.supervision.subjects import WAIT, Boom, Journal


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
