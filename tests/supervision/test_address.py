"""Addresses outlive incarnations: what is lost, what arrives, and what happens at the same time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import pytest

from actors import (
    Backoff,
    Child,
    ChildRestarting,
    DynamicSupervisor,
    NotDelivered,
    Restart,
    Supervisor,
    Tree,
    UnknownChild,
)
from actors.supervision.address import LOGGED_DEAD_LETTERS, MAX_LISTED_PATHS, Address, AddressTable
from actors.supervision.clock import Timer
from actors.supervision.lifecycle import ActorLifecycle
from actors.supervision.mailbox import UNANSWERED, Envelope, Mailbox
from actors.supervision.reply import Reply
from actors.testing import FakeClock
from tests.supervision.conftest import Grow
from tests.supervision.subjects import WAIT, Boom, Journal, Threaded, Turn


class Inbox:
    """Answers every envelope, or refuses it as a closed mailbox does."""

    def __init__(self, *, closed: bool) -> None:
        self.closed = closed

    def answer(self, _message: object) -> object:
        return UNANSWERED

    def put(self, envelope: Envelope) -> None:
        reply = cast("Reply", envelope.reply_to)
        if self.closed:
            reply.refuse(NotDelivered("the actor has ended"))
        else:
            reply.settle("answered")


class Interrupting:
    """A clock on which things happen right before and right after each wait."""

    def __init__(self) -> None:
        self.before: list[Callable[[], object]] = []
        self.after: list[Callable[[], object]] = []

    def monotonic(self) -> float:
        return time.monotonic()

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        raise NotImplementedError(delay, callback)

    def wait(self, ready: Callable[[float | None], bool], timeout: float | None) -> bool:
        if self.before:
            self.before.pop(0)()
        found = ready(timeout)
        if self.after:
            self.after.pop(0)()
        return found

    def close(self) -> None:
        """Nothing to close."""


def test_an_asker_whose_next_incarnation_dies_at_once_waits_for_the_one_after_it() -> None:
    clock = Interrupting()
    address, lifecycle = Address("a", clock), cast("ActorLifecycle", None)
    first, short, good = Inbox(closed=True), Inbox(closed=True), Inbox(closed=False)
    clock.before = [
        lambda: address.set_running(short, lifecycle),
        lambda: address.set_running(good, lifecycle),
    ]
    clock.after = [lambda: address.clear(short)]
    address.set_running(first, lifecycle)
    assert address.ask("question", timeout=WAIT) == "answered"


FOREVER = 60.0  # real seconds: an ask that waits so long fails the test


def restart(tree: Tree, path: str, by: str) -> None:
    """Have the supervisor at ``path``, which bears no crash, be restarted by one of ``by``."""
    epoch, again = tree.address(path).epoch, Journal()
    tree.on_event(again.add)
    tree.address(by).tell(("raise", Boom()))
    again.wait(lambda _entries: tree.address(path).epoch > epoch and tree.address(path).alive)


@pytest.mark.parametrize("kind", [Threaded, Turn])
def test_an_ask_to_an_added_child_that_a_restart_lost_fails_at_once(grow: Grow, kind: Any) -> None:
    tree = grow(Supervisor.child("inner", Child("a", kind.start), intensity=0))
    lost = tree.start_child(Child("added", kind.start), under="inner")
    assert lost.ask(("echo", 1), timeout=WAIT) == 1
    restart(tree, "inner", by="inner/a")
    with pytest.raises(NotDelivered, match="inner/added has ended, and will not be started"):
        lost.ask(("echo", 2), timeout=FOREVER)
    with pytest.raises(UnknownChild, match="there are: inner, inner/a"):
        tree.address("inner/added")


def test_who_waits_for_it_already_is_told_when_its_supervisor_ends(grow: Grow) -> None:
    """And not only when the supervisor is back, which may take as long as its backoff."""
    clock, outcome = FakeClock(), Journal()
    minute = Backoff(first=60.0, jitter=0.0, cap=60.0)
    inner = Supervisor.child("inner", Child("a", Threaded.start), intensity=1, backoff=minute)
    tree = grow(inner, clock=clock)
    lost = tree.start_child(Child("added", Threaded.start, backoff=minute), under="inner")
    lost.tell(("raise", Boom()))
    clock.wait_for_timers(1)  # it is down, and may come back

    def ask() -> None:
        try:
            outcome.add(lost.ask(("echo", 1), timeout=30.0))
        except NotDelivered as error:
            outcome.add(str(error))

    thread = threading.Thread(target=ask)
    thread.start()
    clock.wait_for_waiting(1)
    tree.address("inner/a").tell(("raise", Boom()))  # one more than inner bears
    assert outcome.wait_for(1) == ["inner/added has ended, and will not be started again"]
    thread.join(WAIT)
    assert tree.address("inner").epoch == 1  # it is not back yet


def test_a_lost_dynamic_child_is_not_mistaken_for_a_new_one_of_its_name(grow: Grow) -> None:
    tree = grow(DynamicSupervisor.child("pool", Child("w", Threaded.start), intensity=0))
    lost = tree.dynamic("pool").start_child()
    restart(tree, "pool", by=lost.path)
    new = tree.dynamic("pool").start_child()
    assert (new.path, new is lost) == (lost.path, False)
    with pytest.raises(NotDelivered, match="will not be started again"):
        lost.ask(("echo", 1), timeout=FOREVER)
    assert new.ask(("echo", 2), timeout=WAIT) == 2
    assert tree.address(new.path) is new


def test_a_whole_subtree_that_was_added_is_lost_with_its_addresses(grow: Grow) -> None:
    tree = grow(Supervisor.child("inner", Child("a", Threaded.start), intensity=0))
    below = Supervisor.child("deeper", Child("x", Threaded.start))
    tree.start_child(below, under="inner")
    lost = [tree.address(each) for each in ("inner/deeper", "inner/deeper/x")]
    restart(tree, "inner", by="inner/a")
    for address in lost:
        with pytest.raises(NotDelivered):
            address.ask(("echo", 1), timeout=FOREVER)


def test_the_address_of_a_declared_child_survives_a_restart_that_failed_first(grow: Grow) -> None:
    fails = iter([False, True, False])

    class Moody(Threaded):
        def on_start(self) -> None:
            if next(fails):
                raise Boom("not now")

    tree = grow(Supervisor.child("inner", Child("a", Moody.start), intensity=0))
    address = tree.address("inner/a")
    restart(tree, "inner", by="inner/a")
    assert address.ask(("echo", 1), timeout=WAIT) == 1
    assert tree.address("inner/a") is address


def test_a_child_added_to_the_root_keeps_its_address_beyond_the_end_of_the_tree() -> None:
    tree = Supervisor.start(Child("a", Threaded.start))
    added = tree.start_child(Child("added", Threaded.start))
    assert tree.stop(timeout=WAIT)
    assert tree.address("added") is added
    with pytest.raises(NotDelivered):
        added.ask(("echo", 1), timeout=FOREVER)


def test_a_child_that_was_stopped_and_started_by_hand_is_waited_for_again(grow: Grow) -> None:
    clock, events = FakeClock(), Journal()
    backoff = Backoff(first=1.0, jitter=0.0)
    tree = grow(Child("a", Threaded.start, backoff=backoff), clock=clock)
    tree.on_event(events.add)
    address, answer = tree.address("a"), Journal()
    tree.stop_child("a")
    tree.restart_child("a")
    address.tell(("raise", Boom()))
    events.wait(lambda entries: any(isinstance(each, ChildRestarting) for each in entries))
    thread = threading.Thread(target=lambda: answer.add(address.ask(("echo", 1), timeout=30.0)))
    thread.start()
    clock.wait_for_waiting(1)
    clock.advance(1.0)
    assert answer.wait_for(1) == [1]
    thread.join(WAIT)


@pytest.mark.parametrize("restart", [Restart.TEMPORARY, Restart.TRANSIENT])
def test_a_watcher_of_a_child_that_is_gone_is_called_at_once(grow: Grow, restart: Restart) -> None:
    tree = grow(Child("a", Threaded.start, restart=restart))
    address, first, late = tree.address("a"), Journal(), Journal()
    address.watch(first.add)
    tree.stop_child("a")
    address.watch(late.add)
    assert late.entries == first.wait_for(1)


def test_an_address_that_nobody_was_ever_behind_has_nothing_to_watch() -> None:
    address = Address("ghost")
    with pytest.raises(NotDelivered, match="ghost was never started"):
        address.watch(lambda _exit: None)
    assert repr(address) == "<Address ghost down, epoch 0>"


def test_only_its_owner_points_an_address_to_an_incarnation() -> None:
    """An abandoned supervisor may still be at it, while its successor has taken over."""
    address, old, new = Address("a"), object(), object()
    mailbox = Mailbox()
    address.set_owner(new)
    address.set_running(Mailbox(), ActorLifecycle(), old)
    assert not address.alive
    address.set_running(mailbox, ActorLifecycle(), new)
    assert address.alive
    address.clear(Mailbox())  # of another incarnation: says nothing about this one
    assert address.alive
    address.clear(mailbox)
    assert not address.alive


def test_many_dead_letters_are_counted_and_few_of_them_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    address = Address("a")
    for _ in range(100):
        address.tell("lost")
    assert address.dead_letters == 100
    counts = [getattr(each, "count", 0) for each in caplog.records]
    assert counts == [*range(1, LOGGED_DEAD_LETTERS + 1), 16, 32, 64]
    assert {getattr(each, "envelope", "") for each in caplog.records} == {"str"}


# The table


def test_striking_a_path_forgets_it_and_all_below_and_nothing_beside() -> None:
    table = AddressTable()
    paths = ("s", "s/a", "s/b/x", "s/b", "sa", "t")
    found = {path: table.register(path) for path in paths}
    table.remove("s")
    assert [address.path for address in table.all()] == ["sa", "t"]
    for path in ("s", "s/a", "s/b", "s/b/x"):
        with pytest.raises(NotDelivered, match="will not be started"):
            found[path].ask("x", timeout=FOREVER)
        with pytest.raises(UnknownChild):
            table.find(path)
    assert table.register("s") is not found["s"]


def test_retiring_a_path_keeps_it_and_all_below() -> None:
    table = AddressTable()
    for path in ("s", "s/a", "t"):
        table.register(path)
    table.mark_stopped("s")
    with pytest.raises(NotDelivered, match="s/a has ended"):
        table.find("s/a").ask("x", timeout=FOREVER)
    with pytest.raises(NotDelivered, match="t was down for 0 seconds"):
        table.find("t").ask("x", timeout=0)


def test_an_unknown_path_names_some_that_exist_and_not_thousands() -> None:
    table = AddressTable()
    with pytest.raises(UnknownChild, match="'x'; there are: none"):
        table.find("x")
    for number in range(MAX_LISTED_PATHS + 1):
        table.register(f"{number:03}")
    with pytest.raises(UnknownChild) as caught:
        table.find("x")
    assert str(caught.value).endswith("018, 019, …")


def test_the_same_path_is_the_same_address_for_every_thread() -> None:
    table, found, begin = AddressTable(), Journal(), threading.Barrier(8)

    def enter() -> None:
        begin.wait(WAIT)
        found.add(table.register("a"))

    threads = [threading.Thread(target=partial(enter)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert len({id(each) for each in found.entries}) == 1
