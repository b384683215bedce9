"""What the discovery actor remembers: which key put what, and which keys are in quarantine. Pure.

An :class:`AppliedState` is immutable, so that it can be handed to the next incarnation as it is;
an :class:`AppliedStateBuilder` applies a batch of changes to a copy. PERF: it copies plain
dictionaries once a batch (C speed, 0.1 ms at 10,000 entries), however many changes there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from actors.engines.contract import Engine
from discovery.entry import Entry

__all__ = ["AppliedState", "AppliedStateBuilder", "Placement"]


@dataclass(frozen=True, slots=True)
class Placement:
    """What one key put into the registry."""

    entry: Entry
    engine: Engine

    @property
    def serving(self) -> bool:
        """Whether it gets new requests."""
        return self.entry.state == "serving"


@dataclass(frozen=True, slots=True)
class AppliedState:
    """Placements and reasons by id. An id may be in both: its last good entry serves."""

    placed: Mapping[str, Placement] = field(default_factory=dict[str, Placement])
    quarantined: Mapping[str, str] = field(default_factory=dict[str, str])
    draining: frozenset[str] = frozenset()
    """Keys of the placements that get no new request."""
    unknown: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """Id to the fields of its value that this version does not know."""

    def builder(self) -> AppliedStateBuilder:
        """A changeable copy."""
        return AppliedStateBuilder(
            dict(self.placed), dict(self.quarantined), set(self.draining), dict(self.unknown)
        )


@dataclass(slots=True)
class AppliedStateBuilder:
    """A state in the making; :meth:`freeze` ends it."""

    placed: dict[str, Placement]
    quarantined: dict[str, str]
    draining: set[str]
    unknown: dict[str, tuple[str, ...]]

    def place(self, key: str, placement: Placement) -> None:
        """``placement`` is announced under ``key``, which leaves the quarantine."""
        self.placed[key] = placement
        self.quarantined.pop(key, None)
        (self.draining.discard if placement.serving else self.draining.add)(key)
        self.unknown.pop(key, None)
        if placement.entry.unknown:
            self.unknown[key] = placement.entry.unknown

    def remove(self, key: str) -> None:
        """The placement of ``key`` is gone; its quarantine, if there is one, stays."""
        self.placed.pop(key, None)
        self.draining.discard(key)
        self.unknown.pop(key, None)

    def quarantine(self, key: str, reason: str) -> None:
        """What stands under ``key`` is unusable; its placement, if there is one, stays."""
        self.quarantined[key] = reason

    def clear(self, key: str) -> None:
        """``key`` leaves the quarantine."""
        self.quarantined.pop(key, None)

    def freeze(self) -> AppliedState:
        """The state; do not use this builder afterwards."""
        return AppliedState(self.placed, self.quarantined, frozenset(self.draining), self.unknown)
