"""Pykka's registry without its lock, which another thread may hold while it collects garbage.

A finalizer that runs under that lock and calls a tree would wait for a supervisor that waits for
the lock. One operation of the list needs none, and Pykka reads copies of it.
"""

from __future__ import annotations

import contextlib
from typing import Any, Final

from pykka import ActorRef, ActorRegistry

__all__ = ["refs", "register", "unregister"]

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
