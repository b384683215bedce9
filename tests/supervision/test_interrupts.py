"""Ctrl-C, forks and plain logs: what the library owes the program around it."""

from __future__ import annotations

import io
import logging
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from actors import CallingThreadActor, Child
from actors.testing import FakeClock, Gate
from tests.supervision.conftest import Grow
from tests.supervision.subjects import WAIT, Boom, Threaded, Turn, call

ROOT = Path(__file__).parents[2]

# Signals


@pytest.fixture
def exits_on_sigusr1() -> Iterator[None]:
    """A handler that ends the program, as one for SIGTERM does."""

    def leave(_number: int, _frame: FrameType | None) -> None:
        sys.exit(7)

    before = signal.signal(signal.SIGUSR1, leave)
    yield
    signal.signal(signal.SIGUSR1, before)


def ctrl_c(_me: Any) -> None:
    """The user interrupts the program while this handler runs."""
    signal.raise_signal(signal.SIGINT)


def terminate(_me: Any) -> None:
    """Likewise, by a signal whose handler exits."""
    signal.raise_signal(signal.SIGUSR1)


SIGNALS = [(ctrl_c, KeyboardInterrupt), (terminate, SystemExit)]


@pytest.mark.parametrize("how", ["ask", "tell"])
@pytest.mark.parametrize(("signalled", "error"), SIGNALS)
@pytest.mark.usefixtures("exits_on_sigusr1")
def test_a_signal_in_the_handler_of_a_turn_actor_reaches_the_program(
    grow: Grow, signalled: Callable[[Any], None], error: type[BaseException], how: str
) -> None:
    address = grow(Child("a", Turn.start)).address("a")
    send = address.tell if how == "tell" else partial(address.ask, timeout=WAIT)
    with pytest.raises(error):
        send(call(signalled))
    assert address.ask(("echo", 1), timeout=WAIT) == 1
    assert address.epoch == 2  # its handler was cut short, so its state is in doubt


@pytest.mark.parametrize(("signalled", "error"), SIGNALS)
@pytest.mark.usefixtures("exits_on_sigusr1")
def test_a_signal_in_a_turn_within_a_turn_reaches_the_program(
    grow: Grow, signalled: Callable[[Any], None], error: type[BaseException]
) -> None:
    tree = grow(*(Child(each, Turn.start) for each in "abc"))

    def ask_c(_me: Any) -> Any:
        return tree.address("c").ask(call(signalled), timeout=WAIT)

    def ask_b(_me: Any) -> Any:
        return tree.address("b").ask(call(ask_c), timeout=WAIT)

    with pytest.raises(error):
        tree.address("a").ask(call(ask_b), timeout=WAIT)
    for each in "abc":
        assert tree.address(each).ask(("echo", each), timeout=WAIT) == each


def test_an_exit_that_a_handler_itself_asked_for_ends_its_actor_alone(grow: Grow) -> None:
    address = grow(Child("a", Turn.start)).address("a")
    address.tell(("raise", SystemExit(3)))
    assert address.ask(("echo", 1), timeout=WAIT) == 1


@pytest.mark.parametrize("hook", ["on_start", "on_stop", "on_failure"])
def test_ctrl_c_in_a_hook_of_a_turn_actor_reaches_the_program(hook: str) -> None:
    def interrupted(*_args: Any) -> None:
        signal.raise_signal(signal.SIGINT)

    kind: Any = type("Interrupted", (Turn,), {hook: interrupted})

    def live() -> None:
        ref = kind.start()
        if hook == "on_stop":
            ref.stop()
        else:
            ref.tell(("raise", Boom()))

    with pytest.raises(KeyboardInterrupt):
        live()


# Forks

