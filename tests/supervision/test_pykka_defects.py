"""The five defects of a stock Pykka actor, shown on it and then on ours (reference 1.3)."""

from __future__ import annotations

import threading
from typing import Any

import pykka
import pytest

from actors import ActorCrashed, NotDelivered, Supervised
from actors.testing import held
from tests.supervision.subjects import WAIT, Boom, Journal, Threaded

SOON = 0.2  # real seconds after which a stock actor that hangs is taken to hang for ever


class Stock(pykka.ThreadingActor):
    """A plain Pykka actor; a daemon, or the zombies of this file would keep the process alive."""

    use_daemon_thread = True

    def on_receive(self, message: Any) -> Any:
        command, argument = message
        if command == "raise":
            raise argument
        return argument


def late_ask(ref: pykka.ActorRef[Any], answers: Journal) -> None:
    """Ask such that the message arrives after the actor is gone, and note what comes of it."""

    def ask() -> None:
        try:
            answers.add(ref.ask(("echo", 1), timeout=SOON))
        except (pykka.Timeout, pykka.ActorDeadError) as error:
            answers.add(error)

    with held(ref.actor_inbox, "put") as gate:
        thread = threading.Thread(target=ask)
        thread.start()
        gate.reached()
        del ref.actor_inbox.put  # the stop must not wait at the gate
        ref.stop(timeout=WAIT)
        gate.open()
        thread.join(WAIT)


def test_1_stock_loses_an_ask_that_races_with_a_stop() -> None:
    answers = Journal()
    late_ask(Stock.start(), answers)
    assert isinstance(answers.entries[0], pykka.Timeout)


def test_1_ours_refuses_it() -> None:
    answers = Journal()
    late_ask(Threaded.start(), answers)
    assert isinstance(answers.entries[0], NotDelivered)


def test_2_stock_lets_an_exit_in_one_handler_stop_every_actor_and_never_answers() -> None:
    bystander, ref = Stock.start(), Stock.start()
    with pytest.raises(pykka.Timeout):
        ref.ask(("raise", SystemExit(1)), timeout=SOON)
    assert not bystander.is_alive()


def test_2_ours_ends_that_actor_only_and_answers() -> None:
    bystander, ref = Threaded.start(), Threaded.start()
    with pytest.raises(ActorCrashed):
        ref.ask(("raise", SystemExit(1)), timeout=WAIT)
    assert bystander.is_alive()
    bystander.stop(timeout=WAIT)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_3_stock_is_a_zombie_after_an_exit_in_on_start() -> None:
    class Exits(Stock):
        def on_start(self) -> None:
            raise SystemExit(1)

    ref = Exits.start()
    with pytest.raises(pykka.Timeout):
        ref.ask(("echo", 1), timeout=SOON)
    assert ref.is_alive()
    pykka.ActorRegistry.unregister(ref)


def test_3_ours_is_dead_and_says_so() -> None:
    class Exits(Supervised):
        def on_start(self) -> None:
            raise SystemExit(1)

    ref = Exits.start()
    with pytest.raises(pykka.ActorDeadError):
        ref.ask(("echo", 1), timeout=WAIT)
    assert not ref.is_alive()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_4_stock_is_a_zombie_after_somebody_else_settled_its_future() -> None:
    ref = Stock.start()
    with held(ref.actor_inbox, "put") as gate:
        gate.open()
        future = pykka.ThreadingFuture[Any]()
        future.set("settled by somebody else")
        from pykka._envelope import Envelope  # what ask() puts; the test needs its own future

        ref.actor_inbox.put(Envelope(("echo", 1), reply_to=future))
    with pytest.raises(pykka.Timeout):
        ref.ask(("echo", 2), timeout=SOON)
    assert ref.is_alive()
    pykka.ActorRegistry.unregister(ref)


def test_4_ours_answers_the_next_one() -> None:
    ref = Threaded.start()
    future = ref.ask(("echo", 1), block=False)
    future.set("settled by somebody else")
    assert ref.ask(("echo", 2), timeout=WAIT) == 2
    ref.stop(timeout=WAIT)


def test_5_stock_tells_nobody_that_it_failed_to_start() -> None:
    called = Journal()

    class Fails(Stock):
        def on_start(self) -> None:
            called.add("on_start")
            raise Boom

        def on_stop(self) -> None:
            called.add("on_stop")

        def on_failure(self, *_args: Any, **_named: Any) -> None:
            called.add("on_failure")

    Fails.start().actor_stopped.wait(WAIT)
    assert called.entries == ["on_start"]


def test_5_ours_tells_whoever_watches_and_with_the_reason() -> None:
    exits = Journal()
    made = Journal()

    class Fails(Supervised):
        def __init__(self) -> None:
            super().__init__()
            made.add(self.lifecycle)
            self.lifecycle.watch(exits.add)

        def on_start(self) -> None:
            raise Boom("why")

    Fails.start()
    (exit_,) = exits.wait_for(1)
    assert str(exit_) == "start (Boom: why)"
