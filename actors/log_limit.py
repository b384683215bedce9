"""Bounds how many lines of one kind a logger writes in a minute: a crowd's trouble is one line."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

__all__ = ["LinesPerMinute"]

MINUTE: Final = 60.0
"""Seconds."""
MOST_KINDS: Final = 256
"""Kinds of lines that are counted; they are literals of this program, some dozens."""


class LinesPerMinute(logging.Filter):
    """Lets ``most`` records of each message pass in a minute; the first of the rest says so.

    A message is what was given to the log call, before its arguments are put in. The first record
    of a later minute carries, as ``left_out``, how many were left out before it. Any thread.
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._most: Final = most
        self._clock: Final = clock
        self._seen: dict[str, tuple[float, int]] = {}  # since when, and how many

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether ``record`` is written; the last one of a minute gets another text."""
        now, kind = self._clock(), str(record.msg)
        since, count = self._seen.get(kind, (now, 0))
        if now - since >= MINUTE:
            if count > self._most:
                record.left_out = count - self._most
            since, count = now, 0
        if len(self._seen) >= MOST_KINDS:
            self._seen.clear()
        self._seen[kind] = since, count + 1
        if count == self._most:
            record.msg, record.args = (
                "more lines like the last are left out for a minute: %s",
                (kind,),
            )
            record.exc_info = None
        return count <= self._most
