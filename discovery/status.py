"""How discovery is doing, as one immutable record that any thread may read without asking.

The record outlives the actor: it stands on a :class:`StatusBoard` that the composition root makes,
so readiness has an answer while the actor is being restarted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

__all__ = ["MAX_LISTED", "DiscoveryStatus", "StatusBoard", "lost", "regained"]

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
    entries: int = 0
    """Instances that were handed to the registry."""
    quarantined: Mapping[str, str] = field(default_factory=dict[str, str])
    """Key to reason, at most ``MAX_LISTED`` of them."""
    quarantined_count: int = 0
    """How many entries are in quarantine."""


def regained(status: DiscoveryStatus, revision: int) -> DiscoveryStatus:
    """The status after the source said that everything up to ``revision`` was delivered."""
    return replace(
        status,
        synced_once=True,
        synced=True,
        stale_since=None,
        last_error=None,
        revision=revision,
    )


def lost(status: DiscoveryStatus, reason: str, now: float) -> DiscoveryStatus:
    """The status after the source went away, or still is: the first such moment stays."""
    since = now if status.stale_since is None else status.stale_since
    return replace(status, synced=False, stale_since=since, last_error=reason)


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
        status = self._status
        return {
            "source": status.source,
            "synced_once": status.synced_once,
            "synced": status.synced,
            "stale_since": status.stale_since,
            "last_error": status.last_error,
            "revision": status.revision,
            "entries": status.entries,
            "quarantined": dict(status.quarantined),
            "quarantined_count": status.quarantined_count,
        }
