"""Writes log lines on a thread of its own, so that whoever logs never waits for who reads.

A pipe that nobody reads blocks its writer. On the request path that would stop every answer: here
lines wait in memory instead, the newest are dropped past a bound, and their number is told later.
"""

from __future__ import annotations

import atexit
import logging
import threading
from collections import deque
from typing import Final

__all__ = ["BackgroundHandler"]

MOST_LINES: Final = 65_536
"""Lines that wait at most; some 20 MB."""

EXIT_SECONDS: Final = 1.0
"""How long the end of the process waits for the last lines."""


class BackgroundHandler(logging.Handler):
    """Hands records to ``target`` on a daemon thread. Any thread may log; none waits."""

    def __init__(self, target: logging.Handler, most: int = MOST_LINES) -> None:
        super().__init__()
        self.dropped = 0
        """Records that were dropped and not told of yet."""
        self._target = target
        self._most = most
        self._records: deque[logging.LogRecord] = deque()
        self._waiting = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        threading.Thread(target=self._run, name="log", daemon=True).start()
        atexit.register(self.drain, EXIT_SECONDS)

    def emit(self, record: logging.LogRecord) -> None:
        """Take ``record``, or count it as dropped."""
        if len(self._records) >= self._most:
            self.dropped += 1
            return
        self._records.append(record)
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
                self._target.handle(self._records.popleft())
            if self.dropped:
                dropped, self.dropped = self.dropped, 0
                self._target.handle(_told(dropped))
            if not self._records:
                self._idle.set()


def _told(dropped: int) -> logging.LogRecord:
    record = logging.LogRecord(
        "actors.logs", logging.WARNING, __file__, 0, "log lines were dropped", (), None
    )
    record.__dict__["count"] = dropped
    return record
