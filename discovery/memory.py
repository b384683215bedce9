"""A source in this process: for tests, and for programs that announce models by hand."""

from __future__ import annotations

import queue
import threading
from typing import Final

from actors.supervision.cancellation import CancellationToken
from discovery.source import Deleted, Deliver, Event, Put, Stale, Synced

__all__ = ["MemorySource"]


class MemorySource:
    """Keys and values in a dictionary; every change is delivered to each run in progress.

    Every method may be called from any thread. ``interrupt`` and ``restore`` play an outage.
    """

    def __init__(self, name: str = "memory") -> None:
        self._name: Final = name
        self._lock: Final = threading.Lock()
        self._content: dict[bytes, bytes] = {}
        self._revision = 0
        self._outage: str | None = None
        self._runs: set[_Run] = set()

    @property
    def name(self) -> str:
        """What the source is called in logs."""
        return self._name

    def put(self, key: bytes, value: bytes) -> None:
        """Set ``key`` to ``value``."""
        with self._lock:
            self._content[key] = value
            self._changed(Put(key, value))

    def delete(self, key: bytes) -> None:
        """Remove ``key``; an unknown one is ignored."""
        with self._lock:
            if self._content.pop(key, None) is not None:
                self._changed(Deleted(key))

    def interrupt(self, reason: str) -> None:
        """Be away from now on: runs hear ``Stale(reason)`` and then nothing until ``restore``."""
        with self._lock:
            self._outage = reason
            for run in self._runs:
                run.inbox.put(Stale(reason))

    def restore(self) -> None:
        """Be back: runs hear what changed meanwhile, then ``Synced``."""
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

    def _changed(self, event: Put | Deleted) -> None:
        self._revision += 1
        if self._outage is None:
            for run in self._runs:
                run.tell(event, self._revision)


class _Run:
    """What one run was told so far, and what waits for it. Guarded by the source's lock."""

    def __init__(self) -> None:
        self.inbox: Final[queue.SimpleQueue[Event | None]] = queue.SimpleQueue()
        self._known: dict[bytes, bytes] = {}

    def tell(self, event: Put | Deleted, revision: int) -> None:
        """Pass on one change."""
        if isinstance(event, Put):
            self._known[event.key] = event.value
        else:
            self._known.pop(event.key, None)
        self.inbox.put(event)
        self.inbox.put(Synced(revision))

    def catch_up(self, content: dict[bytes, bytes], revision: int) -> None:
        """Pass on the difference between what was told and ``content``."""
        for key in [key for key in self._known if key not in content]:
            self.inbox.put(Deleted(key))
        for key, value in content.items():
            if self._known.get(key) != value:
                self.inbox.put(Put(key, value))
        self._known = dict(content)
        self.inbox.put(Synced(revision))
