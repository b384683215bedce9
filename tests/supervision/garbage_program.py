"""A program that calls every public name of ``actors`` from finalizers within every other call.

``python -m tests.supervision.garbage_program`` prints ``done``, or says who was stuck and where. It
needs Pykka alone, so it runs on every Python that the library runs on.
"""

from __future__ import annotations

import dataclasses
import faulthandler
import gc
import random
import sys
import threading
import time
import weakref
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, Final

import pykka

import actors
from actors import (
    Backoff,
    CallingThreadActor,
    CancellationToken,
    Child,
    DynamicSupervisor,
    Supervised,
    Supervisor,
    TimerThread,
    Tree,
)

PATIENCE: Final = 10.0
"""Seconds that a call may wait for another thread; longer, and it is stuck."""
DEADLINE: Final = 100.0
"""Seconds for the whole program; then it prints where every thread is."""

ROUNDS: Final = 10
"""How often each call is made with all others within it, each time at other places."""
SKIPPED: Final = 0.5
"""The share of collections that call nothing: so that the places differ."""

CHANCE: Final = random.Random()

MANY: Final = 10_000
"""Lists that are kept alive at most."""

Call = Callable[[], object]


class Threaded(Supervised):
    """Echoes, on a thread of its own; ``"crash"`` crashes it."""

    def on_receive(self, message: Any) -> Any:
        if message == "crash":
            raise ValueError(message)
        return message


class Turn(CallingThreadActor):
    """Likewise, on the thread of whoever asks."""

    def on_receive(self, message: Any) -> Any:
        if message == "crash":
            raise ValueError(message)
        return message


