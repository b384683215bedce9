"""A source in this process: for programs that announce models by hand, and for tests."""

from __future__ import annotations

import queue
import threading
from typing import Final

from actors.supervision.cancellation import CancellationToken
from discovery.codec import key_of, label_of
from discovery.entry import Entry
from discovery.source import Deliver, Event, Put, Removed, Stale, Synced, Unusable

__all__ = ["MemorySource"]


class MemorySource:
    """Entries in a dictionary; every change is delivered to each run in progress.

    Every method may be called from any thread. ``interrupt`` and ``restore`` play an outage.
    """

    def __init__(self, name: str = "memory") -> None:
        self._name: Final = name
        self._lock: Final = threading.Lock()
        self._content: dict[str, Put | Unusable] = {}
        self._revision = 0
        self._outage: str | None = None
        self._runs: set[_Run] = set()

    @property
    def name(self) -> str:
        """What the source is called in logs."""
        return self._name

    def put(self, entry: Entry) -> str:
        """Announce ``entry``, or replace it; returns its id, as :meth:`remove` takes it."""
        event = Put(label_of(key_of(entry)), entry)
        self.apply(event)
        return event.id

    def remove(self, id: str) -> None:  # noqa: A002  # what events call it
        """Withdraw what is announced under ``id``; an unknown one is ignored."""
        self.apply(Removed(id))

    def apply(self, event: Put | Removed | Unusable) -> None:
        """Announce or withdraw under an id of one's own."""
        with self._lock:
            if isinstance(event, Removed):
                if self._content.pop(event.id, None) is None:
                    return
            else:
                self._content[event.id] = event
            self._changed(event)

    def interrupt(self, reason: str) -> None:
        """Be away from now on: runs get ``Stale(reason)`` and then nothing until ``restore``."""
        with self._lock:
            self._outage = reason
            for run in self._runs:
                run.inbox.put(Stale(reason))

    def restore(self) -> None:
        """Be back: runs get what changed meanwhile, then ``Synced``."""
        with self._lock:
            self._outage = None
            for run in self._runs:
                run.catch_up(self._content, self._revision)

    def run(self, deliver: Deliver, token: CancellationToken) -> None:
        """Deliver the content, then every change, until ``token`` is cancelled."""
        run = _Run()
        with self._lock:
            self._runs.add(run)
            if self._outage is None:
                run.catch_up(self._content, self._revision)
            else:
                run.inbox.put(Stale(self._outage))
        try:
            with token.on_cancel(lambda: run.inbox.put(None)):
                while (event := run.inbox.get()) is not None and not token.cancelled:
                    deliver(event)
        finally:
            with self._lock:
                self._runs.discard(run)

    def _changed(self, event: Put | Removed | Unusable) -> None:
        self._revision += 1
        if self._outage is None:
            for run in self._runs:
                run.pass_on(event, self._revision)


class _Run:
    """What one run has received, and what waits for it. Guarded by the source's lock."""

    def __init__(self) -> None:
        self.inbox: Final[queue.SimpleQueue[Event | None]] = queue.SimpleQueue()
        self._known: dict[str, Put | Unusable] = {}

    def pass_on(self, event: Put | Removed | Unusable, revision: int) -> None:
        """Pass on one change."""
        if isinstance(event, Removed):
            self._known.pop(event.id, None)
        else:
            self._known[event.id] = event
        self.inbox.put(event)
        self.inbox.put(Synced(revision))

    def catch_up(self, content: dict[str, Put | Unusable], revision: int) -> None:
        """Pass on the difference between what was received and ``content``."""
        for gone in [known for known in self._known if known not in content]:
            self.inbox.put(Removed(gone))
        for key, event in content.items():
            if self._known.get(key) != event:
                self.inbox.put(event)
        self._known = dict(content)
        self.inbox.put(Synced(revision))
