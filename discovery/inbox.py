"""Where a source's events wait for the actor, which takes as many at a time as there are.

Under load the batches grow by themselves, and what costs a batch once (a copy of the ledger, a
status, a log line) costs each change less. At rest an event is taken alone and at once.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from actors.supervision.cancellation import CancellationToken
from discovery.source import Event

__all__ = ["EventInbox", "Taken"]

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