class World:
    """A living tree, and every call that it allows. ``calls`` names them."""

    def __init__(self) -> None:
        self.tree: Tree = Supervisor.start(
            Child("t", Threaded.start),
            Child("q", Turn.start),
            Child("down", Turn.start),
            DynamicSupervisor.child("pool", Child("w", Turn.start)),
            intensity=1_000_000,
        )
        self.tree.stop_child("down")
        self.root = CancellationToken()
        self.clock = TimerThread()
        self.numbers = iter(range(1_000_000_000))
        self.listening = False

    def ask(self, path: str) -> None:
        assert self.tree.address(path).ask("echo", timeout=PATIENCE) == "echo"

    def crash(self, path: str) -> None:
        self.tree.address(path).tell("crash")
        self.ask(path)

    def watch(self) -> None:
        address = self.tree.address("t")
        address.wait_up(PATIENCE)
        address.watch(lambda _exit: None).unwatch()
        self.tree.on_exit(print).unwatch()
        assert repr(address)

    def add_and_drop(self) -> None:
        name = f"added-{next(self.numbers)}"
        self.tree.start_child(Child(name, Turn.start))
        self.tree.stop_child(name)
        self.tree.restart_child(name)
        self.tree.stop_child(name)
        self.tree.delete_child(name)

    def dynamic(self) -> None:
        pool = self.tree.dynamic("pool")
        pool.terminate_child(pool.start_child())
        pool.count()

    def look(self) -> None:
        assert str(self.tree.describe())
        self.tree.counts()

    def listen(self) -> None:
        if not self.listening:  # what listens once listens for good
            self.listening = True
            self.tree.on_event(lambda event: repr(event))

    def tree_of_its_own(self) -> None:
        tree = Supervisor.start(Child("a", Threaded.start), name="other")
        assert tree.stop(PATIENCE)

    def dynamic_tree(self) -> None:
        tree = DynamicSupervisor.start(Child("a", Turn.start), name="other")
        tree.dynamic().start_child()
        assert tree.stop(PATIENCE)

    def alone(self, kind: type[Supervised]) -> None:
        ref = kind.start()
        assert ref.ask("echo", timeout=PATIENCE) == "echo"
        ref.stop(timeout=PATIENCE)

    def cancel(self) -> None:
        token = self.root.child()
        leaf = token.child()
        leaf.on_cancel(lambda: None)
        token.cancel()
        assert leaf.wait(PATIENCE)
        assert leaf.cancelled

    def guard(self) -> None:
        def handling() -> Generator[None]:
            with self.root.child().guard() as guard, guard.token.on_cancel(lambda: None):
                yield

        abandoned: list[Any] = [handling()]
        next(abandoned[0])
        abandoned.append(abandoned)
        with self.root.child().guard() as spared:
            spared.disarm().on_cancel(lambda: None).unregister()

    def ring(self) -> None:
        token = CancellationToken()
        token.signal_safe_cancel()()
        assert token.wait(PATIENCE)

    def timers(self) -> None:
        self.clock.call_later(0.0, lambda: None)
        self.clock.call_later(60.0, lambda: None).cancel()
        clock = TimerThread()
        clock.call_later(0.0, lambda: None)
        clock.close()

    def records(self) -> None:
        """Everything that is only a value."""
        failure = actors.Failure(ValueError("why"))
        exit_ = actors.Exit(actors.Cause.CRASH, failure)
        assert exit_.abnormal
        assert failure.traceback
        for made in (
            actors.ChildStarted("a", 1),
            actors.ChildEnded("a", exit_),
            actors.ChildRestarting("a", 1.0),
            actors.ChildAbandoned("a"),
            actors.SupervisorGaveUp("a", 1),
            actors.SupervisorShutDown("a", "b"),
            actors.ChildView("a", "a", "up", 1),
            Child("a", Turn.start, backoff=Backoff()),
        ):
            assert repr(dataclasses.replace(made))
        for error in (
            actors.ActorCrashed("a"),
            actors.AskCycle(("a", "b", "a")),
            actors.Cancelled("a"),
            actors.ChildStateError("a", "up"),
            actors.GaveUp("a"),
            actors.InvalidSpec("a"),
            actors.MailboxFull("a"),
            actors.StartFailed("a", ValueError("why")),
            actors.UnknownChild("a"),
        ):
            assert isinstance(error, actors.ActorsError)
            assert str(error)

    @property
    def calls(self) -> dict[str, Call]:
        """Every call, with the public names that it stands for."""
        tree = self.tree
        return {
            "Address Question NotDelivered": partial(self.ask, "t"),
            "CallingThreadActor Overflow": partial(self.ask, "q"),
            "Address.tell": lambda: tree.address("q").tell("echo"),
            "a dead letter": lambda: tree.address("down").tell("echo"),
            "DeathWatch": self.watch,
            "Restart Strategy AutoShutdown": partial(self.crash, "q"),
            "a crash with a thread": partial(self.crash, "t"),
            "Child Tree": self.add_and_drop,
            "DynamicChildren": self.dynamic,
            "TreeView": self.look,
            "TreeEvent": self.listen,
            "Supervisor": self.tree_of_its_own,
            "DynamicSupervisor": self.dynamic_tree,
            "Supervised": partial(self.alone, Threaded),
            "a turn actor alone": partial(self.alone, Turn),
            "CancellationToken": self.cancel,
            "DropGuard Registration": self.guard,
            "signal_safe_cancel": self.ring,
            "TimerThread Clock Timer": self.timers,
            "ActorCrashed ActorsError AskCycle Backoff Cancelled Cause ChildAbandoned ChildEnded "
            "ChildRestarting ChildStarted ChildStateError ChildView Exit Failure GaveUp "
            "InvalidSpec MailboxFull StartFailed SupervisorGaveUp SupervisorShutDown "
            "UnknownChild": self.records,
        }


def within_threading() -> bool:
    """Whether the collection hit Python's own ``threading`` on this thread.

    From Python 3.12 on it may hold the lock there that every new thread needs, so nobody's code can
    wait for one.
    """
    frame = sys._getframe()  # pyright: ignore[reportPrivateUsage]  # documented
    while frame.f_back is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    return frame.f_code.co_filename == threading.__file__


