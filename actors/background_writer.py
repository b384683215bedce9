"""Writes items on a thread of its own, so that a producer never waits for a slow reader.

A pipe that is not read blocks its writer. On the request path that would stop every response: here
items wait in memory instead, the newest are dropped past a bound of number or size, and how many
were dropped is reported once there is room again.

Not ``logging.handlers.QueueHandler``: its queue has no bound in bytes and does not count what it
drops, its listener can't write many lines at once, and it formats each record on the caller's
thread. Access lines are not log records at all.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

__all__ = ["BackgroundWriter"]

MAX_ITEMS: Final = 65_536
"""Items that wait at most."""

MAX_BYTES: Final = 32 * 1024 * 1024
"""How much waits at most, in what ``size_of`` counts."""

MAX_BATCH: Final = 1024
"""Items that are written together: what is being written counts towards no bound of number."""

EXIT_SECONDS: Final = 1.0
"""How long the end of the process waits for the last items."""

T = TypeVar("T")


class BackgroundWriter(Generic[T]):
    """A bounded queue and the daemon thread, called ``name``, that empties it.

    ``write`` gets the waiting items in order, each with the time at which it came. It may raise
    ``OSError``, which loses those items only, or ``ValueError``, as a closed stream does, which
    ends the thread. ``report_dropped`` gets the number of dropped items. ``size_of`` is for items
    of very different sizes; ``put`` must then be called by one thread at a time. An item waits
    ``batch_seconds`` for others, to be written together with them.
    """

    def __init__(
        self,
        name: str,
        write: Callable[[Sequence[tuple[T, float]]], object],
        report_dropped: Callable[[int], object],
        *,
        size_of: Callable[[T], int] | None = None,
        max_items: int = MAX_ITEMS,
        max_bytes: int = MAX_BYTES,
        batch_seconds: float = 0.0,
    ) -> None:
        self.dropped = 0
        """Items that were dropped and not reported yet."""
        self._write = write
        self._report_dropped = report_dropped
        self._size_of = size_of
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._batch_seconds = batch_seconds
        self._items: deque[tuple[T, float]] = deque()
        # put alone raises the one, the writer's thread the other: a difference needs no lock.
        self._bytes_taken = self._bytes_written = 0
        self._waiting = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._writing = threading.Lock()
        self._counting = threading.Lock()
        threading.Thread(target=self._run, name=name, daemon=True).start()
        atexit.register(self.drain, EXIT_SECONDS)

    def put(self, item: T) -> None:
        """Take ``item``, or count it as dropped. Any thread, but see ``size_of``."""
        if len(self._items) >= self._max_items or (
            self._size_of is not None and not self._has_room(self._size_of(item))
        ):
            with self._counting:
                self.dropped += 1
            return
        self._items.append((item, time.time()))
        if not self._waiting.is_set():
            self._idle.clear()  # before the thread wakes, which sets it again
            self._waiting.set()

    def drain(self, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds until all is written; returns whether it is."""
        return self._idle.wait(timeout)

    def flush(self) -> None:
        """Write what waits, on this thread. Idempotent. Raises what ``write`` raises."""
        with self._writing:
            while self._items:
                count = min(len(self._items), MAX_BATCH)
                batch = [self._items.popleft() for _ in range(count)]
                try:
                    self._write(batch)
                finally:
                    if self._size_of is not None:
                        self._bytes_written += sum(self._size_of(item) for item, _ in batch)
            with self._counting:
                dropped, self.dropped = self.dropped, 0
            if dropped:
                self._report_dropped(dropped)

    def _has_room(self, size: int) -> bool:
        """Whether ``size`` more fits; an item alone always does. Counts it if so."""
        waiting = self._bytes_taken - self._bytes_written
        if waiting and waiting + size > self._max_bytes:
            return False
        self._bytes_taken += size
        return True

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            self._waiting.wait()
            self._idle.clear()
            if self._batch_seconds:
                pause.wait(self._batch_seconds)
            self._waiting.clear()
            try:
                self.flush()
            except ValueError:  # the stream was closed
                return
            except OSError:  # a full disk, say; it may have room for what comes next
                pass
            self._idle.set()
            if self._items:  # one came meanwhile
                self._idle.clear()
