"""What a supervisor gives an actor on its way into the world, before its ``__init__`` runs.

Pykka's ``start`` makes the object and runs it in one call, so there is no argument to pass a name
by. The supervisor puts a :class:`Birth` on the starting thread instead; the actor picks it up.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from actors.supervision.address import Address
from actors.supervision.book import AddressBook
from actors.supervision.clock import Clock
from actors.supervision.events import EventBus
from actors.supervision.runtime import Runtime

__all__ = ["Birth", "Estate", "Kin", "born_under", "current_birth"]


@dataclass(slots=True)
class Estate:
    """What an incarnation leaves to the next: the state that was published last."""

    state: Any = None


@dataclass(frozen=True, slots=True)
class Kin:
    """What every actor of one tree shares."""

    clock: Clock
    book: AddressBook
    events: EventBus


@dataclass(frozen=True, slots=True)
class Birth:
    """One incarnation's papers: the child's path in the tree, its address, what it inherits."""

    path: str
    address: Address
    kin: Kin
    estate: Estate = field(default_factory=Estate)
    cradle: list[Runtime] = field(default_factory=list[Runtime])
    """Of every actor that was made with these papers: one may be dead before ``start`` returns."""

    def runtime_of(self, ref: object) -> Runtime:
        """Of the actor whose ``ref`` was returned by ``start``; ``TypeError`` if not made here."""
        for runtime in self.cradle:
            if runtime.actor.actor_ref is ref:
                self.cradle.clear()
                return runtime
        wanted = "the ref of a Supervised actor that it made"
        raise TypeError(f"start must return {wanted}, not {ref!r}")

    def disown(self) -> None:
        """Order every actor that was made with these papers to stop: none became the child."""
        for runtime in self.cradle:
            runtime.actor.actor_ref.stop(block=False)
        self.cradle.clear()


class _Ward(threading.local):
    birth: Birth | None = None


_ward = _Ward()


def current_birth() -> Birth | None:
    """The papers of the actor that is being made on this thread; ``None`` outside a tree."""
    return _ward.birth


@contextmanager
def born_under(birth: Birth | None) -> Generator[None]:
    """Give ``birth`` to whatever actor is made on this thread within the block."""
    before, _ward.birth = _ward.birth, birth
    try:
        yield
    finally:
        _ward.birth = before
