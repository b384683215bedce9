"""Hazards from outside: the process, the clock, the machine's limits, strangers' calls."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import pykka
import pytest

from actors import (
    Backoff,
    CancellationToken,
    Child,
    ChildEnded,
    ChildRestarting,
    ChildStarted,
    Restart,
    StartFailed,
    Supervisor,
)
from actors.testing import Gate
from tests.supervision.conftest import Grow
from tests.supervision.subjects import WAIT, Boom, Journal, Threaded, Turn

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys, threading
from actors import Child, DynamicSupervisor, Supervised, Supervisor, CallingThreadActor

class Hung(Supervised):
    def on_start(self):
        self.actor_ref.tell("hang")
    def on_receive(self, message):
        threading.Event().wait()

class Quick(CallingThreadActor):
    def on_receive(self, message):
        return message

tree = Supervisor.start(
    Child("hung", Hung.start, hang_after=600), Child("quick", Quick.start),
    DynamicSupervisor.child("pool", Child("w", Hung.start)),
)
tree.dynamic("pool").start_child()
assert tree.address("quick").ask(1, timeout=5) == 1
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    """Run a program that has a living tree, until it ends by itself."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_program_that_ends_with_a_living_tree_exits_in_time_and_with_0() -> None:
    done = run(PROGRAM + "print('end')")
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


