"""What every supervised actor promises, threaded or thread-less: one suite for both."""

from __future__ import annotations

import gc
import threading
import weakref
from functools import partial
from typing import Any

import pykka
import pytest

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
    Restart,
    StartFailed,
    Supervised,
    Supervisor,
)
from actors.testing import Gate
from tests.supervision.conftest import Grow
from tests.supervision.subjects import WAIT, Boom, Fatal, Journal, Threaded, Turn, call

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


@pytest.fixture(params=[Threaded, Turn])
def kind(request: pytest.FixtureRequest) -> Any:
    """The type of actor under test."""
    return request.param


def test_an_ask_is_answered_by_the_handler(kind: Any, grow: Grow) -> None:
    address = grow(Child("a", kind.start)).address("a")
    assert address.ask(("echo", 1), timeout=WAIT) == 1


def test_an_ordinary_exception_on_ask_is_the_answer_and_the_actor_lives_on(
    kind: Any, grow: Grow
) -> None:
    address = grow(Child("a", kind.start)).address("a")
    with pytest.raises(Boom):
        address.ask(("raise", Boom()), timeout=WAIT)
    assert address.ask(("echo", 1), timeout=WAIT) == 1
    assert address.epoch == 1


@pytest.mark.parametrize("error", [Fatal(), MemoryError(), RecursionError()])
def test_a_fatal_exception_on_ask_is_the_answer_and_restarts_the_actor(
    kind: Any, grow: Grow, error: Exception
) -> None:
    address = grow(Child("a", kind.start)).address("a")
    with pytest.raises(type(error)):
        address.ask(("raise", error), timeout=WAIT)
    assert address.ask(("echo", 1), timeout=WAIT) == 1
    assert address.epoch == 2


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_an_order_to_exit_ends_only_the_actor_that_raised_it(
    kind: Any, grow: Grow, error: BaseException
) -> None:
    tree = grow(Child("a", kind.start), Child("bystander", kind.start))
    # A turn actor runs on this thread, the main one: there Ctrl-C is for the program.
    passed_on = kind is Turn and isinstance(error, KeyboardInterrupt)
    expected = KeyboardInterrupt if passed_on else ActorCrashed
    with pytest.raises(expected, match=None if passed_on else type(error).__name__):
        tree.address("a").ask(("raise", error), timeout=WAIT)
    assert tree.address("a").ask(("echo", 1), timeout=WAIT) == 1
    assert tree.address("bystander").epoch == 1


def test_the_asker_of_a_threaded_actors_last_message_does_not_wait_for_on_failure() -> None:
    gate = Gate()

    class Slow(Threaded):
        def on_failure(self, *_args: Any, **_named: Any) -> None:
            gate.hold()

    ref = Slow.start()
    with pytest.raises(Fatal):
        ref.ask(("raise", Fatal()), timeout=WAIT)
    gate.reached()
    gate.open()


def test_any_exception_on_tell_restarts_the_actor(kind: Any, grow: Grow) -> None:
    address = grow(Child("a", kind.start)).address("a")
    ended: list[Exit] = []
    address.watch(ended.append)
    address.tell(("raise", Boom("why")))
    assert address.ask(("echo", 1), timeout=WAIT) == 1
    assert address.epoch == 2
    assert [exit_.cause for exit_ in ended] == [Cause.CRASH]
    assert str(ended[0].error) == "Boom: why"


def test_an_actor_that_asks_itself_is_told_of_the_cycle_at_once(kind: Any, grow: Grow) -> None:
    address = grow(Child("a", kind.start)).address("a")
    with pytest.raises(AskCycle, match="a -> a"):
        address.ask(call(lambda me: me.address.ask(("echo", 1), timeout=60)), timeout=WAIT)


def test_a_reference_asked_by_its_own_actor_is_told_of_the_cycle_too(kind: Any, grow: Grow) -> None:
    address = grow(Child("a", kind.start)).address("a")
    with pytest.raises(AskCycle):
        address.ask(call(lambda me: me.actor_ref.ask(("echo", 1), timeout=60)), timeout=WAIT)


def test_a_cycle_of_two_is_found_and_named(kind: Any, grow: Grow) -> None:
    tree = grow(Child("a", kind.start), Child("b", kind.start))
    a, b = tree.address("a"), tree.address("b")

    def ask_a(_me: Supervised) -> Any:
        return a.ask(("echo", 1), timeout=60)

    def ask_b(_me: Supervised) -> Any:
        return b.ask(call(ask_a), timeout=60)

    with pytest.raises(AskCycle, match="b -> a"):
        a.ask(call(ask_b), timeout=WAIT)


