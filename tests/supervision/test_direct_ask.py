"""An ask whose turn is free runs the handler itself, and keeps every promise of a mailbox.

What :mod:`tests.supervision.test_actor_contract` says of an ask holds here too; these are the
promises that only the direct way could break.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import weakref
from _thread import LockType
from functools import partial
from typing import Any, cast

import pykka
import pytest
from pykka.messages import ProxyCall, ProxyGetAttr, ProxySetAttr

from actors import (
    ActorCrashed,
    Address,
    AskCycle,
    Cause,
    Child,
    Exit,
    MailboxFull,
    NotDelivered,
    Overflow,
)
from actors.supervision.actor_loop import ActorLoop
from actors.supervision.calling_thread_actor import (
    MAX_MESSAGES_PER_TURN,
    MAX_NESTED_TURNS,
    CallingThreadMailbox,
)
from actors.supervision.deadlock import this_thread
from actors.supervision.mailbox import UNANSWERED, Envelope
from actors.testing import FakeClock, Gate
from tests.supervision.conftest import Grow
from tests.supervision.subjects import WAIT, Boom, Fatal, Journal, Turn, call

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


def start(grow: Grow, **flags: Any) -> tuple[Address, CallingThreadMailbox, ActorLoop, Journal]:
    """A turn actor of a tree: its address, mailbox, loop, and journal."""
    journal = Journal()
    address = grow(Child("a", partial(Turn.start, journal), **flags)).address("a")
    loop: ActorLoop = address.ask(call(lambda me: me._supervised_loop), timeout=WAIT)
    return address, cast("CallingThreadMailbox", loop.mailbox), loop, journal


def loop_of(ref: pykka.ActorRef[Any]) -> ActorLoop:
    """What runs the actor behind ``ref``."""
    return cast("ActorLoop", ref.ask(call(lambda me: me._supervised_loop), timeout=WAIT))


def note(entry: object) -> tuple[str, Any]:
    """The command that notes ``entry``."""
    return call(lambda me: me.journal.add(entry))


class Turnstile:
    """A turn lock at which something happens once: as it is taken, or as it is given back."""

    def __init__(self, lock: LockType, **meanwhile: Any) -> None:
        self.lock, self.meanwhile = lock, meanwhile

    def acquire(self, blocking: bool = True) -> bool:
        taken = self.lock.acquire(blocking)
        self.meanwhile.pop("taken", lambda: None)()
        return taken

    def release(self) -> None:
        self.meanwhile.pop("given_back", lambda: None)()
        self.lock.release()


# How it is done


def test_it_makes_no_reply_and_puts_no_letter(grow: Grow, monkeypatch: pytest.MonkeyPatch) -> None:
    address, mailbox, _, _ = start(grow)
    monkeypatch.setattr(mailbox, "put", partial(pytest.fail, "a envelope"))
    assert address.ask(("echo", 1), timeout=WAIT) == 1


def test_it_is_three_calls_with_the_handler(grow: Grow) -> None:
    """Exact on any machine: about 0.4 µs each on a request's way."""
    calls: list[str] = []

    def note_call(frame: Any, event: str, _arg: object) -> None:
        if event == "call":
            calls.append(frame.f_code.co_qualname)

    address, _, _, _ = start(grow)
    sys.setprofile(note_call)
    try:
        address.ask(("echo", 1), timeout=WAIT)
    finally:
        sys.setprofile(None)
    assert calls[:4] == ["Address.ask", "CallingThreadMailbox.answer", "Turn.on_receive", "obey"]
    assert len(calls) == 4


@pytest.mark.parametrize("timeout", [0, 1e-9])
def test_no_timeout_is_too_short_for_it(grow: Grow, timeout: float) -> None:
    address, _, _, _ = start(grow)
    assert address.ask(("echo", 1), timeout=timeout) == 1


def test_pykkas_own_messages_are_answered_as_before(grow: Grow) -> None:
    address, _, _, journal = start(grow)
    address.ask(ProxySetAttr(("label",), "new"), timeout=WAIT)
    assert address.ask(ProxyGetAttr(("label",)), timeout=WAIT) == "new"
    address.ask(ProxyCall(("journal", "add"), ("called",), {}), timeout=WAIT)
    assert journal.entries[-1] == "called"


