"""The discovery actor: turns what a source delivers into messages to the registry.

Invariants: a bad value never removes a good entry; an outage removes nothing; what the registry
was given is known to the next incarnation (it is noted before it is sent), which sends it again
and drops what the source no longer holds. A registry that does not answer crashes this actor: it
is restarted with backoff and begins with a new snapshot.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any, Final, Protocol, assert_never

from actors.engines.contract import Engine
from actors.registry.messages import DropInstance, PutInstance
from actors.supervision import Backoff, Child
from actors.supervision.cancellation import CancellationToken
from discovery.engine_closer import GRACE, EngineCloser
from discovery.entry import Entry, Quarantined, decode
from discovery.ledger import Ledger, Placement, label_of
from discovery.loop_actor import LoopActor
from discovery.quarantine_log import QuarantineLog
from discovery.source import Deleted, Event, Put, Source, Stale, Synced
from discovery.status import MAX_LISTED, StatusBoard, lost, regained

__all__ = ["DiscoveryActor", "EngineFactory", "Registry", "discovery_child"]

_log = logging.getLogger("discovery.actor")

EngineFactory = Callable[[Entry], Engine]
"""Makes the engine for an entry, in microseconds and without I/O; what it raises quarantines it."""

REGISTRY_TIMEOUT: Final = 5.0
"""Seconds for the registry to answer; it takes microseconds, or a restart."""
HANG_AFTER: Final = 30.0
"""Seconds in one message after which the actor counts as hung."""


class Registry(Protocol):
    """The registry's address, as far as it is needed here."""

    def ask(self, message: Any, *, timeout: float) -> Any:
        """Send ``message`` and return its answer, or raise."""
        ...


