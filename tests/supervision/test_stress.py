"""Bad moments and many of them: nothing lost, nobody hung, nothing left behind."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from functools import partial
from typing import Any

import pykka
import pytest

from actors import (
    Child,
    Supervisor,
)
from tests.supervision.conftest import Grow
from tests.supervision.subjects import WAIT, Boom, Journal, Threaded, Turn, crash


def test_two_trees_in_one_process_do_not_see_each_other(grow: Grow) -> None:
    one, two = grow(Child("a", Threaded.start)), grow(Child("a", Threaded.start))
    crash(one, "a")
    assert one.stop(timeout=WAIT)
    assert two.address("a").ask(("echo", 1), timeout=WAIT) == 1
    assert two.address("a").epoch == 1


def test_a_foreign_stop_of_every_actor_ends_the_tree_and_not_the_process() -> None:
    exits = Journal()
    tree = Supervisor.start(Child("a", Threaded.start), Child("b", Turn.start), intensity=9)
    tree.on_exit(exits.add)
    pykka.ActorRegistry.stop_all(timeout=WAIT)
    assert [exit_.abnormal for exit_ in exits.wait_for(1)] == [False]
    assert tree.stop(timeout=WAIT)


@pytest.mark.usefixtures("no_thread_is_left", "no_descriptor_is_left")
def test_a_thousand_trees_come_and_go_and_leave_nothing_behind() -> None:
    before, registered = threading.active_count(), len(pykka.ActorRegistry.get_all())
    for _ in range(1000):
        tree = Supervisor.start(Child("a", Turn.start))
        assert tree.stop(timeout=WAIT)
    assert threading.active_count() <= before + 1  # the last supervisor may be on its way out
    assert len(pykka.ActorRegistry.get_all()) == registered


def test_a_child_that_ends_while_it_starts_is_restarted(grow: Grow) -> None:
    lives = iter([True, False])

    class Brief(Threaded):
        def on_start(self) -> None:
            if next(lives):
                self.address  # noqa: B018  # exists before the first message
                self.stop()

    tree = grow(Child("a", Brief.start))
    assert tree.address("a").ask(("echo", 1), timeout=WAIT) == 1
    assert tree.address("a").epoch == 2


def test_an_exception_that_cannot_print_itself_is_reported_all_the_same(grow: Grow) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise Boom

    tree, events = grow(Child("a", Threaded.start)), Journal()
    tree.on_event(events.add)
    tree.address("a").tell(("raise", Mute()))
    assert tree.address("a").ask(("echo", 1), timeout=WAIT) == 1
    assert events.entries[0].exit.error.type.endswith("Mute")


def test_a_supervisor_that_crashes_takes_its_children_along_and_is_restarted(grow: Grow) -> None:
    journal = Journal()
    tree = grow(Supervisor.child("inner", Child("a", partial(Threaded.start, journal))))
    from actors.supervision.base_supervisor import RunInSupervisor  # the supervisor's own message

    def defect(_supervisor: object) -> None:
        raise Boom("a defect of the supervisor")

    tree.address("inner").tell(RunInSupervisor(defect))
    assert journal.wait_for(3) == [("start", ""), ("stop", ""), ("start", "")]
    assert tree.address("inner/a").ask(("echo", 1), timeout=WAIT) == 1


def test_a_poison_message_fails_no_ask_of_fifty_threads(grow: Grow) -> None:
    tree = grow(Child("a", Turn.start))
    address, failures = tree.address("a"), Journal()
    over = threading.Event()

    def ask_on() -> None:
        while not over.is_set():
            try:
                assert address.ask(("echo", 1), timeout=WAIT) == 1
            except BaseException as error:  # noqa: BLE001  # any failure is the finding
                failures.add(error)
                return

    threads = [threading.Thread(target=ask_on) for _ in range(50)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        epoch = address.epoch
        address.tell(("raise", Boom()))
        assert address.ask(("echo", 1), timeout=WAIT) == 1
        assert address.epoch >= epoch
    over.set()
    for thread in threads:
        thread.join(WAIT)
    assert failures.entries == []
    assert address.epoch == 21


@pytest.mark.parametrize("kind", [Threaded, Turn])
@pytest.mark.usefixtures("no_thread_is_left", "no_descriptor_is_left")
def test_three_hundred_kills_under_four_askers_lose_and_hang_nobody(kind: Any) -> None:
    incarnations: list[weakref.ref[Any]] = []

    class Mortal(kind):  # type: ignore[misc]  # the kind is a parameter
        def on_start(self) -> None:
            incarnations.append(weakref.ref(self))

    tree = Supervisor.start(Child("a", Mortal.start), intensity=10_000)
    address, failures = tree.address("a"), Journal()
    over, interval = threading.Event(), sys.getswitchinterval()

    def ask_on() -> None:
        while not over.is_set():
            try:
                # Long enough for all the kills: one asker may find it dead each time.
                address.ask(("echo", 1), timeout=12 * WAIT)
            except BaseException as error:  # noqa: BLE001  # any failure is the finding
                failures.add(error)

    threads = [threading.Thread(target=ask_on) for _ in range(4)]
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for _ in range(300):
            address.tell(("raise", Boom()))
            address.ask(("echo", 1), timeout=12 * WAIT)
    finally:
        sys.setswitchinterval(interval)
        over.set()
    for thread in threads:
        thread.join(WAIT)
    assert failures.entries == []
    assert address.epoch == len(incarnations) == 301
    gc.collect()
    # The one that lives, and at most the one whose thread is just on its way out.
    assert sum(each() is not None for each in incarnations) <= 2
    assert tree.stop(timeout=WAIT)
