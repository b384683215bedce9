"""What is special about an actor without a thread."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import pytest

from actors import Child
from actors.supervision.calling_thread_actor import MAX_MESSAGES_PER_TURN
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