FORKING = """
import multiprocessing, os, sys, time, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of what is tested here
import pykka
from actors import CallingThreadActor, Child, DynamicSupervisor
from actors import NotDelivered, Supervised, Supervisor

class Threaded(Supervised):
    def on_receive(self, message):
        return message

class Turn(CallingThreadActor):
    def on_receive(self, message):
        return message

tree = Supervisor.start(
    Child("t", Threaded.start), Child("q", Turn.start), Child("down", Turn.start),
    DynamicSupervisor.child("pool", Child("w", Turn.start)), intensity=1000,
)
tree.stop_child("down")
told = []
tree.on_exit(lambda exit: told.append(exit))
tree.address("t").watch(lambda exit: told.append(exit))
alone = Threaded.start()

def look():
    began, problems = time.monotonic(), []
    calls = {
        "a thread": lambda: tree.address("t").ask(1, timeout=60),
        "a turn": lambda: tree.address("q").ask(1, timeout=60),
        "a child that is down": lambda: tree.address("down").ask(1, timeout=60),
        "a change": lambda: tree.start_child(Child("new", Turn.start)),
        "a restart": lambda: tree.restart_child("down"),
        "a dynamic child": lambda: tree.dynamic("pool").start_child(),
        "a ref": lambda: alone.ask(1),
    }
    for name, call in calls.items():
        try:
            problems.append(f"{name} answered {call()!r}")
        except NotDelivered as error:
            if "fork" not in str(error) or "spawn" not in str(error):
                problems.append(f"{name}: {error}")
    for path in ("t", "q"):
        if tree.address(path).alive:
            problems.append(f"{path} looks alive")
    if "fork" not in str(tree.describe()):
        problems.append(str(tree.describe()))
    if not tree.stop(timeout=60):
        problems.append("stop")
    if told:
        problems.append("a watcher was called in the child")
    if time.monotonic() - began > 20:
        problems.append("slow")
    own = Supervisor.start(Child("a", Turn.start))
    if own.address("a").ask(1, timeout=60) != 1 or not own.stop(timeout=60):
        problems.append("no tree of its own")
    print("\\n".join(problems) or "well", flush=True)

def by_fork():
    pid = os.fork()
    if pid == 0:
        look()
        os._exit(0)
    os.waitpid(pid, 0)

def by_multiprocessing():
    process = multiprocessing.get_context("fork").Process(target=look)
    process.start()
    process.join()

class Forks(Threaded):
    def on_receive(self, message):
        by_fork()

HOW = {"fork": by_fork, "multiprocessing": by_multiprocessing}
if sys.argv[1] in HOW:
    HOW[sys.argv[1]]()
else:
    Forks.start().ask(1)
assert tree.address("t").ask(2, timeout=5) == 2
assert tree.address("q").ask(2, timeout=5) == 2
assert not told
assert tree.stop(timeout=5)
alone.stop()
print("parent well")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.parametrize("how", ["fork", "multiprocessing", "in a handler"])
def test_in_a_forked_child_every_call_fails_at_once_and_names_the_fork(how: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FORKING), how],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "well\nparent well\n", "")


# Plain logs


@pytest.fixture
def plain() -> Iterator[io.StringIO]:
    """What the standard library's own formatter makes of the library's log."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger = logging.getLogger("actors.supervision")
    logger.addHandler(handler)
    yield text
    logger.removeHandler(handler)


def fail_somewhere(_me: Any) -> None:
    """Stands in the traceback by its name."""
    raise Boom("here")


@pytest.mark.parametrize("kind", [Threaded, Turn])
def test_a_plain_log_has_the_traceback_of_a_crash(
    grow: Grow, kind: type[CallingThreadActor], plain: io.StringIO
) -> None:
    address = grow(Child("a", kind.start)).address("a")
    address.tell(call(fail_somewhere))
    assert address.ask(("echo", 1), timeout=WAIT) == 1
    lines = plain.getvalue().splitlines()
    assert lines[0] == "ERROR a ended: crash (Boom: here)"
    assert lines[1].startswith("Traceback")
    assert "in fail_somewhere" in plain.getvalue()
    assert plain.getvalue().count("Traceback") == 1


def test_a_plain_log_has_the_traceback_of_an_actor_without_a_supervisor(
    plain: io.StringIO,
) -> None:
    Turn.start().tell(call(fail_somewhere))
    assert plain.getvalue().startswith("ERROR actor Turn crashed: crash (Boom: here)\nTraceback")
    assert "in fail_somewhere" in plain.getvalue()


def test_a_plain_log_says_to_whom_a_dead_letter_was(grow: Grow, plain: io.StringIO) -> None:
    tree = grow(Child("a", Turn.start))
    tree.stop_child("a")
    tree.address("a").tell(("echo", 1))
    assert plain.getvalue() == "WARNING dead letter for a: tuple, number 1\n"


def test_a_plain_log_says_where_an_abandoned_actor_was(grow: Grow, plain: io.StringIO) -> None:
    gate, clock = Gate(), FakeClock()
    tree = grow(Child("a", Threaded.start, shutdown=0), clock=clock)
    tree.address("a").tell(call(lambda _me: gate.hold()))
    gate.reached()
    tree.stop_child("a")
    gate.open()
    assert "ERROR abandoned a: it did not end in time\n" in plain.getvalue()
    assert "gate.hold()" in plain.getvalue()
