"""The discovery actor: turns what a source delivers into messages to the registry.

Invariants: a bad value never removes a good entry; an outage removes nothing; what the registry
was given is known to the next incarnation (the intent is saved before it is sent), which sends it
again and drops what the source no longer holds. A registry that does not answer crashes this actor:
it is restarted with backoff and begins with a new snapshot.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Protocol

from actors.engines.contract import Engine
from actors.supervision import Backoff, Child
from actors.supervision.cancellation import CancellationToken
from discovery.loop_actor import LoopActor
from discovery.reconcile import (
    Announce,
    AppliedState,
    Change,
    EngineFactory,
    Reconciler,
    Unconfirmed,
    put_instance,
)
from discovery.source import Event, Source, Synced
from discovery.status import StatusBoard, disconnected, synced, with_counts

__all__ = [
    "CLOSE_GRACE",
    "MAX_QUARANTINE_LINES",
    "DiscoveryActor",
    "EngineCloser",
    "EngineFactory",
    "EventInbox",
    "QuarantineLog",
    "Registry",
    "Taken",
    "discovery_child",
]

_log = logging.getLogger("discovery.actor")

REGISTRY_TIMEOUT: Final = 5.0
"""Seconds for the registry to answer; it takes microseconds, or a restart."""
HANG_AFTER: Final = 30.0
"""Seconds in one message after which the actor counts as hung."""
MAX_BATCH: Final = 100
"""Events in one batch: far from ``HANG_AFTER`` even at 0.1 s an engine (a TLS context)."""
MAX_CHANGE_LINES: Final = 20
"""Changes of one batch that get a log line each; more share one line."""
CLOSE_GRACE: Final = 1.0
"""Seconds between leaving the registry and the close: late requests may still start."""
_WAKE: Final = "events wait"


class Registry(Protocol):
    """The registry's address, with what is needed of it here."""

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
        origin: str = "",
        announce: Announce = put_instance,
        board: StatusBoard | None = None,
        close_grace: float = CLOSE_GRACE,
    ) -> None:
        super().__init__()
        self._source: Final = source
        self._registry: Final = registry
        self._new_reconciler: Final = partial(
            Reconciler, make_engine=make_engine, origin=origin, announce=announce
        )
        self._board: Final = board or StatusBoard(source.name)
        self._quarantine_log: Final = QuarantineLog(_log)
        self._closer: Final = EngineCloser(close_grace)
        self._inbox: Final = EventInbox(lambda: self.tell_self(_WAKE))
        self._applied = AppliedState()
        self._unconfirmed = Unconfirmed()

    def on_start(self) -> None:
        """Take over the predecessor's applied state, then run the source."""
        restored: AppliedState | None = self.restored_state
        self._applied = restored or AppliedState()
        self._unconfirmed = Unconfirmed(set(self._applied.placed), set(self._applied.quarantined))
        for label, reason in self._applied.quarantined.items():
            self._quarantine_log.remember(label, reason)
        status = with_counts(self._board.status, self._applied)
        self._board.show(disconnected(status, "starting", time.time()))
        super().on_start()

    def halt(self) -> None:
        """End the loop, and the closing of engines after what is left of it."""
        super().halt()
        self._closer.stop()

    def run_loop(self, token: CancellationToken) -> None:
        """Run the source until ``token`` is cancelled; its events return through the mailbox."""
        self._source.run(lambda event: self._inbox.add(event, token), token)

    def on_event(self, event: Any) -> None:
        """Apply what waits. Raises ``TypeError`` for anything but the loop's own word."""
        if event is not _WAKE:
            raise TypeError(f"the discovery actor was sent {type(event).__name__}")
        taken = self._inbox.take(MAX_BATCH)
        reconciler = self._new_reconciler(self._applied, self._unconfirmed)
        for taken_event in taken.events:
            reconciler.take(taken_event)
            if self.token.cancelled:  # abandoned while the factory hung: a successor is at work
                for engine in reconciler.made:
                    self._closer.close_later(engine)
                return
        self._apply(reconciler, taken.since)

    def _apply(self, reconciler: Reconciler, since: float) -> None:
        """Save the intent, send, commit; see :mod:`discovery.reconcile`."""
        intent, committed = reconciler.outcome()
        self._save(intent)
        for problem in reconciler.problems:
            self._quarantine_log.say(problem.key, problem.reason, problem.count, problem.error)
        for message in reconciler.messages:
            self._registry.ask(message, timeout=REGISTRY_TIMEOUT)
        self._save(committed)
        _tell(reconciler.changes)
        for engine in reconciler.leaving:
            self._closer.close_later(engine)
        self._show(reconciler, since)

    def _save(self, applied: AppliedState) -> None:
        self._applied = applied
        self.save_state(applied)

    def _show(self, reconciler: Reconciler, since: float) -> None:
        status = with_counts(self._board.status, self._applied)
        for state in reconciler.states:
            if isinstance(state, Synced):
                status = synced(status, state.revision, state.repaired)
            else:
                status = disconnected(status, state.reason, time.time())
        lag = time.monotonic() - since
        self._board.show(replace(status, lag=lag, waiting=len(self._inbox)))