# Order


def test_what_waits_is_handled_before_it(grow: Grow) -> None:
    """Its sender has put it, and not yet come to the turn."""
    address, mailbox, _, journal = start(grow)
    mailbox._envelopes.append(Envelope(note("waits")))  # pyright: ignore[reportPrivateUsage]  # the race itself
    address.ask(note("asked"), timeout=WAIT)
    assert journal.entries[1:] == ["waits", "asked"]


def test_what_comes_before_it_has_the_turn_is_handled_before_it(grow: Grow) -> None:
    address, mailbox, _, journal = start(grow)

    def come() -> None:
        mailbox._envelopes.append(Envelope(note("came first")))  # pyright: ignore[reportPrivateUsage]  # the race itself

    mailbox._turn = cast("Any", Turnstile(mailbox._turn, taken=come))  # pyright: ignore[reportPrivateUsage]  # stands for a lock
    address.ask(note("asked"), timeout=WAIT)
    assert journal.entries[1:] == ["came first", "asked"]


def test_a_stop_that_waits_is_handled_before_it(grow: Grow) -> None:
    address, mailbox, loop, journal = start(grow, hand_over=True)
    ref = loop.actor.actor_ref
    mailbox._turn = cast("Any", Turnstile(mailbox._turn, taken=partial(ref.stop, block=False)))  # pyright: ignore[reportPrivateUsage]  # stands for a lock
    address.ask(note("by the next incarnation"), timeout=WAIT)
    assert journal.entries == [
        ("start", ""),
        ("stop", ""),
        ("start", ""),
        "by the next incarnation",
    ]


def test_what_comes_while_it_is_handled_is_handled_before_the_ask_returns(grow: Grow) -> None:
    address, mailbox, _, journal = start(grow)

    def tell_twice(me: Any) -> None:
        me.address.tell(note("first"))
        me.address.tell(note("second"))
        me.journal.add("asked")

    address.ask(call(tell_twice), timeout=WAIT)
    assert journal.entries[1:] == ["asked", "first", "second"]
    assert mailbox.empty()


def test_what_comes_as_the_turn_is_given_back_is_handled_too(grow: Grow) -> None:
    address, mailbox, _, journal = start(grow)
    late = threading.Thread(target=lambda: address.tell(note("late")))

    def come_late() -> None:
        late.start()
        late.join(WAIT)

    mailbox._turn = cast("Any", Turnstile(mailbox._turn, given_back=come_late))  # pyright: ignore[reportPrivateUsage]  # stands for a lock
    address.ask(note("early"), timeout=WAIT)
    assert journal.entries[1:] == ["early", "late"]
    assert mailbox.empty()


def test_it_counts_as_one_of_its_senders_share_of_a_flood(grow: Grow) -> None:
    address, _, _, _ = start(grow)
    handled = Journal()

    def flood(me: Any) -> None:
        for _ in range(2 * MAX_MESSAGES_PER_TURN):
            me.address.tell(call(lambda _me: handled.add(threading.get_ident())))

    address.ask(call(flood), timeout=WAIT)
    entries = handled.wait_for(2 * MAX_MESSAGES_PER_TURN)
    assert entries.count(threading.get_ident()) == MAX_MESSAGES_PER_TURN - 1


# Ends


def test_an_ordinary_exception_shows_the_handler_that_raised_it(grow: Grow) -> None:
    address, _, _, _ = start(grow)
    with pytest.raises(Boom) as caught:
        address.ask(("raise", Boom()), timeout=WAIT)
    assert caught.traceback[-1].name == "obey"
    assert caught.value.__context__ is None


