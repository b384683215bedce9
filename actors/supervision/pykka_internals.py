"""Parts of Pykka that hold a lock, replaced by ones that hold none.

A finalizer may run while another thread holds such a lock, and call a tree: it would wait for a
supervisor that waits for the lock. One operation of a list needs none, and Pykka reads copies of
its registry.
"""

from __future__ import annotations

import contextlib
import threading
from typing import Any, Final

from pykka import ActorRef, ActorRegistry

from actors.supervision.lifecycle import Latch

__all__ = ["StopFlag", "refs", "register", "unregister"]

_refs: Final = ActorRegistry._actor_refs  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # see above


def refs() -> list[ActorRef[Any]]:
    """Every actor's that lives now."""
    return [*_refs]


def register(ref: ActorRef[Any]) -> None:
    """Add ``ref``, of a new actor."""
    _refs.append(ref)


def unregister(ref: ActorRef[Any]) -> None:
    """Take ``ref`` out, if it is there."""
    with contextlib.suppress(ValueError):
        _refs.remove(ref)


class StopFlag(threading.Event):
    """An ``Event`` without the lock that one holds while it wakes others.

    A finalizer that stops the same actor within ``set`` would wait for it forever.
    """

    def __init__(self) -> None:
        self.latch: Final = Latch()
        """Opened when the actor stops. PERF: reading ``latch.opened`` is not a call."""

    def is_set(self) -> bool:
        """Whether the actor stops."""
        return self.latch.opened

    def set(self) -> None:
        """Stop for good."""
        self.latch.set()

    def clear(self) -> None:
        """Refused: an actor that has stopped stays so."""
        raise RuntimeError("an actor that has stopped can't go on: start another one")

    def wait(self, timeout: float | None = None) -> bool:
        """Wait so long for the stop; return whether it came."""
        return self.latch.wait(timeout)
