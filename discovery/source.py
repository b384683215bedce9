"""The source protocol: where instances of models are announced, in this project's own terms.

etcd, a directory and memory implement it and pass one contract suite
(``tests/discovery/test_source_contract.py``). How an announcement is stored is the source's own
affair: it decodes at its edge (:mod:`discovery.codec`) and delivers entries.

The promises of every source:

1. ``run`` delivers the whole content as ``Put`` and ``Unusable`` before its first ``Synced``; an
   instance that was not put by then does not exist.
2. Later changes come in the order in which they happened; what changed while the source was away
   comes as the difference, so a listener that applies every event ends with the same content. A
   source without a history (a directory) may leave out a state that was overwritten at once.
3. Being away is ``Stale`` and never a ``Removed``. What can't be read is ``Unusable``, and what was
   put under that id before stays.
4. ``run`` returns within 100 ms of the token's cancellation, whatever state the other side is in.
5. All of one run's events come from the thread that called ``run``. State belongs to the run: a
   second run may begin, and overlap with one that is still ending.

The package's errors are here too. ``summary`` goes into ``/health`` and ``/ready``; ``str(error)``
names addresses and goes into the log only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from actors.supervision.cancellation import CancellationToken
from actors.supervision.errors import ActorsError
from discovery.entry import Entry

__all__ = [
    "Deliver",
    "DiscoveryError",
    "EntryUnusable",
    "Event",
    "Put",
    "Removed",
    "Source",
    "SourceEnded",
    "Stale",
    "Synced",
    "Unusable",
]


@dataclass(frozen=True, slots=True)
class Put:
    """``entry`` is announced under ``id``: new, changed, or replaced by an equal one.

    ``id`` is printable, the same for the same announcement in each run, and appears in logs and in
    ``/health``; the key in etcd, for one. It ends an :class:`Unusable` of that id.
    """

    id: str
    entry: Entry


@dataclass(frozen=True, slots=True)
class Removed:
    """Nothing is announced under ``id`` any more. Comes only for an id that this run delivered."""

    id: str


@dataclass(frozen=True, slots=True)
class Unusable:
    """What is announced under ``id`` can't be used, and why, in a sentence for the operator.

    ``id`` may also name a part of the source, as in ``file:workers.json``. What was put under it
    before stays. ``reason`` None: the part can be read again, or it is gone.
    """

    id: str
    reason: str | None


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


Event: TypeAlias = Put | Removed | Unusable | Synced | Stale
Deliver: TypeAlias = Callable[[Event], None]


class Source(Protocol):
    """Something that knows which instances are announced, and reports every change."""

    @property
    def name(self) -> str:
        """What it is called in logs and in ``/health``, as in ``etcd``; no addresses."""
        ...

    def run(self, deliver: Deliver, token: CancellationToken) -> None:
        """Deliver events until ``token`` is cancelled; blocks; returns only then.

        Raises nothing for trouble on the other side (that is ``Stale``, then retries without end).
        What ``deliver`` raises ends the run and reaches the caller.
        """
        ...


class DiscoveryError(ActorsError):
    """The base of every error of this package; never raised itself."""


class SourceEnded(DiscoveryError):
    """A blocking loop returned or failed although it was not asked to stop: a bug, so crash."""


class EntryUnusable(DiscoveryError):
    """An engine factory can't serve an entry here; the text is the quarantine's reason.

    It is shown to operators, in ``/health`` and the log. Of any other exception only the type is.
    """
