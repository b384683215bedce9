"""Compares events with the applied state: what to save, what to send, what to log. Pure.

Only the engine factory is foreign; what it raises quarantines its entry and harms no other.

The order that loses nothing: save every new placement (``intent``), have the registry do it
(``messages``), then save what is gone (``committed``). A crash in between leaves a state that holds
too much, and the next incarnation drops what the source does not hold.

An :class:`AppliedState` is what the discovery actor remembers: which key put what, and which keys
are in quarantine. It is immutable, so that it can be handed to the next incarnation as it is;
an :class:`AppliedStateBuilder` applies a batch of changes to a copy. PERF: it copies plain
dictionaries once a batch (C speed, 0.1 ms at 10,000 entries), however many changes there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, assert_never

from actors.engines.contract import Engine
from actors.registry.messages import DropInstance, PutInstance
from discovery.entry import Entry, instance_spec, model_spec
from discovery.source import EntryUnusable, Event, Put, Removed, Stale, Synced, Unusable

__all__ = [
    "Announce",
    "AppliedState",
    "AppliedStateBuilder",
    "Change",
    "EngineFactory",
    "Placement",
    "Problem",
    "Reconciler",
    "Unconfirmed",
    "put_instance",
]


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


EngineFactory = Callable[[Entry], Engine]
"""Makes the engine for an entry, in microseconds and without I/O; what it raises quarantines it."""
Announce = Callable[[Entry, str, Engine], Any]
"""The registry's message that adds or replaces an instance: entry, instance name, engine."""


def put_instance(entry: Entry, instance: str, engine: Engine) -> PutInstance:
    """The instance with all that its entry says of it, and of its model."""
    return PutInstance(
        entry.kind, entry.name, instance, engine, instance_spec(entry), model_spec(entry)
    )


@dataclass(slots=True)
class Unconfirmed:
    """Ids of the previous incarnation that the source has not confirmed yet; empty after a sync."""

    placed: set[str] = field(default_factory=set[str])
    quarantined: set[str] = field(default_factory=set[str])


@dataclass(frozen=True, slots=True)
class Change:
    """An instance came, changed or went, for the log."""

    what: str
    key: str
    entry: Entry


@dataclass(frozen=True, slots=True)
class Problem:
    """Something new in quarantine, for the log; ``count`` things are in quarantine with it."""

    key: str
    reason: str
    count: int
    error: Exception | None = None


class Reconciler:
    """Takes events one after the other; the attributes tell the outcome so far."""

    def __init__(
        self,
        applied: AppliedState,
        unconfirmed: Unconfirmed,
        make_engine: EngineFactory,
        *,
        origin: str = "",
        announce: Announce = put_instance,
    ) -> None:
        self._builder: Final = applied.builder()
        self._gone: Final[set[str]] = set()  # removed, still in the builder
        self._unconfirmed: Final = unconfirmed
        self._make_engine: Final = make_engine
        self._origin: Final = origin
        self._announce: Final = announce
        self.messages: Final[list[Any]] = []
        self.leaving: Final[list[Engine]] = []
        self.made: Final[list[Engine]] = []
        self.changes: Final[list[Change]] = []
        self.problems: Final[list[Problem]] = []
        self.states: Final[list[Synced | Stale]] = []

    def take(self, event: Event) -> None:
        """Work one event out."""
        match event:
            case Put():
                self._put(event)
            case Removed():
                self._remove(event.id)
            case Unusable():
                self._unusable(event)
            case Synced():
                self._sweep()
                self.states.append(event)
            case Stale():
                self.states.append(event)
            case _:
                assert_never(event)

    def outcome(self) -> tuple[AppliedState, AppliedState]:
        """``intent`` and ``committed``; take no more events after this."""
        intent = self._builder.freeze()
        if not self._gone:
            return intent, intent
        rest = intent.builder()
        for key in self._gone:
            rest.remove(key)
        return intent, rest.freeze()

    def _current(self, key: str) -> Placement | None:
        return None if key in self._gone else self._builder.placed.get(key)

    def _put(self, event: Put) -> None:
        self._unconfirmed.quarantined.discard(event.id)
        self._put_entry(event.id, event.entry)
        self._unconfirmed.placed.discard(event.id)

    def _put_entry(self, key: str, entry: Entry) -> None:
        current = self._current(key)
        if current is not None and current.entry == entry:
            # Also when nothing is new: the key may have been in quarantine, its unknown fields may
            # differ, and a successor's registry has to hear of it.
            self._place(
                key, Placement(entry, current.engine), again=key in self._unconfirmed.placed
            )
            return
        if current is not None and replace(current.entry, state=entry.state) == entry:
            engine = current.engine  # it only begins to drain, or serves again
        else:
            made = self._make(key, entry)
            if made is None:
                return
            engine = made
            if current is not None and _same_instance(current.entry, entry):
                self.leaving.append(current.engine)
            elif current is not None:
                self._remove(key)
        self._place(key, Placement(entry, engine), again=True)
        what = "draining" if entry.state == "draining" else "replaced" if current else "added"
        self.changes.append(Change(what, key, entry))

    def _make(self, key: str, entry: Entry) -> Engine | None:
        try:
            engine = self._make_engine(entry)
        except EntryUnusable as error:
            self._quarantine(key, str(error))
            return None
        except Exception as error:  # noqa: BLE001  # foreign code must not harm other entries
            reason = f"no engine can be made of it ({type(error).__name__})"
            self._quarantine(key, reason, error)
            return None
        self.made.append(engine)
        return engine

    def _place(self, key: str, placement: Placement, *, again: bool) -> None:
        self._builder.place(key, placement)
        self._gone.discard(key)
        if again:
            name = self._instance(placement.entry)
            self.messages.append(self._announce(placement.entry, name, placement.engine))

    def _remove(self, key: str) -> None:
        current = self._current(key)
        self._unconfirmed.placed.discard(key)
        self._unconfirmed.quarantined.discard(key)
        self._builder.clear(key)
        if current is None:
            return
        entry = current.entry
        self.messages.append(DropInstance(entry.kind, entry.name, self._instance(entry)))
        self.leaving.append(current.engine)
        self._gone.add(key)
        self.changes.append(Change("removed", key, entry))

    def _instance(self, entry: Entry) -> str:
        # An announced name holds no "#", so the same name from two sources stays two instances.
        return f"{self._origin}#{entry.instance}" if self._origin else entry.instance

    def _unusable(self, event: Unusable) -> None:
        self._unconfirmed.quarantined.discard(event.id)
        self._unconfirmed.placed.discard(event.id)
        if event.reason is None:
            self._builder.clear(event.id)
        else:
            self._quarantine(event.id, event.reason)

    def _sweep(self) -> None:
        """The source said everything: what the predecessor knew beyond that is gone."""
        for key in sorted(self._unconfirmed.placed):
            self._remove(key)
        for key in self._unconfirmed.quarantined:
            self._builder.clear(key)
        self._unconfirmed.quarantined.clear()

    def _quarantine(self, key: str, reason: str, error: Exception | None = None) -> None:
        if self._builder.quarantined.get(key) == reason:
            return
        self._builder.quarantine(key, reason)
        self.problems.append(Problem(key, reason, len(self._builder.quarantined), error))


def _same_instance(one: Entry, other: Entry) -> bool:
    return (one.kind, one.name, one.instance) == (other.kind, other.name, other.instance)
