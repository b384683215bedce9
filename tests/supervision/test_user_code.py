"""What a user may hand over by mistake: arguments are refused by name, callbacks are isolated."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from actors import (
    CancellationToken,
    Child,
    ChildStarted,
    InvalidSpec,
    StartFailed,
    Supervised,
    Supervisor,
)
from actors.supervision.events import EventBus
from actors.supervision.lifecycle import ActorLifecycle, Cause, Exit
from actors.supervision.user_code import call_all
from actors.testing import FakeClock
from tests.supervision.conftest import Grow
from tests.supervision.subjects import WAIT, Boom, Journal, Threaded, Turn, call

KINDS = [Threaded, Turn]


async def nobody_awaits(*_args: Any) -> None:
    """An async function where a plain one belongs."""


@pytest.mark.parametrize("timeout", [None, "5", True, [], -1, -0.5, math.nan, -math.inf])
def test_a_timeout_is_a_number_of_seconds(grow: Grow, timeout: Any) -> None:
    tree = grow(Child("a", Turn.start))
    address = tree.address("a")
    if timeout is not True:  # an ask looks at nothing but its value
        with pytest.raises((TypeError, ValueError), match="a: the timeout of ask is"):
            address.ask(("echo", 1), timeout=timeout)
    with pytest.raises((TypeError, ValueError), match="a: the timeout of wait_up is"):
        address.wait_up(timeout)
    with pytest.raises((TypeError, ValueError), match=r"Tree\.stop: timeout is"):
        tree.stop(timeout)
    if timeout is not None:
        with pytest.raises((TypeError, ValueError), match=r"CancellationToken\.wait: timeout is"):
            CancellationToken().wait(timeout)
    assert address.ask(("echo", 1), timeout=WAIT) == 1


@pytest.mark.parametrize("name", [3, "", None, "two\nlines", b"bytes"])
def test_the_name_of_a_tree_is_text(name: Any) -> None:
    with pytest.raises(InvalidSpec, match=r"name is .* printable text"):
        Supervisor.start(name=name)


@pytest.mark.parametrize("clock", [3, "now", object()])
def test_a_clock_can_do_what_a_clock_does(clock: Any) -> None:
    with pytest.raises(InvalidSpec, match=r"clock is .*monotonic, call_later"):
        Supervisor.start(clock=clock)


@pytest.mark.parametrize(
    ("start", "named"),
    [
        (Threaded, "is the class Threaded; write Threaded.start"),
        (nobody_awaits, "start is async"),
        (None, "start is None"),
        ("Threaded.start", "start is 'Threaded.start'"),
    ],
)
def test_what_starts_a_child_is_a_function_that_does(start: Any, named: str) -> None:
    with pytest.raises(InvalidSpec, match=named):
        Child("a", start)


def test_a_forgotten_call_of_the_base_is_named(grow: Grow) -> None:
    class Forgetful(Threaded):
        def __init__(self) -> None:
            pass

    match = "Forgetful.__init__ must call super"
    with pytest.raises(TypeError, match=match):
        Forgetful.start()
    with pytest.raises(StartFailed, match=match):
        grow().start_child(Child("a", Forgetful.start))


@pytest.mark.parametrize("hook", ["on_start", "on_receive", "on_stop", "on_failure"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_async_hook_is_refused_where_the_class_is_written(kind: Any, hook: str) -> None:
    with pytest.raises(TypeError, match=f"Wishful.{hook} is async"):
        type("Wishful", (kind,), {hook: nobody_awaits})


@pytest.mark.parametrize("fatal", [ValueError, [ValueError], (3,), ("ValueError",)])
def test_what_is_fatal_are_exception_classes(fatal: Any) -> None:
    with pytest.raises(TypeError, match=r"Wishful.fatal is .* exception classes"):
        type("Wishful", (Supervised,), {"fatal": fatal})


@pytest.mark.parametrize("kind", KINDS)
def test_a_coroutine_is_no_answer(grow: Grow, kind: Any) -> None:
    address = grow(Child("a", kind.start)).address("a")
    with pytest.raises(TypeError, match="a: the handler returned the coroutine of nobody_awaits"):
        address.ask(call(nobody_awaits), timeout=WAIT)
    address.tell(call(nobody_awaits))
    assert address.ask(("echo", 1), timeout=WAIT) == 1
    assert address.epoch == 2  # a tell that does nothing is a crash and not a silence


@pytest.mark.parametrize("callback", [None, 3, "text", nobody_awaits])
def test_a_callback_can_be_called(grow: Grow, callback: Any) -> None:
    tree = grow(Child("a", Turn.start))
    for register in (tree.address("a").watch, tree.on_exit, tree.on_event):
        with pytest.raises(TypeError, match=r"not callable|async function"):
            register(callback)


def test_an_async_cancellation_callback_is_logged_and_stops_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    token, seen = CancellationToken(), Journal()
    token.on_cancel(nobody_awaits)
    token.on_cancel(partial(seen.add, "called"))
    token.cancel()
    assert seen.entries == ["called"]
    assert "coroutine of nobody_awaits" in caplog.text


@pytest.mark.parametrize("path", [3, None, b"a"])
def test_a_path_is_text(grow: Grow, path: Any) -> None:
    tree = grow(Child("a", Turn.start))
    for use in (tree.stop_child, tree.restart_child, tree.delete_child, tree.children):
        with pytest.raises(TypeError, match="must be text, as in 'serving/http'"):
            use(path)
    assert tree.address("a").ask(("echo", 1), timeout=WAIT) == 1
    with pytest.raises(Boom):
        tree.address("a").ask(("raise", Boom()), timeout=WAIT)


LOG = logging.getLogger("tests.foreign")


def leave(*_args: object) -> None:
    """What foreign code should not do."""
    sys.exit(1)


def interrupt(*_args: object) -> None:
    raise KeyboardInterrupt


def restarts(grow: Grow, start: Callable[[], Any]) -> None:
    """A child that crashes comes back, whatever it left behind."""
    tree = grow(Child("a", start))
    tree.address("a").tell(("raise", Boom()))
    assert tree.address("a").ask(("echo", 1), timeout=WAIT) == 1
    assert tree.address("a").epoch == 2


def test_a_token_callback_that_exits_keeps_no_death_from_its_supervisor(grow: Grow) -> None:
    class Leaving(Threaded):
        def on_start(self) -> None:
            self.token.on_cancel(leave)

    restarts(grow, Leaving.start)


def test_a_death_watcher_that_exits_keeps_no_death_from_its_supervisor(grow: Grow) -> None:
    class Leaving(Threaded):
        def on_start(self) -> None:
            self.lifecycle.watch(leave)

    restarts(grow, Leaving.start)


class LeavingThreaded(Threaded):
    def on_failure(self, *_a: object, **_k: object) -> None:
        leave()


class LeavingTurn(Turn):
    def on_failure(self, *_a: object, **_k: object) -> None:
        leave()


@pytest.mark.parametrize("start", [LeavingThreaded.start, LeavingTurn.start])
def test_an_on_failure_that_exits_ends_its_actor_only(grow: Grow, start: Callable[[], Any]) -> None:
    restarts(grow, start)


def test_a_listener_that_exits_crashes_no_supervisor(grow: Grow) -> None:
    tree, heard = grow(), list[object]()
    tree.on_event(leave)
    tree.on_event(heard.append)
    assert tree.start_child(Child("a", Supervised.start)).alive
    assert heard == [ChildStarted("a", 1)]
    assert tree.describe().exit is None


def test_every_callback_runs_whatever_the_one_before_raised() -> None:
    token, heard = CancellationToken(), list[str]()
    token.on_cancel(leave)
    token.on_cancel(lambda: heard.append("told"))
    token.cancel()
    assert heard == ["told"]


def test_ctrl_c_on_the_main_thread_is_passed_on_when_all_were_called() -> None:
    token, lifecycle, bus = CancellationToken(), ActorLifecycle(), EventBus()
    heard = list[object]()
    token.on_cancel(interrupt)
    token.on_cancel(lambda: heard.append("cancelled"))
    lifecycle.watch(interrupt)
    lifecycle.watch(heard.append)
    bus.listen(interrupt)
    bus.listen(heard.append)
    end, event = Exit(Cause.NORMAL), ChildStarted("a", 1)
    for happen in (token.cancel, lambda: lifecycle.end(end), lambda: bus.publish(event)):
        with pytest.raises(KeyboardInterrupt):
            happen()
    assert heard == ["cancelled", end, event]


def test_what_foreign_code_raised_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    call_all((leave,), "argument", log=LOG, error_message="it left")
    assert [record.message for record in caplog.records] == ["it left"]


def test_a_child_says_it_is_down_when_its_end_is_told(grow: Grow) -> None:
    tree, states = grow(Child("a", Threaded.start), clock=FakeClock()), list[str]()
    tree.on_event(lambda _event: states.append(tree.describe().children[0].state))
    tree.stop_child("a")
    tree.restart_child("a")
    assert states[:1] == ["down"]