def test_a_program_that_exits_from_within_a_tree_keeps_its_exit_code() -> None:
    assert run(PROGRAM + "sys.exit(3)").returncode == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_fork_leaves_the_parents_tree_alone_and_the_child_may_grow_its_own() -> None:
    done = run(
        PROGRAM
        + """
import os, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of what is tested here
pid = os.fork()
if pid == 0:
    own = Supervisor.start(Child("quick", Quick.start))
    answer = own.address("quick").ask(7, timeout=5)
    os._exit(answer if own.stop(timeout=5) else 1)
_, status = os.waitpid(pid, 0)
assert os.waitstatus_to_exitcode(status) == 7, status
assert tree.address("quick").ask(2, timeout=5) == 2
"""
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_jump_of_the_wall_clock_fires_no_timeout_and_delays_no_restart(
    grow: Grow, monkeypatch: pytest.MonkeyPatch
) -> None:
    backoff = Backoff(first=0.02, jitter=0.0)
    tree = grow(Child("a", Threaded.start, backoff=backoff, hang_after=60.0))
    address, events, real = tree.address("a"), Journal(), time.time
    tree.on_event(events.add)
    for hours in (1, -1):
        offset = hours * 3600.0
        monkeypatch.setattr(time, "time", lambda offset=offset: real() + offset)
        address.tell(("raise", Boom()))
        assert address.ask(("echo", hours), timeout=WAIT) == hours
    kinds: list[type] = [type(each) for each in events.wait_for(6)]
    assert kinds == [ChildEnded, ChildRestarting, ChildStarted] * 2
    assert {each.delay for each in events.entries if isinstance(each, ChildRestarting)} <= {
        0.02,
        0.04,
    }


class Exhausted:
    """Stands for a machine that has no thread left for actors of a name."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str, times: int) -> None:
        self.left, self.name, self.start = times, name, threading.Thread.start

        def start(thread: threading.Thread) -> None:
            self.start_unless_refused(thread)

        monkeypatch.setattr(threading.Thread, "start", start)

    def start_unless_refused(self, thread: threading.Thread) -> None:
        if thread.name == self.name and self.left:
            self.left -= 1
            raise RuntimeError("can't start new thread")
        self.start(thread)


def test_no_more_threads_is_a_failed_start_that_is_tried_again_with_backoff(
    grow: Grow, monkeypatch: pytest.MonkeyPatch
) -> None:
    backoff = Backoff(first=0.001, cap=0.004, jitter=0.0)
    tree = grow(Child("a", Threaded.start, backoff=backoff), Child("b", Threaded.start))
    events, registered = Journal(), len(pykka.ActorRegistry.get_all())
    tree.on_event(events.add)
    machine = Exhausted(monkeypatch, "a", times=3)
    tree.address("a").tell(("raise", Boom()))
    assert tree.address("a").ask(("echo", 1), timeout=WAIT) == 1
    assert machine.left == 0
    delays = [each.delay for each in events.entries if isinstance(each, ChildRestarting)]
    assert delays == [0.001, 0.002, 0.004, 0.004]
    assert tree.address("b").epoch == 1
    assert len(pykka.ActorRegistry.get_all()) == registered


def test_no_thread_at_the_first_start_fails_it_with_that_cause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Exhausted(monkeypatch, "a", times=1)
    with pytest.raises(StartFailed, match="can't start new thread"):
        Supervisor.start(Child("a", Threaded.start))


def test_a_foreign_stop_of_every_actor_ends_two_trees_and_neither_hangs() -> None:
    trees = [
        Supervisor.start(Child("a", Threaded.start), Child("b", Turn.start), intensity=9)
        for _ in range(2)
    ]
    exits = Journal()
    for tree in trees:
        tree.on_exit(exits.add)
    pykka.ActorRegistry.stop_all(timeout=WAIT)
    assert [exit_.abnormal for exit_ in exits.wait_for(2)] == [False, False]
    assert all(tree.stop(timeout=WAIT) for tree in trees)
    assert not pykka.ActorRegistry.get_all()


def test_an_exception_that_cannot_print_itself_fails_a_start_with_its_type() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise Boom

        __repr__ = __str__

    class Fails(Threaded):
        def on_start(self) -> None:
            raise Mute

    with pytest.raises(StartFailed, match="Mute: <its __str__ failed>"):
        Supervisor.start(Child("a", Fails.start))


def test_an_exit_that_cannot_print_itself_still_ends_only_its_actor(grow: Grow) -> None:
    class Mute(SystemExit):
        def __str__(self) -> str:
            raise Boom

        __repr__ = __str__

    tree = grow(Child("a", Threaded.start))
    with pytest.raises(Exception, match=r"a crashed: .*Mute"):
        tree.address("a").ask(("raise", Mute()), timeout=WAIT)
    assert tree.address("a").ask(("echo", 1), timeout=WAIT) == 1


def test_a_supervisors_own_messages_overtake_what_users_send_it(grow: Grow) -> None:
    gate, order, ended = Gate(), Journal(), Journal()

    class Noting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "nonsense" in record.getMessage():
                order.add("a user's message")

    tree = grow(Supervisor.child("inner", Child("a", Threaded.start)))
    blocker = threading.Thread(target=lambda: tree.start_child(late(gate), under="inner"))
    blocker.start()
    gate.reached()
    tree.on_event(order.add)
    tree.address("inner").tell("nonsense")
    tree.address("inner/a").watch(ended.add)
    tree.address("inner/a").tell(("raise", Boom()))
    ended.wait_for(1)
    noting = Noting()
    logging.getLogger("pykka").addHandler(noting)
    try:
        gate.open()
        blocker.join(WAIT)
        entries = order.wait(lambda entries: "a user's message" in entries)
    finally:
        logging.getLogger("pykka").removeHandler(noting)
    assert ChildStarted("inner/a", 2) in entries[: entries.index("a user's message")]


def late(gate: Gate) -> Child:
    """A child that comes up as soon as ``gate`` is open."""

    class Late(Threaded):
        def on_start(self) -> None:
            gate.hold()

    return Child("late", Late.start, restart=Restart.TEMPORARY)


def test_a_token_that_was_cancelled_before_the_start_is_seen_by_the_actor(grow: Grow) -> None:
    token, seen = CancellationToken(), Journal()
    token.cancel()

    class Careful(Threaded):
        def on_start(self) -> None:
            seen.add(token.cancelled)

    tree = grow(Child("a", Careful.start))
    assert tree.address("a").ask(("echo", 1), timeout=WAIT) == 1
    assert seen.entries == [True]


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="no /proc on this system")
@pytest.mark.parametrize("kind", [Threaded, Turn])
def test_restarts_leave_neither_threads_nor_descriptors_behind(kind: Any) -> None:
    threads, descriptors = threading.active_count(), open_descriptors()
    tree = Supervisor.start(Child("a", kind.start), intensity=1000)
    for number in range(200):
        tree.address("a").tell(("raise", Boom()))
        assert tree.address("a").ask(("echo", number), timeout=WAIT) == number
    assert tree.stop(timeout=WAIT)
    deadline = time.monotonic() + WAIT
    while threading.active_count() > threads and time.monotonic() < deadline:
        threading.Event().wait(0.01)  # the last ones are on their way out
    assert threading.active_count() == threads
    assert open_descriptors() == descriptors
