"""How discovery is doing, as one immutable record that any thread may read without asking.

The record outlives the actor: it stands on a :class:`StatusBoard` that the composition root makes,
so readiness has an answer while the actor is being restarted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from typing import Any, Final

from discovery.reconcile import AppliedState

__all__ = ["MAX_LISTED", "DiscoveryStatus", "StatusBoard", "disconnected", "synced", "with_counts"]

MAX_LISTED: Final = 100
"""Quarantined entries that the status lists; ``quarantined_count`` counts them all."""


@dataclass(frozen=True, slots=True)
class DiscoveryStatus:
    """What ``/ready`` and ``/health`` say about one source."""

    source: str = "discovery"
    """The source's name, as in ``etcd``."""
    synced_once: bool = False
    """Whether a complete snapshot was ever seen; never goes back."""
    synced: bool = False
    """Whether changes arrive as they happen."""
    stale_since: float | None = None
    """Unix time in seconds since when the source is away; None while synced."""
    last_error: str | None = "not started"
    """Why it is not synced, safe to show; None while synced."""
    revision: int = 0
    """The source's revision up to which everything was applied."""
    lag: float = 0.0
    """Seconds between the arrival and the application of the change that was applied last."""
    waiting: int = 0
    """Changes that had arrived and were not applied yet when the last one was."""
    resyncs: int = 0
    """How often the source was away and came back."""
    repairs: int = 0
    """Changes that the source had missed and found by comparing; they point at a bug of etcd's."""
    entries: int = 0
    """Instances that were handed to the registry."""
    draining: int = 0
    """Instances that are announced and get no new request, because they are about to leave."""
    quarantined: Mapping[str, str] = field(default_factory=dict[str, str])
    """Key to reason, at most ``MAX_LISTED`` of them."""
    quarantined_count: int = 0
    """How many entries are in quarantine."""
    unknown_fields: Mapping[str, tuple[str, ...]] = field(
        default_factory=dict[str, tuple[str, ...]]
    )
    """Key to the fields of its value that are not known here, at most ``MAX_LISTED`` of them."""


def synced(status: DiscoveryStatus, revision: int, repaired: int = 0) -> DiscoveryStatus:
    """The status after the source said that everything up to ``revision`` was delivered."""
    came_back = status.synced_once and not status.synced
    return replace(
        status,
        synced_once=True,
        synced=True,
        stale_since=None,
        last_error=None,
        revision=revision,
        repairs=status.repairs + repaired,
        resyncs=status.resyncs + came_back,
    )


def disconnected(status: DiscoveryStatus, reason: str, now: float) -> DiscoveryStatus:
    """The status after the source went away, or still is: the first such moment stays."""
    since = now if status.stale_since is None else status.stale_since
    return replace(status, synced=False, stale_since=since, last_error=reason)


def with_counts(status: DiscoveryStatus, applied: AppliedState) -> DiscoveryStatus:
    """The status with the numbers and lists of ``applied``."""
    return replace(
        status,
        entries=len(applied.placed) - len(applied.draining),
        draining=len(applied.draining),
        quarantined=dict(islice(applied.quarantined.items(), MAX_LISTED)),
        quarantined_count=len(applied.quarantined),
        unknown_fields=dict(islice(applied.unknown.items(), MAX_LISTED)),
    )


class StatusBoard:
    """One attribute that one writer sets and any thread reads."""

    __slots__ = ("_status",)

    def __init__(self, source: str = "discovery") -> None:
        self._status = DiscoveryStatus(source=source)

    @property
    def status(self) -> DiscoveryStatus:
        """The latest record. One attribute load."""
        return self._status

    def show(self, status: DiscoveryStatus) -> None:
        """Replace the record. Called by the actor that owns the board only."""
        self._status = status

    def describe(self) -> dict[str, Any]:
        """The latest record as JSON-ready values, for ``/health``."""
        return asdict(self._status)
