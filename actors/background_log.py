"""Writes log lines on a thread of its own, so that whoever logs never waits for who reads.

A pipe that nobody reads blocks its writer. On the request path that would stop every answer: here
lines wait in memory instead, the newest are dropped past a bound of number or size, and their
number is told later.
"""

from __future__ import annotations

import atexit
import logging
import threading
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, cast

__all__ = ["BackgroundHandler"]

MOST_LINES: Final = 65_536
"""Lines that wait at most."""

MOST_BYTES: Final = 32 * 1024 * 1024
"""Characters that wait at most, in all lines together."""

BASE_BYTES: Final = 512
"""What a record takes beside its texts."""

EXIT_SECONDS: Final = 1.0
"""How long the end of the process waits for the last lines."""


class BackgroundHandler(logging.Handler):
    """Hands records to ``target`` on a daemon thread. Any thread may log; none waits."""

    def __init__(
        self, target: logging.Handler, most: int = MOST_LINES, most_bytes: int = MOST_BYTES
    ) -> None:
        super().__init__()
        self.dropped = 0
        """Records that were dropped and not told of yet."""
        self._target = target
        self._most = most
        self._most_bytes = most_bytes
        # Only the log's thread lowers it, and each emit holds the handler's lock.
        self._taken = self._written = 0
        self._records: deque[tuple[logging.LogRecord, int]] = deque()
        self._waiting = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        threading.Thread(target=self._run, name="log", daemon=True).start()
        atexit.register(self.drain, EXIT_SECONDS)

    def emit(self, record: logging.LogRecord) -> None:
        """Take ``record``, or count it as dropped."""
        size = size_of(record)
        waiting = self._taken - self._written
        if len(self._records) >= self._most or (waiting and waiting + size > self._most_bytes):
            self.dropped += 1
            return
        self._taken += size
        self._records.append((record, size))
        self._idle.clear()
        self._waiting.set()

    def drain(self, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds until all is written; tell whether it is."""
        return self._idle.wait(timeout)

    def _run(self) -> None:
        while True:
            self._waiting.wait()
            self._waiting.clear()
            while self._records:
                record, size = self._records.popleft()
                self._target.handle(record)
                self._written += size
            if self.dropped:
                dropped, self.dropped = self.dropped, 0
                self._target.handle(_told(dropped))
            if not self._records:
                self._idle.set()


def size_of(record: logging.LogRecord) -> int:
    """About how many bytes ``record`` takes while it waits: its texts, one level deep."""
    values: list[Any] = [*record.__dict__.values()]
    for value in [*values]:
        if isinstance(value, list | tuple):
            values += cast("Sequence[Any]", value)
    return BASE_BYTES + sum(len(each) for each in values if isinstance(each, str | bytes))


def _told(dropped: int) -> logging.LogRecord:
    record = logging.LogRecord(
        "actors.logs", logging.WARNING, __file__, 0, "log lines were dropped", (), None
    )
    record.__dict__["count"] = dropped
    return record