def test_a_fatal_exception_ends_the_actor_before_the_asker_hears_of_it(grow: Grow) -> None:
    address, mailbox, loop, _ = start(grow)
    exits = Journal()
    loop.lifecycle.watch(exits.add)
    with pytest.raises(Fatal):
        address.ask(("raise", Fatal("why")), timeout=WAIT)
    (exit_,) = exits.entries
    assert (exit_.cause, str(exit_.error)) == (Cause.CRASH, "Fatal: why")
    assert mailbox.token.cancelled
    assert mailbox.answer(("echo", 1)) is UNANSWERED


def test_a_crash_is_told_to_on_failure_on_the_turn(grow: Grow) -> None:
    seen: list[Any] = []

    class Noting(Turn):
        def on_failure(self, *args: Any, **_named: Any) -> None:
            seen.append((args[1], self._supervised_loop.busy_since is not None))

    address, error = grow(Child("a", Noting.start)).address("a"), Fatal()
    with pytest.raises(Fatal):
        address.ask(("raise", error), timeout=WAIT)
    assert seen == [(error, True)]


def test_a_system_exit_is_a_crash_whose_asker_is_not_shown_the_exit(grow: Grow) -> None:
    address, _, _, _ = start(grow)
    with pytest.raises(ActorCrashed, match=r"a crashed: SystemExit: 3") as caught:
        address.ask(("raise", SystemExit(3)), timeout=WAIT)
    assert caught.value.__context__ is None


def test_an_actor_that_stops_itself_answers_first(grow: Grow) -> None:
    address, _, loop, journal = start(grow)
    exits = Journal()
    loop.lifecycle.watch(exits.add)

    def stop(me: Any) -> str:
        me.stop()
        return "answer"

    assert address.ask(call(stop), timeout=WAIT) == "answer"
    assert journal.entries[:2] == [("start", ""), ("stop", "")]
    assert exits.entries == [Exit(Cause.NORMAL)]


def test_a_mailbox_that_closes_as_the_turn_is_taken_refuses_and_nobody_handles_it() -> None:
    journal = Journal()
    loop = loop_of(Turn.start(journal))
    mailbox, address = (
        cast("CallingThreadMailbox", loop.mailbox),
        cast("Any", loop.actor).address,
    )
    mailbox._turn = cast("Any", Turnstile(mailbox._turn, taken=loop.terminate))  # pyright: ignore[reportPrivateUsage]  # stands for a lock
    with pytest.raises(NotDelivered):
        address.ask(note("handled"), timeout=WAIT)
    assert journal.entries == [("start", "")]


def test_a_full_mailbox_refuses_an_ask_whose_turn_is_taken(grow: Grow) -> None:
    class Small(Turn):
        mailbox_capacity = 1
        mailbox_overflow = Overflow.REJECT

    address = grow(Child("a", Small.start)).address("a")

    def ask_behind(me: Any) -> None:
        me.address.tell(note("waits"))
        asker = threading.Thread(target=refused)
        asker.start()
        asker.join(WAIT)

    def refused() -> None:
        with pytest.raises(MailboxFull):
            address.ask(("echo", 1), timeout=WAIT)
        seen.append("refused")

    seen: list[str] = []
    address.ask(call(ask_behind), timeout=WAIT)
    assert seen == ["refused"]


@pytest.mark.parametrize("late", [lambda: "answer", lambda: 1 / 0], ids=["answers", "raises"])
@pytest.mark.parametrize("how", ["abandoned", "lost"])
def test_whoever_asked_an_actor_that_was_cut_off_meanwhile_gets_no_answer_of_it(
    how: str, late: Any
) -> None:
    loop = loop_of(Turn.start())
    address: Address = cast("Any", loop.actor).address

    def be_cut_off(_me: Any) -> Any:
        if how == "abandoned":
            loop.abandon(Exit(Cause.HUNG))
        else:
            loop.invalidate("this is another process")
        return late()

    why = "Turn was abandoned while" if how == "abandoned" else "this is another process"
    with pytest.raises(ActorCrashed, match=why):
        address.ask(call(be_cut_off), timeout=WAIT)
    loop.terminate()


