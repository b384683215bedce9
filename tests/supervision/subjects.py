"""The actors that the tests of this room supervise; one script, threaded and thread-less.

A message is a command: ``("echo", x)``, ``("raise", error)``, ``("call", fn)`` runs ``fn(actor)``
in the handler. ``Journal`` records what happened, for tests to wait for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from actors import CallingThreadActor, Supervised, Tree

WAIT = 5.0  # real seconds; far above any answer, so that a hang is a failure and not a wait


class Boom(Exception):
    """What the handlers of tests raise."""


class Fatal(Exception):
    """In ``fatal`` of the actors below."""


class Journal:
    """A list that threads append to and tests wait on."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.entries: list[Any] = []

    def add(self, entry: Any) -> None:
        """Note ``entry``."""
        with self._changed:
            self.entries.append(entry)
            self._changed.notify_all()

    def wait(self, until: Callable[[list[Any]], bool]) -> list[Any]:
        """Wait until ``until(entries)`` holds; fail after :data:`WAIT`."""
        with self._changed:
            assert self._changed.wait_for(lambda: until(self.entries), WAIT), self.entries
            return [*self.entries]

    def wait_for(self, count: int) -> list[Any]:
        """Wait until there are ``count`` entries."""
        return self.wait(lambda entries: len(entries) >= count)


def call(function: Callable[[Any], Any]) -> tuple[str, Any]:
    """The command that runs ``function(actor)`` in the handler."""
    return ("call", function)


def obey(actor: Supervised, message: Any) -> Any:
    """Carry a command out."""
    command, argument = message
    if command == "echo":
        return argument
    if command == "raise":
        raise argument
    return argument(actor)


class Threaded(Supervised):
    """Obeys, on a thread of its own."""

    fatal = (Fatal,)

    def __init__(self, journal: Journal | None = None, label: str = "") -> None:
        super().__init__()
        self.journal, self.label = journal or Journal(), label

    def on_start(self) -> None:
        self.journal.add(("start", self.label))

    def on_stop(self) -> None:
        self.journal.add(("stop", self.label))

    def on_receive(self, message: Any) -> Any:
        return obey(self, message)


class Turn(CallingThreadActor):
    """Obeys, on the thread of whoever sends."""

    fatal = (Fatal,)

    def __init__(self, journal: Journal | None = None, label: str = "") -> None:
        super().__init__()
        self.journal, self.label = journal or Journal(), label

    def on_start(self) -> None:
        self.journal.add(("start", self.label))

    def on_stop(self) -> None:
        self.journal.add(("stop", self.label))

    def on_receive(self, message: Any) -> Any:
        return obey(self, message)


def crash(tree: Tree, path: str) -> None:
    """Crash the child and wait until its successor answers."""
    tree.address(path).tell(("raise", Boom()))
    assert tree.address(path).ask(("echo", 1), timeout=WAIT) == 1
