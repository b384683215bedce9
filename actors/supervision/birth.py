"""What a supervisor gives an actor on its way into the world, before its ``__init__`` runs.

Pykka's ``start`` makes the object and runs it in one call, so there is no argument to pass a name
by. The supervisor puts a :class:`Birth` on the starting thread instead, for the one object that
``Supervised.start`` makes: actors that are started meanwhile, as in that one's ``__init__`` or by a
finalizer, get none.
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

__all__ = ["Birth", "Estate", "Kin", "born_under", "claim_birth", "current_birth", "delivery"]


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
    owner: object = None
    """Who brings the child up; see :meth:`Address.take_over`."""
    admits: bool = False
    """Whether the actor's first message waits until its supervisor has admitted it."""
    cradle: list[Runtime] = field(default_factory=list[Runtime])
    """Of every actor that was made with these papers: one may be dead before ``start`` returns."""

    def take(self, ref: object) -> tuple[Runtime, list[Runtime]]:
        """The runtime of the actor whose ``ref`` was returned by ``start``, and those of the others
        that ``start`` made; ``TypeError`` if that actor is none of them."""
        for runtime in self.cradle:
            if runtime.actor.actor_ref is ref:
                others = [each for each in self.cradle if each is not runtime]
                self.cradle.clear()
                return runtime, others
        wanted = "the ref of a Supervised actor that it made"
        raise TypeError(f"start must return {wanted}, not {ref!r}")

    def disown(self) -> None:
        """Order every actor that was made with these papers to stop: none became the child."""
        for runtime in self.cradle:
            runtime.actor.actor_ref.stop(block=False)
        self.cradle.clear()


class _Ward(threading.local):
    birth: Birth | None = None
    """For every actor that a function of the user's own starts on this thread."""
    newborn: Birth | None = None
    """For the next actor that is made on this thread."""


_ward = _Ward()


@contextmanager
def born_under(birth: Birth | None) -> Generator[None]:
    """Give ``birth`` to whatever actor is started on this thread within the block."""
    before, _ward.birth = _ward.birth, birth
    try:
        yield
    finally:
        _ward.birth = before


@contextmanager
def delivery(birth: Birth | None) -> Generator[None]:
    """Have the first actor that is made within the block claim ``birth``, and no other any."""
    before = _ward.birth, _ward.newborn
    _ward.birth, _ward.newborn = None, birth
    try:
        yield
    finally:
        _ward.birth, _ward.newborn = before


def current_birth() -> Birth | None:
    """The papers for an actor that is started on this thread."""
    return _ward.birth


def claim_birth() -> Birth | None:
    """The papers of the actor that is being made; ``None`` outside a tree, and a second time."""
    birth, _ward.newborn = _ward.newborn, None
    return birth
