"""A supervision tree in this process, under a load of asks: the library itself, nothing around."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final

import pykka

from actors import (
    Address,
    Backoff,
    Child,
    ChildAbandoned,
    ChildEnded,
    ChildStarted,
    Supervised,
    Supervisor,
    SupervisorGaveUp,
    Tree,
)
from tests.faults.evidence import OK, Mark, Request, Vitals

__all__ = ["AskLoad", "TreeWorld", "grown"]

GAP: Final = 0.01
"""Seconds between two asks of one caller."""
ASK: Final = 2.0
"""Seconds an ask may take: the deadline of this load."""
STOP: Final = 10.0
ECHO: Final = "echo"


class Echo(Supervised):
    """Answers numbers with themselves; ``("ask", address)`` asks somebody else."""

    peers: ClassVar[dict[str, Address]] = {}
    relayed: ClassVar[list[Any]] = []
    """The messages that asked for somebody else to be asked."""

    def on_receive(self, message: Any) -> Any:
        """Answer."""
        if isinstance(message, tuple):
            self.relayed.append(message)
            return self.peers[message[1]].ask(("ask", message[2], message[1]), timeout=ASK)
        return message


class AskLoad:
    """One caller for each of some addresses; each asks, waits for the answer, asks again."""

    def __init__(self, addresses: Mapping[str, Address], base: float) -> None:
        self._base = base
        self._done: list[Request] = []
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._call, args=each, name="asker", daemon=True)
            for each in addresses.items()
        ]

    def start(self) -> None:
        """Begin to ask."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> tuple[Request, ...]:
        """Ask no more; every ask."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(ASK + 5.0)
        return tuple(sorted(self._done, key=lambda each: each.at))

    def recent(self, seconds: float) -> list[Request]:
        """Asks that ended within the last so many seconds."""
        since = time.monotonic() - self._base - seconds
        return [each for each in self._done[-400:] if each.end >= since]

    def _call(self, name: str, address: Address) -> None:
        number = 0
        while not self._stopping.is_set():
            number += 1
            begun = time.monotonic()
            try:
                answer = address.ask(number, timeout=ASK)
                outcome = OK if answer == number else f"wrong: {answer!r}"
            except pykka.Timeout:
                outcome = "timeout"
            except Exception as error:  # noqa: BLE001  # whatever it is, it is an outcome
                outcome = type(error).__name__
            took = time.monotonic() - begun
            outcome = "late" if took > ASK + 1.0 else outcome
            self._done.append(Request(begun - self._base, took, name, outcome))
            self._stopping.wait(GAP)


class TreeWorld:
    """A tree with ``victim`` and ``bystander``; ``Victim`` is a class of this world alone."""

    def __init__(
        self, base: float, *, asked: bool = True, nested: bool = False, **settings: Any
    ) -> None:
        class Victim(Echo):
            """A class of its own, so that a fault in it touches nobody else."""

        self.base, self.deadline = base, ASK
        self.victim_class = Victim
        self.extra: dict[str, Any] = {}
        self._marks: list[Mark] = []
        self._injecting_at = 0.0
        self._lines = _Lines()
        # Before anything of this world is there: what is more afterwards was left behind.
        self.born = _vitals()
        flags: dict[str, Any] = {"intensity": 50, "period": 10.0, **settings.pop("flags", {})}
        capacity = settings.pop("capacity", None)
        if capacity is not None:
            Victim.mailbox_capacity = capacity
        victim: dict[str, Any] = {"backoff": Backoff(0.005, cap=0.05, jitter=0.0), **settings}
        child = Child("victim", Victim.start, **victim)
        self.tree: Tree = Supervisor.start(
            Child("first", Echo.start),
            Supervisor.child("inner", child) if nested else child,
            Child("bystander", Echo.start),
            name="world",
            **flags,
        )
        self.tree.on_event(self._note)
        self.victim = self.tree.address("inner/victim" if nested else "victim")
        self.bystander = self.tree.address("bystander")
        Echo.peers = {"victim": self.victim, "bystander": self.bystander}
        both = {"victim": self.victim, "bystander": self.bystander}
        self.load: AskLoad | None = AskLoad(both, base) if asked else None
        self._facts: dict[str, Any] | None = None

    @property
    def over(self) -> bool:
        """A tree that ended is looked at like any other."""
        return False

    @property
    def ref(self) -> pykka.ActorRef[Any]:
        """The Pykka ref of the victim's present incarnation."""
        (ref,) = pykka.ActorRegistry.get_by_class(self.victim_class)
        return ref

    def now(self) -> float:
        """Seconds since the world began."""
        return time.monotonic() - self.base

    def mark(self, what: str) -> None:
        """Note that something happened, now."""
        self._marks.append(Mark(self.now(), what))

    def vitals(self) -> Vitals:
        """As of the birth of this world while it lives; the real ones come from finish."""
        return self.born

    def injecting(self) -> None:
        """Facts count crashes and restarts from now on."""
        self._lines.crashes = 0
        self._injecting_at = self.now()

    def sample(self) -> Mapping[str, Any]:
        """How deep the victim's mailbox is."""
        views = {view.id: view for view in self.tree.describe().children}
        return {"depth": views["victim"].mailbox_depth if "victim" in views else 0}

    def marks(self) -> list[Mark]:
        """What happened in the tree."""
        return list(self._marks)

    def finish(self) -> Mapping[str, Any]:
        """Stop the tree; whether it stopped in time, and what is left of it."""
        if self._facts is None:
            self._facts = self._finish()
        return {**self._facts, **self.extra}

    def _finish(self) -> dict[str, Any]:
        begun = time.monotonic()
        stopped = self.tree.stop(timeout=STOP)
        seconds = time.monotonic() - begun
        self._lines.remove()
        abandoned = sum(mark.what.startswith("abandoned") for mark in self._marks)
        deadline = time.monotonic() + 3.0
        pause = threading.Event()
        while _vitals().threads > self.born.threads + abandoned and time.monotonic() < deadline:
            pause.wait(0.01)
        after = _vitals()
        return {
            "abandoned": abandoned,
            "stopped": stopped,
            "stop_seconds": seconds,
            "threads_left": after.threads - self.born.threads - abandoned,
            "actors_left": after.actors - self.born.actors,
            "crash_lines": self._lines.crashes,
            "restarts_of_others": sum(
                mark.what.startswith(("restart first", "restart bystander"))
                for mark in self._marks
                if mark.at >= self._injecting_at
            ),
        }

    def _note(self, event: object) -> None:
        match event:
            case ChildEnded(path, how):
                self.mark(f"ended {path}: {how.cause.value}")
            case ChildStarted(path, epoch):
                self.mark(f"restart {path} epoch {epoch}")
            case ChildAbandoned(path):
                self.mark(f"abandoned {path}")
            case SupervisorGaveUp():
                self.mark("gave up")
            case _:
                return


class _Lines(logging.Handler):
    """Counts the library's log lines about ends that were no normal ones; shows none."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.crashes = 0
        self._logger = logging.getLogger("actors.supervision")
        self._before = self._logger.propagate
        self._logger.propagate = False
        self._logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Count one line."""
        if record.levelno >= logging.ERROR and " ended: " in record.getMessage():
            self.crashes += 1

    def remove(self) -> None:
        """Count no more."""
        self._logger.removeHandler(self)
        self._logger.propagate = self._before


def _vitals() -> Vitals:
    fds = Path("/proc/self/fd")
    return Vitals(
        threads=threading.active_count(),
        files=len(list(fds.iterdir())) if fds.exists() else 0,
        actors=len(pykka.ActorRegistry.get_all()),
    )


@contextmanager
def grown(base: float, **settings: Any) -> Generator[TreeWorld]:
    """A world that is stopped whatever happens; ``flags`` are the supervisor's, others the
    victim's."""
    world = TreeWorld(base, **settings)
    try:
        yield world
    finally:
        world.finish()