class Garbage:
    """Calls ``each`` of some functions from finalizers, one at each garbage collection."""

    def __init__(self, each: dict[str, Call]) -> None:
        self.left = [*each.items()]
        CHANCE.shuffle(self.left)
        self.wrong: list[str] = []
        self.refs: list[weakref.ref[Piece]] = []
        self.threads: set[str] = set()

    def leave(self) -> None:
        """Leave another piece behind, of one of three kinds."""
        if not self.left:
            return
        match len(self.left) % 3:
            case 0:
                Finalized(self.run)
            case 1:
                self.refs.append(weakref.ref(Piece(), self.run))
            case _:
                abandoned: list[Any] = [finishing(self.run)]
                next(abandoned[0])
                abandoned.append(abandoned[0].gi_frame.f_locals)
                Piece().other = abandoned

    def run(self, _ref: object = None) -> None:
        """Call one of them, and leave a piece for the next collection."""
        if not self.left:
            return
        if CHANCE.random() < SKIPPED or within_threading():
            self.leave()
            return
        name, call = self.left.pop()
        self.threads.add(threading.current_thread().name)
        try:
            call()
        except actors.ActorsError:
            pass  # refused at once: the finalizer runs on the thread that it would wait for
        except BaseException as error:  # noqa: BLE001  # it would be printed and forgotten
            self.wrong.append(f"{name}: {error!r} on {threading.current_thread().name}")
        finally:
            self.leave()


class Piece:
    """A reference cycle: garbage for the collector alone."""

    def __init__(self) -> None:
        self.itself: Any = self
        self.other: Any = None


class Finalized(Piece):
    """Calls ``last`` at its end."""

    def __init__(self, last: Callable[[], None]) -> None:
        super().__init__()
        self.last = last

    def __del__(self) -> None:
        self.last()


def finishing(last: Callable[[], None]) -> Generator[None]:
    """Calls ``last`` when it is thrown away."""
    try:
        yield
    finally:
        last()


def call_within(name: str, call: Call, calls: dict[str, Call]) -> list[str]:
    """Make ``call`` until all others were made within it. Returns what went wrong."""
    garbage, kept = Garbage(calls), list[list[None]]()
    deadline = time.monotonic() + 3 * PATIENCE
    garbage.leave()
    gc.set_threshold(1, 20, 20)
    try:
        while garbage.left and time.monotonic() < deadline:
            if len(kept) > MANY:  # another thread collects, and is in a finalizer that waits
                kept.clear()
            kept.append([])  # another one that lives brings the next collection closer
            call()
    except pykka.Timeout as error:
        garbage.wrong.append(f"{name}: {error!r}")
    finally:
        gc.set_threshold(0)
    if garbage.left:
        garbage.wrong.append(f"{len(garbage.left)} calls were never made")
    if "-v" in sys.argv:
        print(name.split()[0], len(kept), sorted(garbage.threads), flush=True)
    return garbage.wrong


def main() -> int:
    """Call each within each. Returns how many were stuck."""
    faulthandler.dump_traceback_later(DEADLINE, exit=True)
    CHANCE.seed(1)
    world = World()
    calls = world.calls
    named = {word for names in calls for word in names.split()}
    missing = {*actors.__all__} - named
    assert not missing, f"no call stands for {sorted(missing)}"
    for call in calls.values():
        call()
    gc.collect()
    gc.freeze()
    wrong: list[str] = []
    for number in range(ROUNDS):
        CHANCE.seed(number)
        for name, call in calls.items():
            wrong += [f"within {name}: {each}" for each in call_within(name, call, calls)]
    gc.set_threshold(700)
    if not world.tree.stop(PATIENCE):
        wrong.append("the tree did not stop")
    print("\n".join(wrong) or "done")
    return len(wrong)


if __name__ == "__main__":
    import logging

    logging.disable(logging.CRITICAL)
    sys.exit(min(main(), 100))
