"""The actors under measurement: they answer what they were asked, and crash on order."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final

import pykka

from actors import Address, CallingThreadActor, Child, Supervised, Supervisor

__all__ = ["CRASH", "PATIENCE", "Crash", "Stock", "Threaded", "Turn", "stock", "supervised"]

CRASH: Final = "crash"
"""The message that crashes an actor."""

PATIENCE: Final = 30.0
"""Seconds any answer may take; beside eight busy threads a stock one takes up to one second."""


class Crash(Exception):
    """What :data:`CRASH` raises."""


def obey(message: Any) -> Any:
    """The handler of all three, so that only the way to it differs."""
    if message is CRASH:
        raise Crash
    return message


class Stock(pykka.ThreadingActor):
    """Pykka as it is."""

    use_daemon_thread = True

    def on_receive(self, message: Any) -> Any:
        return obey(message)


class Threaded(Supervised):
    """Ours, on a thread of its own."""

    def on_receive(self, message: Any) -> Any:
        return obey(message)


class Turn(CallingThreadActor):
    """Ours, on the thread of whoever asks."""

    def on_receive(self, message: Any) -> Any:
        return obey(message)


@contextmanager
def stock() -> Generator[pykka.ActorRef[Any]]:
    """A running stock actor."""
    ref = Stock.start()
    try:
        yield ref
    finally:
        ref.stop(timeout=PATIENCE)


@contextmanager
def supervised(kind: type[Supervised]) -> Generator[Address]:
    """The address of a child of ``kind`` in a tree of its own, restarted as often as it takes."""
    tree = Supervisor.start(Child("subject", kind.start), intensity=1_000_000)
    try:
        yield tree.address("subject")
    finally:
        tree.stop(PATIENCE)