def test_the_message_of_a_refused_cycle_is_taken_back(kind: Any, grow: Grow) -> None:
    """Handled later it would ask the next one in the ring, and that one the first, for ever."""
    tree = grow(Child("a", kind.start), Child("b", kind.start))
    a, b = tree.address("a"), tree.address("b")
    seen: list[str] = []

    def ask_a(_me: Supervised) -> Any:
        return a.ask(call(lambda _me: seen.append("refused")), timeout=60)

    def ask_b(_me: Supervised) -> Any:
        return b.ask(call(ask_a), timeout=60)

    with pytest.raises(AskCycle):
        a.ask(call(ask_b), timeout=WAIT)
    for address in (b, a):
        assert address.ask(("echo", 1), timeout=WAIT) == 1
    assert not seen


def test_a_message_told_to_itself_is_handled_after_the_current_one(kind: Any, grow: Grow) -> None:
    seen: list[str] = []

    def tell_first(me: Supervised) -> None:
        me.address.tell(call(lambda _me: seen.append("told")))
        seen.append("teller")

    address = grow(Child("a", kind.start)).address("a")
    address.ask(call(tell_first), timeout=WAIT)
    address.ask(("echo", 1), timeout=WAIT)
    assert seen == ["teller", "told"]


def test_messages_of_one_sender_are_handled_in_their_order(kind: Any, grow: Grow) -> None:
    seen: list[int] = []

    def note(number: int, _me: Supervised) -> None:
        seen.append(number)

    address = grow(Child("a", kind.start)).address("a")
    for number in range(200):
        address.tell(call(partial(note, number)))
    address.ask(("echo", 1), timeout=WAIT)
    assert seen == list(range(200))


def test_one_message_is_handled_at_a_time(kind: Any, grow: Grow) -> None:
    address = grow(Child("a", kind.start)).address("a")
    inside = [0]
    overlaps: list[int] = []

    def enter(_me: Supervised) -> None:
        inside[0] += 1
        if inside[0] != 1:
            overlaps.append(inside[0])
        inside[0] -= 1

    def ask_often() -> None:
        for _ in range(300):
            address.ask(call(enter), timeout=WAIT)

    threads = [threading.Thread(target=ask_often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert overlaps == []


def test_a_start_that_fails_carries_the_root_cause(kind: Any) -> None:
    class Fails(kind):  # type: ignore[misc]  # the kind is a parameter
        def on_start(self) -> None:
            raise Boom("no port")

    with pytest.raises(Exception, match=r"child 'a' did not start: Boom: no port") as caught:
        Supervisor.start(Child("a", Fails.start))
    assert isinstance(caught.value.__cause__, Boom)


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt()])
def test_an_order_to_exit_in_on_start_is_a_failed_start_and_no_zombie(
    kind: Any, error: BaseException
) -> None:
    class Exits(kind):  # type: ignore[misc]  # the kind is a parameter
        def on_start(self) -> None:
            raise error

    if kind is Turn and isinstance(error, KeyboardInterrupt):
        with pytest.raises(KeyboardInterrupt):  # for the program: this is the main thread
            Exits.start()
        return
    ref = Exits.start()
    with pytest.raises((pykka.ActorDeadError, pykka.Timeout)):
        ref.ask(("echo", 1), timeout=WAIT)
    assert not ref.is_alive()


def test_the_token_is_cancelled_as_soon_as_the_actor_is_asked_to_stop(
    kind: Any, grow: Grow
) -> None:
    tree = grow(Child("a", kind.start))
    token = tree.address("a").ask(call(lambda me: me.token), timeout=WAIT)
    assert not token.cancelled
    tree.stop_child("a")
    assert token.cancelled


def test_an_actor_that_pykka_stops_ends_normally(kind: Any, grow: Grow) -> None:
    journal = Journal()
    tree = grow(Child("a", lambda: kind.start(journal), restart=Restart.TRANSIENT))
    address = tree.address("a")
    ref = address.ask(call(lambda me: me.actor_ref), timeout=WAIT)
    address.watch(journal.add)
    assert ref.stop(timeout=WAIT)
    entries = journal.wait(lambda entries: Exit(Cause.NORMAL) in entries)
    assert ("stop", "") in entries


def test_a_dead_incarnation_can_be_collected(kind: Any, grow: Grow) -> None:
    address = grow(Child("a", kind.start)).address("a")
    dead = weakref.ref(address.ask(call(lambda me: me), timeout=WAIT))
    address.tell(("raise", Boom()))
    assert address.ask(("echo", 1), timeout=WAIT) == 1
    for _ in range(3):
        address.ask(("echo", 1), timeout=WAIT)
        gc.collect()
    assert dead() is None


def test_what_was_published_is_inherited_by_the_next_incarnation_only_if_asked_for(
    kind: Any, grow: Grow
) -> None:
    tree = grow(Child("heir", kind.start, hand_over=True), Child("orphan", kind.start))
    for child, inherited in (("heir", "state"), ("orphan", None)):
        address = tree.address(child)
        address.ask(call(lambda me: me.save_state("state")), timeout=WAIT)
        address.tell(("raise", Boom()))
        assert address.ask(call(lambda me: me.restored_state), timeout=WAIT) == inherited


