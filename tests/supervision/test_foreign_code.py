"""Whatever callbacks, watchers and listeners raise, the tree goes on: ``sys.exit()`` included."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any

import pytest

from actors import CancellationToken, Child, ChildStarted, Supervised
from actors.supervision.events import EventBus
from actors.supervision.lifecycle import ActorLifecycle, Cause, Exit
from actors.supervision.user_code import call_all
from actors.testing import FakeClock
from tests.supervision.conftest import Grow
from tests.supervision.subjects import WAIT, Boom, Threaded, Turn

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
