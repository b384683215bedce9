"""Races and values at the edge: each held once, deterministically, where it was found by stress."""

from __future__ import annotations

import sys
import threading
from collections import deque
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from pykka.messages import _ActorStop  # pyright: ignore[reportPrivateUsage]  # how Pykka says stop

from actors import Backoff, Cause, Child, NotDelivered, Overflow, StartFailed, Tree
from actors.supervision.actor import TreeContext
from actors.supervision.address import AddressTable
from actors.supervision.child_runner import AbandonedThreads, ChildRunner
from actors.supervision.clock import TimerThread
from actors.supervision.events import EventBus
from actors.supervision.mailbox import Envelope, Mailbox, SystemMessage
from actors.testing import FakeClock
from tests.supervision.conftest import Grow
from tests.supervision.subjects import WAIT, Boom, Journal, Threaded, Turn, call

NEVER = sys.maxsize  # seconds: what people write for "for ever", and more than a lock can wait
FOREVER = float("inf")


class DoneAtSecondLook:
    """A loop that finishes its message between two looks of its supervisor."""

    def __init__(self) -> None:
        self._looks = iter([1.0])

    @property
    def busy_since(self) -> float | None:
        return next(self._looks, None)


def test_a_message_that_is_done_while_it_is_looked_at_is_no_hang() -> None:
    tree = TreeContext(FakeClock(), AddressTable(), EventBus())
    child = ChildRunner(Child("a", Turn.start, hang_after=1.0), "a", tree, AbandonedThreads())
    child.loop = DoneAtSecondLook()  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]  # all that is looked at
    assert not child.abandon_if_hung(1.5)


class Snatched(deque[Envelope]):
    """Messages of which somebody else takes one, just after it was seen to be there."""

    snatch = True

    def popleft(self) -> Envelope:
        if self.snatch:
            self.snatch = False
            super().popleft()
        return super().popleft()


def test_a_letter_that_another_took_away_fails_no_sender() -> None:
    ref = Turn.start()
    mailbox: Any = ref.ask(call(lambda me: me.actor_inbox), timeout=WAIT)
    mailbox._envelopes = Snatched()
    ref.tell(("echo", 1))
    assert ref.ask(("echo", 2), timeout=WAIT) == 2
    ref.stop()


def test_a_flood_behind_a_stop_does_not_outgrow_the_mailbox() -> None:
    mailbox, kept = Mailbox(4, Overflow.DROP_OLDEST), Journal()
    mailbox.put(Envelope(_ActorStop()))
    for number in range(200):
        mailbox.put(Envelope(number))
    assert mailbox.depth == 4  # three messages, and what wakes the actor for the stop
    assert isinstance(mailbox.get().message, _ActorStop)
    mailbox.on_dead_letter = kept.add
    mailbox.close()
    assert sorted(kept.entries) == [197, 198, 199]


def test_what_a_supervisor_tells_itself_is_no_dead_letter() -> None:
    mailbox, lost = Mailbox(), Journal()
    mailbox.on_dead_letter = lost.add
    mailbox.close()
    mailbox.put(Envelope(SystemMessage()))
    mailbox.put(Envelope("of a user"))
    assert lost.entries == ["of a user"]


# Values at the edge


def test_seconds_beyond_what_a_lock_can_wait_mean_for_ever(grow: Grow) -> None:
    never = Backoff(first=NEVER, cap=NEVER, jitter=0)
    tree = grow(
        Child("resting", Threaded.start, backoff=never, hang_after=NEVER, start_within=NEVER),
        Child("again", Threaded.start, backoff=Backoff(first=0.01, cap=0.01)),
        Child("patient", Threaded.start, shutdown=NEVER),
    )
    tree.address("resting").tell(("raise", Boom()))
    tree.stop_child("patient")  # when this is done, the other restart is planned
    tree.address("again").tell(("raise", Boom()))
    assert tree.address("again").ask(("echo", 1), timeout=FOREVER) == 1
    assert tree.stop(timeout=FOREVER)


def test_an_ask_may_wait_for_ever_for_the_next_incarnation(grow: Grow) -> None:
    tree = grow(Child("a", Threaded.start, backoff=Backoff(first=0.05, cap=0.05)))
    tree.address("a").tell(("raise", Boom()))
    assert tree.address("a").ask(("echo", 1), timeout=FOREVER) == 1
    assert tree.address("a").wait_up(FOREVER)


# No more threads


@pytest.fixture
def no_more_threads(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """``.on()`` and ``.off()``: as if the system had no thread to give."""

    def refuse(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    return SimpleNamespace(
        on=lambda: monkeypatch.setattr(threading.Thread, "start", refuse), off=monkeypatch.undo
    )


def test_a_clock_without_a_thread_says_so_and_tries_again(no_more_threads: SimpleNamespace) -> None:
    clock, rung = TimerThread(), threading.Event()
    no_more_threads.on()
    with pytest.raises(RuntimeError):
        clock.call_later(0.0, rung.set)
    no_more_threads.off()
    second = threading.Event()
    clock.call_later(0.0, second.set)
    assert second.wait(WAIT)
    assert not rung.is_set()
    clock.close()


def gave_up(tree: Tree) -> str:
    how = Journal()
    tree.on_exit(how.add)
    (exit_,) = how.wait_for(1)
    assert exit_.cause is Cause.SHUTDOWN
    return str(exit_.error)


def test_without_a_thread_for_the_backoff_a_restart_is_tried_at_once_and_counted(
    grow: Grow, no_more_threads: SimpleNamespace
) -> None:
    tree = grow(Child("a", Threaded.start, backoff=Backoff(first=60)), intensity=3)
    no_more_threads.on()
    tree.address("a").tell(("raise", Boom()))
    assert "GaveUp: root: 4 restarts" in gave_up(tree)
    no_more_threads.off()


def test_without_a_thread_to_see_it_hang_a_child_is_not_started(
    grow: Grow, no_more_threads: SimpleNamespace
) -> None:
    tree, journal = grow(), Journal()
    child = Child("a", partial(Turn.start, journal), hang_after=60)
    no_more_threads.on()
    with pytest.raises(StartFailed, match="can't start new thread"):
        tree.start_child(child)
    no_more_threads.off()
    assert tree.children() == ()
    assert journal.entries == [("start", ""), ("stop", "")]
    assert tree.start_child(child).alive


def test_asking_a_dead_tree_with_any_timeout_fails_at_once(grow: Grow) -> None:
    tree = grow(Child("a", Threaded.start))
    address = tree.address("a")
    tree.stop(timeout=WAIT)
    for timeout in (0.0, FOREVER):
        with pytest.raises(NotDelivered):
            address.ask(("echo", 1), timeout=timeout)


# Starts that are not what they should be


@pytest.mark.parametrize("ending", ["returns nothing", "raises"])
def test_no_actor_is_left_of_a_start_that_made_one_and_did_not_answer_with_it(
    grow: Grow, no_thread_is_left: None, ending: str
) -> None:
    tree, journal = grow(), Journal()

    def start() -> Any:
        Threaded.start(journal)
        if ending == "raises":
            raise Boom
        # no ref: the word "return" was forgotten

    with pytest.raises(StartFailed):
        tree.start_child(Child("a", start))
    assert journal.wait_for(2) == [("start", ""), ("stop", "")]
    tree.stop(timeout=WAIT)


@pytest.mark.parametrize("seconds", [-1.0, float("nan")])
def test_a_fake_clock_never_goes_back(seconds: float) -> None:
    clock = FakeClock()
    with pytest.raises(ValueError, match="never goes back"):
        clock.advance(seconds)
    assert clock.monotonic() == 1000.0
