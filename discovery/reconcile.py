"""Compares events with the applied state: what to save, what to send, what to log. Pure.

Only the engine factory is foreign; what it raises quarantines its entry and harms no other.

The order that loses nothing: save every new placement (``intent``), have the registry do it
(``messages``), then save what is gone (``committed``). A crash in between leaves a state that holds
too much, and the next incarnation drops what the source does not hold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final, assert_never

from actors.engines.contract import Engine
from actors.registry.messages import DropInstance, PutInstance
from discovery.applied_state import AppliedState, Placement, label_of
from discovery.codec import decode
from discovery.entry import Entry, Quarantined, instance_spec, model_spec
from discovery.errors import EntryUnusable
from discovery.source import Deleted, Event, Put, Stale, Synced, Trouble

__all__ = [
    "Announce",
    "Change",
    "EngineFactory",
    "Problem",
    "Reconciler",
    "Unconfirmed",
    "put_instance",
]

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
    """What the previous incarnation knew and this one has not heard of yet; empty after a sync."""

    keys: set[bytes] = field(default_factory=set[bytes])
    labels: set[str] = field(default_factory=set[str])


@dataclass(frozen=True, slots=True)
class Change:
    """An instance came, changed or went, for the log."""

    what: str
    key: bytes
    entry: Entry


@dataclass(frozen=True, slots=True)
class Problem:
    """Something new in quarantine, for the log; ``count`` things are in quarantine with it."""

    label: str
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
        root: str = "",
        origin: str = "",
        announce: Announce = put_instance,
    ) -> None:
        self._builder: Final = applied.builder()
        self._gone: Final[set[bytes]] = set()  # removed, still in the draft
        self._unconfirmed: Final = unconfirmed
        self._make_engine: Final = make_engine
        self._root: Final = root
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
            case Deleted():
                self._delete(event.key)
            case Trouble():
                self._trouble(event)
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

    def _current(self, key: bytes) -> Placement | None:
        return None if key in self._gone else self._builder.placed.get(key)

    def _put(self, event: Put) -> None:
        key = event.key
        entry = decode(key, event.value, self._root)
        self._unconfirmed.labels.discard(label_of(key))
        if isinstance(entry, Quarantined):
            self._quarantine(label_of(key), entry.reason)
        else:
            self._put_entry(key, entry)
        self._unconfirmed.keys.discard(key)

    def _put_entry(self, key: bytes, entry: Entry) -> None:
        current = self._current(key)
        if current is not None and current.entry == entry:
            # Also when nothing is new: the key may have been in quarantine, its unknown fields may
            # differ, and a successor's registry has to hear of it.
            self._place(key, Placement(entry, current.engine), again=key in self._unconfirmed.keys)
            return
        if current is not None and replace(current.entry, state=entry.state) == entry:
            engine = current.engine  # it only begins to drain, or serves again
        else:
            made = self._make(key, entry)
            if made is None:
                return
            engine = made
            if current is not None:
                self.leaving.append(current.engine)
        self._place(key, Placement(entry, engine), again=True)
        what = "draining" if entry.state == "draining" else "replaced" if current else "added"
        self.changes.append(Change(what, key, entry))

    def _make(self, key: bytes, entry: Entry) -> Engine | None:
        try:
            engine = self._make_engine(entry)
        except EntryUnusable as error:
            self._quarantine(label_of(key), str(error))
            return None
        except Exception as error:  # noqa: BLE001  # foreign code must not harm other entries
            reason = f"no engine can be made of it ({type(error).__name__})"
            self._quarantine(label_of(key), reason, error)
            return None
        self.made.append(engine)
        return engine

    def _place(self, key: bytes, placement: Placement, *, again: bool) -> None:
        self._builder.place(key, placement)
        self._gone.discard(key)
        if again:
            name = self._instance(placement.entry)
            self.messages.append(self._announce(placement.entry, name, placement.engine))

    def _delete(self, key: bytes) -> None:
        current = self._current(key)
        self._unconfirmed.keys.discard(key)
        self._unconfirmed.labels.discard(label_of(key))
        if current is None:
            self._builder.clear(label_of(key))
            return
        entry = current.entry
        self.messages.append(DropInstance(entry.kind, entry.name, self._instance(entry)))
        self.leaving.append(current.engine)
        self._gone.add(key)
        self._builder.clear(label_of(key))
        self.changes.append(Change("removed", key, entry))

    def _instance(self, entry: Entry) -> str:
        # An announced name holds no "#", so the same name from two sources stays two instances.
        return f"{self._origin}#{entry.instance}" if self._origin else entry.instance

    def _trouble(self, event: Trouble) -> None:
        label = label_of(event.where)
        self._unconfirmed.labels.discard(label)
        if event.reason is None:
            self._builder.clear(label)
        else:
            self._quarantine(label, event.reason)

    def _sweep(self) -> None:
        """The source said everything: what the predecessor knew beyond that is gone."""
        for key in sorted(self._unconfirmed.keys):
            self._delete(key)
        for label in self._unconfirmed.labels:
            self._builder.clear(label)
        self._unconfirmed.labels.clear()

    def _quarantine(self, label: str, reason: str, error: Exception | None = None) -> None:
        if self._builder.quarantined.get(label) == reason:
            return
        self._builder.quarantine(label, reason)
        self.problems.append(Problem(label, reason, len(self._builder.quarantined), error))