def test_a_hung_turn_actor_is_replaced_while_its_asker_is_in_it(grow: Grow) -> None:
    clock, gate, told = FakeClock(), Gate(), Journal()
    tree = grow(Child("a", Turn.start, hang_after=2.0), clock=clock)
    address = tree.address("a")

    def ask() -> None:
        try:
            address.ask(call(lambda _me: gate.hold()), timeout=60)
        except ActorCrashed as error:
            told.add(str(error))

    asker = threading.Thread(target=ask)
    asker.start()
    gate.reached()
    for _ in range(6):
        clock.wait_for_timers(1)
        clock.advance(0.5)
        tree.children()  # the supervisor has looked
    assert address.ask(("echo", 1), timeout=WAIT) == 1
    assert address.epoch == 2
    gate.open()
    assert told.wait_for(1) == ["a was abandoned while it handled this"]
    asker.join(WAIT)


def test_ctrl_c_in_a_handler_is_for_the_program_and_ends_the_actor(grow: Grow) -> None:
    address, _, _, _ = start(grow)
    with pytest.raises(KeyboardInterrupt):
        address.ask(call(lambda _me: os.kill(os.getpid(), signal.SIGINT)), timeout=WAIT)
    assert this_thread.stack == []
    assert address.ask(("echo", 1), timeout=WAIT) == 1
    assert address.epoch == 2


# What others see


def test_the_actor_is_busy_while_it_is_handled_and_idle_after_it_however_it_ends(
    grow: Grow,
) -> None:
    clock = FakeClock()
    journal = Journal()
    address = grow(Child("a", partial(Turn.start, journal)), clock=clock).address("a")
    loop: ActorLoop = address.ask(call(lambda me: me._supervised_loop), timeout=WAIT)
    clock.advance(7.0)
    assert address.ask(call(lambda _me: loop.busy_since), timeout=WAIT) == clock.monotonic()
    assert loop.busy_since is None
    with pytest.raises(Boom):
        address.ask(("raise", Boom()), timeout=WAIT)
    assert loop.busy_since is None


def test_the_thread_is_the_actors_while_it_is_handled_and_not_after_it(grow: Grow) -> None:
    address, mailbox, _, _ = start(grow)
    assert address.ask(call(lambda _me: [*this_thread.stack]), timeout=WAIT) == [mailbox]
    with pytest.raises(Boom):
        address.ask(("raise", Boom()), timeout=WAIT)
    assert this_thread.stack == []


def test_a_finalizer_that_asks_from_within_is_told_of_the_cycle(grow: Grow) -> None:
    address, _, _, _ = start(grow)
    heard: list[BaseException] = []

    class Asking:
        def __del__(self) -> None:
            try:
                address.ask(("echo", 1), timeout=60)
            except AskCycle as error:
                heard.append(error)

    address.ask(call(lambda _me: Asking() and None), timeout=WAIT)
    assert [str(each)[:6] for each in heard] == ["a -> a"]


def test_as_many_actors_as_may_run_on_one_thread_do_and_the_next_one_elsewhere(grow: Grow) -> None:
    count = MAX_NESTED_TURNS + 2
    tree = grow(*(Child(str(each), Turn.start) for each in range(count)))
    threads: list[int] = []

    def ask_next(number: int, _me: Any) -> None:
        threads.append(threading.get_ident())
        if number + 1 < count:
            tree.address(str(number + 1)).ask(call(partial(ask_next, number + 1)), timeout=WAIT)

    tree.address("0").ask(call(partial(ask_next, 0)), timeout=WAIT)
    mine = threads[0]
    assert [each == mine for each in threads] == [True] * MAX_NESTED_TURNS + [False] * 2


def test_an_error_keeps_nothing_of_the_handler_alive_without_the_collector(grow: Grow) -> None:
    class Held:
        pass

    address, _, _, _ = start(grow)
    kept: list[weakref.ref[Held]] = []

    def fail(_me: Any) -> None:
        held = Held()
        kept.append(weakref.ref(held))
        raise Boom(held.__class__.__name__)

    gc.disable()
    try:
        with pytest.raises(Boom) as caught:
            address.ask(call(fail), timeout=WAIT)
        del caught
        assert kept[0]() is None
    finally:
        gc.enable()