def discovery_child(
    source: Source,
    registry: Registry,
    make_engine: EngineFactory,
    *,
    origin: str = "",
    announce: Announce = put_instance,
    board: StatusBoard | None = None,
    close_grace: float = CLOSE_GRACE,
    id: str = "discovery",  # noqa: A002  # what Child calls it
) -> Child:
    """The actor as a child for a supervisor: restarted after 0.2 to 5 s, with its applied state."""
    start = partial(
        DiscoveryActor.start,
        source,
        registry,
        make_engine,
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
    if len(changes) > MAX_CHANGE_LINES:
        counts: dict[str, int] = {}
        for change in changes:
            counts[change.what] = counts.get(change.what, 0) + 1
        _log.info("%d instances changed", len(changes), extra=counts)
        return
    for change in changes:
        _log.info("instance %s", change.what, extra=_facts(change))


def _facts(change: Change) -> dict[str, str]:
    return {
        "entry_key": change.key,
        "model": change.entry.name,
        "kind": str(change.entry.kind),
        "instance": change.entry.instance,
    }


MAX_WAITING: Final = 50_000
"""Events that may wait; the source is held up beyond that, and with it etcd's stream."""
LOOK_AGAIN: Final = 0.01
"""Seconds between two looks for room."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Some events, oldest first, and the moment when the oldest came (``time.monotonic()``)."""

    events: tuple[Event, ...]
    since: float


class EventInbox:
    """One thread adds, another takes. ``wake()`` is called once for each time it gets content.

    Invariant: while something waits, a call of ``wake`` is still to be answered by :meth:`take`.
    """

    def __init__(self, wake: Callable[[], object], limit: int = MAX_WAITING) -> None:
        self._wake: Final = wake
        self._limit: Final = limit
        self._events: Final[deque[tuple[float, Event]]] = deque()
        self._awake = False

    def __len__(self) -> int:
        return len(self._events)

    def add(self, event: Event, token: CancellationToken) -> None:
        """Append ``event``; waits for room until ``token`` is cancelled, and drops it then."""
        while len(self._events) >= self._limit:
            if token.wait(LOOK_AGAIN):
                return
        self._events.append((time.monotonic(), event))
        if not self._awake:
            self._awake = True
            self._wake()

    def take(self, most: int) -> Taken:
        """Up to ``most`` events, and a new call of ``wake`` if some are left."""
        # NOTE: lowered before the look: an event that comes meanwhile wakes once too often, and
        # never once too rarely.
        self._awake = False
        count = min(most, len(self._events))
        taken = [self._events.popleft() for _ in range(count)]
        if self._events and not self._awake:
            self._awake = True
            self._wake()
        since = taken[0][0] if taken else time.monotonic()
        return Taken(tuple(event for _, event in taken), since)


MAX_QUARANTINE_LINES: Final = 50
"""Entries in quarantine at the same time that get a line each; the others share one."""
MAX_REMEMBERED: Final = 1000
"""Pairs of key and reason that are remembered as said; the oldest are forgotten first."""


class QuarantineLog:
    """One line for each pair of key and reason, however often the value flaps."""

    def __init__(self, log: logging.Logger) -> None:
        self._log: Final = log
        self._said: dict[tuple[str, str], None] = {}
        self._overflow_said = False

    def remember(self, label: str, reason: str) -> None:
        """Take the pair as said: a previous incarnation did."""
        self._said[label, reason] = None
        if len(self._said) > MAX_REMEMBERED:
            del self._said[next(iter(self._said))]

    def say(self, label: str, reason: str, count: int, error: BaseException | None = None) -> None:
        """Log the pair unless that was done, with the traceback of ``error``.

        ``count`` entries are in quarantine now.
        """
        if (label, reason) in self._said:
            return
        if count > MAX_QUARANTINE_LINES:
            self._say_overflow()
            return
        self._overflow_said = False
        self.remember(label, reason)
        facts = {"entry_key": label, "reason": reason}
        self._log.warning("quarantined %s: %s", label, reason, exc_info=error, extra=facts)

    def _say_overflow(self) -> None:
        if not self._overflow_said:
            self._overflow_said = True
            self._log.warning(
                "more than %d entries are in quarantine; further ones are counted in /health only",
                MAX_QUARANTINE_LINES,
            )


class EngineCloser:
    """One thread that closes engines in the order in which they came, each after ``grace`` seconds.

    The thread starts with the first engine and is a daemon; every method returns at once.
    """

    def __init__(self, grace: float = CLOSE_GRACE) -> None:
        self._grace: Final = grace
        self._queue: Final[queue.SimpleQueue[tuple[float, Engine] | None]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def close_later(self, engine: Engine) -> None:
        """Close ``engine`` after the grace; nothing happens to one that has no ``close``."""
        if not hasattr(engine, "close"):
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="engine-closer", daemon=True)
            self._thread.start()
        self._queue.put((time.monotonic() + self._grace, engine))

    def stop(self) -> None:
        """No engine comes any more: end after the last one is closed. Does not wait for that."""
        self._queue.put(None)

    def _work(self) -> None:
        pause = threading.Event()  # never set: a wait that costs nothing
        while (job := self._queue.get()) is not None:
            due, engine = job
            pause.wait(max(0.0, due - time.monotonic()))
            _close(engine)


def _close(engine: Engine) -> None:
    try:
        engine.close()  # type: ignore[attr-defined]  # the contract leaves it out; checked above
    except Exception:  # noqa: BLE001  # foreign code; the engine is gone either way
        _log.exception("engine.close() raised; engine discarded")