def test_a_not_delivered_of_the_handler_is_passed_on_and_never_sent_again(
    kind: Any, grow: Grow
) -> None:
    address = grow(Child("a", kind.start)).address("a")
    calls: list[int] = []

    def fail(_me: Supervised) -> None:
        calls.append(1)
        raise NotDelivered("of somebody else")

    with pytest.raises(NotDelivered, match="of somebody else"):
        address.ask(call(fail), timeout=WAIT)
    assert calls == [1]


def test_a_message_to_a_stopped_child_is_a_dead_letter_and_an_ask_fails_at_once(
    kind: Any, grow: Grow
) -> None:
    tree = grow(Child("a", kind.start))
    address = tree.address("a")
    tree.stop_child("a")
    address.tell("lost")
    assert address.dead_letters == 1
    with pytest.raises(NotDelivered):
        address.ask("lost", timeout=60)
    tree.restart_child("a")
    assert address.ask(("echo", 1), timeout=WAIT) == 1


def note_in_journal(entry: str, me: Any) -> None:
    me.journal.add(entry)


def fill(address: Address, gate: Gate, told: list[str]) -> threading.Thread:
    """Have the actor stand at ``gate`` with ``told`` waiting behind it."""
    holder = threading.Thread(
        target=lambda: address.ask(call(lambda _me: gate.hold()), timeout=WAIT)
    )
    holder.start()
    gate.reached()
    for each in told:
        address.tell(call(partial(note_in_journal, each)))
    return holder


def test_a_full_mailbox_refuses_at_once_and_counts_what_was_told(kind: Any, grow: Grow) -> None:
    class Small(kind):  # type: ignore[misc]  # the kind is a parameter
        mailbox_capacity = 2

    journal, gate = Journal(), Gate()
    tree = grow(Child("a", partial(Small.start, journal)))
    address = tree.address("a")
    holder = fill(address, gate, ["one", "two", "three"])
    assert address.dead_letters == 1
    with pytest.raises(MailboxFull, match="the mailbox of a holds 2 messages already"):
        address.ask(("echo", 1), timeout=60)
    gate.open()
    holder.join(WAIT)
    assert journal.wait_for(3)[1:] == ["one", "two"]
    assert address.ask(("echo", 1), timeout=WAIT) == 1
    assert address.epoch == 1


def test_a_full_mailbox_may_drop_what_has_waited_longest(kind: Any, grow: Grow) -> None:
    class Fresh(kind):  # type: ignore[misc]  # the kind is a parameter
        mailbox_capacity = 1
        mailbox_overflow = Overflow.DROP_OLDEST

    journal, gate = Journal(), Gate()
    address = grow(Child("a", partial(Fresh.start, journal))).address("a")
    holder = fill(address, gate, ["one", "two", "three"])
    gate.open()
    holder.join(WAIT)
    assert journal.wait_for(2)[1:] == ["three"]
    assert address.dead_letters == 2


def test_a_full_actor_can_be_stopped(kind: Any, grow: Grow) -> None:
    class Small(kind):  # type: ignore[misc]  # the kind is a parameter
        mailbox_capacity = 1

    gate = Gate()
    tree = grow(Child("a", Small.start))
    holder = fill(tree.address("a"), gate, ["waits"])
    gate.open()
    tree.stop_child("a")
    holder.join(WAIT)


def test_a_capacity_that_is_none_fails_the_start_with_its_value(kind: Any) -> None:
    class Wrong(kind):  # type: ignore[misc]  # the kind is a parameter
        mailbox_capacity = -1

    with pytest.raises(StartFailed, match="mailbox_capacity is -1"):
        Supervisor.start(Child("a", Wrong.start))


def test_a_watcher_that_was_taken_back_is_not_told(kind: Any, grow: Grow) -> None:
    address, told = grow(Child("a", kind.start)).address("a"), Journal()
    unwanted = address.watch(lambda exit_: told.add(("unwanted", exit_)))
    watch = address.watch(told.add)
    assert unwanted.unwatch()
    assert not unwanted.unwatch()
    address.tell(("raise", Boom()))
    assert [exit_.cause for exit_ in told.wait_for(1)] == [Cause.CRASH]
    assert not watch.unwatch()


def test_an_idle_actor_keeps_no_message_alive(kind: Any, grow: Grow) -> None:
    class Message:
        pass

    address, message = grow(Child("a", kind.start)).address("a"), Message()
    gone = threading.Event()
    weakref.finalize(message, gone.set)
    address.ask(("echo", message), timeout=WAIT)
    del message
    assert gone.wait(WAIT)
