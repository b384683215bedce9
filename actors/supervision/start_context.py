"""Context that a supervisor passes to an actor while it is constructed, before its ``__init__``.

Pykka's ``start`` makes the object and runs it in one call, so there is no argument to pass a name
by. The supervisor puts a :class:`StartContext` on the starting thread instead, for the one object
that ``Supervised.start`` makes: actors that are started meanwhile, as in that one's ``__init__`` or
by a finalizer, get none.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from actors.supervision.actor_loop import ActorLoop
from actors.supervision.address import Address, AddressTable
from actors.supervision.clock import Clock
from actors.supervision.events import EventBus

__all__ = [
    "HandoverState",
    "StartContext",
    "TreeContext",
    "claim_start_context",
    "current_start_context",
    "for_next_actor",
    "start_context",
]


@dataclass(slots=True)
class HandoverState:
    """The state that an incarnation saved last, for the next one."""

    state: Any = None


@dataclass(frozen=True, slots=True)
class TreeContext:
    """What every actor of one tree shares."""

    clock: Clock
    table: AddressTable
    events: EventBus


@dataclass(frozen=True, slots=True)
class StartContext:
    """What one incarnation gets: the child's path in the tree, its address, the saved state."""

    path: str
    address: Address
    tree: TreeContext
    handover: HandoverState = field(default_factory=HandoverState)
    owner: object = None
    """The :class:`ChildRunner` that starts it; see :meth:`Address.set_owner`."""
    awaits_admission: bool = False
    """Whether the actor's first message waits until its supervisor has admitted it."""
    created: list[ActorLoop] = field(default_factory=list[ActorLoop])
    """Of every actor that was made with this context: one may be dead before ``start`` returns."""

    def take(self, ref: object) -> tuple[ActorLoop, list[ActorLoop]]:
        """The loop of the actor whose ``ref`` was returned by ``start``, and those of the others
        that ``start`` made; ``TypeError`` if that actor is none of them."""
        for loop in self.created:
            if loop.actor.actor_ref is ref:
                others = [each for each in self.created if each is not loop]
                self.created.clear()
                return loop, others
        wanted = "the ref of a Supervised actor that it made"
        raise TypeError(f"start must return {wanted}, not {ref!r}")

    def stop_created(self) -> None:
        """Order every actor that was made with this context to stop: none became the child."""
        for loop in self.created:
            loop.actor.actor_ref.stop(block=False)
        self.created.clear()


class _StartLocal(threading.local):
    context: StartContext | None = None
    """For every actor that a function of the user's own starts on this thread."""
    next_actor: StartContext | None = None
    """For the next actor that is made on this thread."""


_start_local = _StartLocal()


@contextmanager
def start_context(context: StartContext | None) -> Generator[None]:
    """Give ``context`` to every actor that is started on this thread within the block."""
    before, _start_local.context = _start_local.context, context
    try:
        yield
    finally:
        _start_local.context = before


@contextmanager
def for_next_actor(context: StartContext | None) -> Generator[None]:
    """Have the first actor that is made within the block claim ``context``, and no other."""
    before = _start_local.context, _start_local.next_actor
    _start_local.context, _start_local.next_actor = None, context
    try:
        yield
    finally:
        _start_local.context, _start_local.next_actor = before


def current_start_context() -> StartContext | None:
    """The context for an actor that is started on this thread."""
    return _start_local.context


def claim_start_context() -> StartContext | None:
    """The context of the actor that is being made; ``None`` outside a tree, and a second time."""
    context, _start_local.next_actor = _start_local.next_actor, None
    return context
