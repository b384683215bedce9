"""The discovery actor: turns what a source delivers into messages to the registry.

Invariants: a bad value never removes a good entry; an outage removes nothing; what the registry
was given is known to the next incarnation (it is noted before it is sent), which sends it again
and drops what the source no longer holds. A registry that does not answer crashes this actor: it
is restarted with backoff and begins with a new snapshot.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from functools import partial
from typing import Any, Final, Protocol

from actors.supervision import Backoff, Child
from actors.supervision.cancellation import CancellationToken
from discovery.batch import Announce, Batch, Change, EngineFactory, Unseen, put_instance
from discovery.engine_closer import GRACE, EngineCloser
from discovery.inbox import EventInbox
from discovery.ledger import Ledger, label_of
from discovery.loop_actor import LoopActor
from discovery.quarantine_log import QuarantineLog
from discovery.source import Source, Synced
from discovery.status import StatusBoard, counted, lost, regained

__all__ = ["DiscoveryActor", "EngineFactory", "Registry", "discovery_child"]

_log = logging.getLogger("discovery.actor")

REGISTRY_TIMEOUT: Final = 5.0
"""Seconds for the registry to answer; it takes microseconds, or a restart."""
HANG_AFTER: Final = 30.0
"""Seconds in one message after which the actor counts as hung."""
MOST: Final = 100
"""Events of one batch: far from ``HANG_AFTER`` even if each engine takes 0.1 s (a TLS context)."""
MAX_LINES: Final = 20
"""Changes of one batch that get a line each in the log; more are summed up in one."""
_WAKE: Final = "events wait"


class Registry(Protocol):
    """The registry's address, as far as it is needed here."""

    def ask(self, message: Any, *, timeout: float) -> Any:
        """Send ``message`` and return its answer, or raise."""
        ...


class DiscoveryActor(LoopActor):
    """Keeps the registry equal to one source's good entries, those that drain marked as such.

    ``board`` shows the status to everybody else. An engine that leaves is closed, if it can be,
    ``close_grace`` seconds after the registry let go of it, on another thread: its ``close`` should
    let requests in flight finish. A stop closes and drops nothing else, because the registry
    outlives this actor. ``origin`` keeps the instances of several sources apart; ``announce``
    makes the registry's message for an instance.
    """

    def __init__(
        self,
        source: Source,
        registry: Registry,
        make_engine: EngineFactory,
        *,
        root: str = "",
        origin: str = "",
        announce: Announce = put_instance,
        board: StatusBoard | None = None,
        close_grace: float = GRACE,
    ) -> None:
        super().__init__()
        self._source: Final = source
        self._registry: Final = registry
        self._new_batch: Final = partial(
            Batch, make_engine=make_engine, root=root, origin=origin, announce=announce
        )
        self._board: Final = board or StatusBoard(source.name)
        self._quarantine_log: Final = QuarantineLog(_log)
        self._closer: Final = EngineCloser(close_grace)
        self._inbox: Final = EventInbox(lambda: self.tell_self(_WAKE))
        self._ledger = Ledger()
        self._unseen = Unseen()

    def on_start(self) -> None:
        """Take the predecessor's ledger over, then run the source."""
        inherited: Ledger | None = self.restored_state
        self._ledger = inherited or Ledger()
        self._unseen = Unseen(set(self._ledger.placed), set(self._ledger.quarantined))
        for label, reason in self._ledger.quarantined.items():
            self._quarantine_log.remember(label, reason)
        status = counted(self._board.status, self._ledger)
        self._board.show(lost(status, "starting", time.time()))
        super().on_start()

    def halt(self) -> None:
        """End the loop, and the closing of engines after what is left of it."""
        super().halt()
        self._closer.stop()

    def run_loop(self, token: CancellationToken) -> None:
        """Run the source until told otherwise; its events come back through the mailbox."""
        self._source.run(lambda event: self._inbox.add(event, token), token)

    def on_event(self, event: Any) -> None:
        """Apply what waits. Raises ``TypeError`` for anything but the loop's own word."""
        if event is not _WAKE:
            raise TypeError(f"the discovery actor was sent {type(event).__name__}")
        taken = self._inbox.take(MOST)
        batch = self._new_batch(self._ledger, self._unseen)
        for each in taken.events:
            batch.take(each)
            if self.token.cancelled:  # abandoned while the factory hung: a successor is at work
                for engine in batch.made:
                    self._closer.close_later(engine)
                return
        self._apply(batch, taken.since)

    def _apply(self, batch: Batch, since: float) -> None:
        """Note, send, settle; see :mod:`discovery.batch`."""
        noted, settled = batch.outcome()
        self._note(noted)
        for problem in batch.problems:
            self._quarantine_log.say(problem.label, problem.reason, problem.count, problem.error)
        for message in batch.messages:
            self._registry.ask(message, timeout=REGISTRY_TIMEOUT)
        self._note(settled)
        _tell(batch.changes)
        for engine in batch.leaving:
            self._closer.close_later(engine)
        self._show(batch, since)

    def _note(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.save_state(ledger)

    def _show(self, batch: Batch, since: float) -> None:
        status = counted(self._board.status, self._ledger)
        for state in batch.states:
            if isinstance(state, Synced):
                status = regained(status, state.revision, state.repaired)
            else:
                status = lost(status, state.reason, time.time())
        lag = time.monotonic() - since
        self._board.show(replace(status, lag=lag, waiting=len(self._inbox)))


def discovery_child(
    source: Source,
    registry: Registry,
    make_engine: EngineFactory,
    *,
    root: str = "",
    origin: str = "",
    announce: Announce = put_instance,
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
        origin=origin,
        announce=announce,
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


def _tell(changes: list[Change]) -> None:
    """A line for each change; for a crowd (a snapshot) one line."""
    if len(changes) > MAX_LINES:
        counts: dict[str, int] = {}
        for change in changes:
            counts[change.what] = counts.get(change.what, 0) + 1
        _log.info("%d instances changed", len(changes), extra=counts)
        return
    for change in changes:
        _log.info("instance %s", change.what, extra=_facts(change))


def _facts(change: Change) -> dict[str, str]:
    return {
        "entry_key": label_of(change.key),
        "model": change.entry.name,
        "kind": str(change.entry.kind),
        "instance": change.entry.instance,
    }
