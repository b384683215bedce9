"""The source protocol: where entries come from, without saying what they mean.

etcd, a directory and memory implement it and pass one contract suite
(``tests/discovery/test_source_contract.py``). A source knows keys and values as bytes, nothing of
models, and never decodes.

The promises of every source:

1. ``run`` delivers the whole content as ``Put`` before its first ``Synced``; a key that was not
   put by then does not exist.
2. Later changes come in the order in which they happened; what changed while the source was away
   comes as the difference, so a listener that applies every event ends with the same content. A
   source without a history (a directory) may leave out a state that was overwritten at once.
3. Being away is ``Stale`` and never a ``Deleted``. A part that can't be read is ``Trouble``, and
   what it held before stays.
4. ``run`` returns within 100 ms of the token's cancellation, whatever state the other side is in.
5. All of one run's events come from the thread that called ``run``. State belongs to the run: a
   second run may begin, and overlap with one that is still ending.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from actors.supervision.cancellation import CancellationToken

__all__ = ["Deleted", "Deliver", "Event", "Put", "Source", "Stale", "Synced", "Trouble"]


@dataclass(frozen=True, slots=True)
class Put:
    """``key`` holds ``value`` now: new, changed, or replaced by an equal one."""

    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Deleted:
    """``key`` is gone. Comes only for a key that this run had put."""

    key: bytes


@dataclass(frozen=True, slots=True)
class Synced:
    """Everything up to ``revision`` was delivered, and changes will follow as they happen.

    ``repaired`` changes among them should have been delivered long before: the source found them by
    comparing. 0 unless something is wrong with it.
    """

    revision: int
    repaired: int = 0


@dataclass(frozen=True, slots=True)
class Stale:
    """The source is away; what was delivered stays valid as the last that is known.

    ``reason`` is one clause that may be shown to anyone.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """A part of the source can't be read, and why; ``reason`` None: it can again, or it is gone.

    ``where`` names the part and is no key, as in ``file:workers.json``. What it held stays.
    """

    where: bytes
    reason: str | None


Event: TypeAlias = Put | Deleted | Synced | Stale | Trouble
Deliver: TypeAlias = Callable[[Event], None]


class Source(Protocol):
    """Something that holds keys and values and tells every change of them."""

    @property
    def name(self) -> str:
        """What it is called in logs and in ``/health``, as in ``etcd``; no addresses."""
        ...

    def run(self, deliver: Deliver, token: CancellationToken) -> None:
        """Deliver events until ``token`` is cancelled; blocks; returns only then.

        Raises nothing for trouble on the other side (that is ``Stale``, then a retry for ever).
        What ``deliver`` raises ends the run and reaches the caller.
        """
        ...