class DiscoveryActor(LoopActor):
    """Keeps the registry equal to one source's good entries.

    ``board`` shows the status to everybody else. An engine that leaves is closed, if it can be,
    ``close_grace`` seconds after the registry let go of it, on another thread: its ``close`` should
    let requests in flight finish. A stop closes and drops nothing else, because the registry
    outlives this actor.
    """

    def __init__(
        self,
        source: Source,
        registry: Registry,
        make_engine: EngineFactory,
        *,
        root: str = "",
        board: StatusBoard | None = None,
        close_grace: float = GRACE,
    ) -> None:
        super().__init__()
        self._source: Final = source
        self._registry: Final = registry
        self._make_engine: Final = make_engine
        self._root: Final = root
        self._board: Final = board or StatusBoard(source.name)
        self._quarantine_log: Final = QuarantineLog(_log)
        self._closer: Final = EngineCloser(close_grace)
        self._ledger = Ledger()
        # What the previous incarnation knew and this one did not see yet; empty after a sync.
        self._unseen: set[bytes] = set()
        self._unseen_labels: set[str] = set()

    def on_start(self) -> None:
        """Take the predecessor's ledger over, then run the source."""
        inherited: Ledger | None = self.inherited
        ledger = inherited or Ledger()
        self._unseen = set(ledger.placed)
        self._unseen_labels = set(ledger.quarantined)
        for label, reason in ledger.quarantined.items():
            self._quarantine_log.remember(label, reason)
        self._commit(ledger)
        self._lose("starting")
        super().on_start()

    def halt(self) -> None:
        """End the loop, and the closing of engines after what is left of it."""
        super().halt()
        self._closer.stop()

    def run_loop(self, token: CancellationToken) -> None:
        """Run the source until told otherwise; its events come back through the mailbox."""
        self._source.run(self.tell_self, token)

    def on_event(self, event: Event) -> None:
        """Handle one event of the source."""
        match event:
            case Put():
                self._put(event)
            case Deleted():
                self._deleted(event)
            case Synced():
                self._synced(event)
            case Stale():
                self._lose(event.reason)
            case _:
                assert_never(event)  # crashes: whoever sent it has a bug

    def _put(self, event: Put) -> None:
        key = event.key
        entry = decode(key, event.value, self._root)
        self._unseen_labels.discard(label_of(key))
        if isinstance(entry, Quarantined):
            self._quarantine(key, entry.reason)
            return
        current = self._ledger.placed.get(key)
        if current is None or current.entry != entry:
            self._place_new(key, entry, current)
        elif key in self._unseen:
            self._place(key, current)
        elif label_of(key) in self._ledger.quarantined:
            self._commit(self._ledger.place(key, current))
        self._unseen.discard(key)

    def _place_new(self, key: bytes, entry: Entry, current: Placement | None) -> None:
        try:
            engine = self._make_engine(entry)
        except Exception as error:  # noqa: BLE001  # foreign code must not harm other entries
            self._quarantine(key, f"no engine can be made of it ({type(error).__name__})", error)
            return
        if self.token.cancelled:  # abandoned while the factory hung: a successor is at work
            self._closer.close_later(engine)
            return
        self._place(key, Placement(entry, engine))
        _log.info("instance %s", "replaced" if current else "added", extra=_facts(key, entry))
        if current is not None:
            self._closer.close_later(current.engine)

    def _place(self, key: bytes, placement: Placement) -> None:
        """Note the placement, then have the registry do it: the order that loses nothing."""
        self._commit(self._ledger.place(key, placement))
        entry = placement.entry
        self._ask(PutInstance(entry.kind, entry.name, entry.instance, placement.engine))

    def _deleted(self, event: Deleted) -> None:
        placement = self._ledger.placed.get(event.key)
        if placement is not None:
            entry = placement.entry
            self._ask(DropInstance(entry.kind, entry.name, entry.instance))
            _log.info("instance removed", extra=_facts(event.key, entry))
            self._closer.close_later(placement.engine)
        self._unseen.discard(event.key)
        self._commit(self._ledger.remove(event.key))

    def _synced(self, event: Synced) -> None:
        for key in sorted(self._unseen):
            self._deleted(Deleted(key))
        if self._unseen_labels:
            self._commit(self._ledger.pardon(self._unseen_labels))
            self._unseen_labels = set()
        self._board.show(regained(self._board.status, event.revision))

    def _lose(self, reason: str) -> None:
        self._board.show(lost(self._board.status, reason, time.time()))

    def _quarantine(self, key: bytes, reason: str, error: Exception | None = None) -> None:
        self._unseen.discard(key)
        label = label_of(key)
        if self._ledger.quarantined.get(label) == reason:
            return
        self._commit(self._ledger.quarantine(key, reason))
        self._quarantine_log.say(label, reason, len(self._ledger.quarantined), error)

    def _commit(self, ledger: Ledger) -> None:
        """Make ``ledger`` the state: for the next incarnation and on the board."""
        self._ledger = ledger
        self.publish(ledger)
        status = replace(
            self._board.status,
            entries=len(ledger.placed),
            quarantined=dict(islice(ledger.quarantined.items(), MAX_LISTED)),
            quarantined_count=len(ledger.quarantined),
        )
        self._board.show(status)

    def _ask(self, message: PutInstance | DropInstance) -> None:
        self._registry.ask(message, timeout=REGISTRY_TIMEOUT)


def discovery_child(
    source: Source,
    registry: Registry,
    make_engine: EngineFactory,
    *,
    root: str = "",
    board: StatusBoard | None = None,
    close_grace: float = GRACE,
    id: str = "discovery",  # noqa: A002  # what Child calls it
) -> Child:
    """The actor as a child for a supervisor: restarted for ever, after 0.2 to 5 s, ledger kept."""
    start = partial(
        DiscoveryActor.start,
        source,
        registry,
        make_engine,
        root=root,
        board=board,
        close_grace=close_grace,
    )
    return Child(
        id,
        start,
        backoff=Backoff(first=0.2, cap=5.0),
        hang_after=HANG_AFTER,
        hand_over=True,
    )


def _facts(key: bytes, entry: Entry) -> dict[str, str]:
    return {
        "entry_key": label_of(key),
        "model": entry.name,
        "kind": str(entry.kind),
        "instance": entry.instance,
    }
