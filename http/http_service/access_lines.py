"""Access lines for a busy service: formatted at once, written together.

Lines look like those of the other loggers (``actors.logs``). They are written by a thread of their
own, a twentieth of a second later at most: one system call for all that came meanwhile.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections import deque
from datetime import UTC, datetime
from typing import Final, TextIO

import orjson

from http_service.access_log import LOGGER, AccessRecord

__all__ = ["AccessLines"]

FLUSH_SECONDS: Final = 0.05
"""How long a line may wait for others: too short for a person to notice."""


class AccessLines:
    """Writes records to ``stream`` as ``"text"`` or ``"json"`` lines. Any thread."""

    def __init__(self, stream: TextIO, log_format: str) -> None:
        self._stream = stream
        self._line = _json if log_format == "json" else _text
        self._lines: deque[str] = deque()
        self._waiting = threading.Event()
        self._writing = threading.Lock()
        threading.Thread(target=self._run, name="access-log", daemon=True).start()
        atexit.register(self.flush)

    def write(self, record: AccessRecord) -> None:
        """Take one record."""
        self._lines.append(self._line(record, time.time()))
        if not self._waiting.is_set():
            self._waiting.set()

    def flush(self) -> None:
        """Write what waits, now. Idempotent."""
        with self._writing:
            lines = [self._lines.popleft() for _ in range(len(self._lines))]
            if lines:
                self._stream.write("".join(lines))
                self._stream.flush()

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            self._waiting.wait()
            pause.wait(FLUSH_SECONDS)
            self._waiting.clear()
            try:
                self.flush()
            except (OSError, ValueError):  # the stream was closed: nobody reads, nobody to tell
                return


def _json(record: AccessRecord, now: float) -> str:
    fields = record.fields()
    fields["message"] = record.message
    fields["level"] = logging.getLevelName(record.level).lower()
    fields["logger"] = LOGGER
    fields["timestamp"] = _stamp(now)
    return orjson.dumps(fields, option=orjson.OPT_SORT_KEYS).decode() + "\n"


def _text(record: AccessRecord, now: float) -> str:
    level = logging.getLevelName(record.level).lower()
    told = " ".join(f"{key}={_value(value)}" for key, value in sorted(record.fields().items()))
    return f"{_stamp(now)} [{level:<9}] {record.message} [{LOGGER}] {told}\n"


def _value(value: object) -> str:
    """``value`` as it stands in a line: quoted where it would break it."""
    text = str(value)
    return text if text.isprintable() and " " not in text else ascii(text)


def _stamp(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
