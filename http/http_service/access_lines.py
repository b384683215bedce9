"""Access lines for a busy service: taken at once, written together.

Lines look like those of the other loggers (``actors.logs``). They are written by a thread of their
own, a twentieth of a second later at most: one system call for all that came meanwhile.
"""

from __future__ import annotations

import atexit
import logging
import re
import threading
import time
from collections import deque
from datetime import UTC, datetime
from operator import attrgetter
from typing import Final, TextIO

import orjson

from http_service.access_log import LOGGER, AccessRecord

__all__ = ["AccessLines"]

_log: Final = logging.getLogger("http_service.access_lines")

MOST_RECORDS: Final = 65_536
"""Records that wait at most, while nobody reads; what comes beyond is dropped, and counted."""

EXIT_SECONDS: Final = 1.0
"""How long the end of the process waits for the last lines."""

FLUSH_SECONDS: Final = 0.05
"""How long a line may wait for others: too short for a person to notice."""


class AccessLines:
    """Writes records to ``stream`` as ``"text"`` or ``"json"`` lines. Any thread."""

    def __init__(self, stream: TextIO, log_format: str) -> None:
        self._stream = stream
        self._line = _json if log_format == "json" else _text
        self._records: deque[tuple[AccessRecord, float]] = deque()
        self._waiting = threading.Event()
        self._written = threading.Event()
        self._written.set()
        self._writing = threading.Lock()
        self._counting = threading.Lock()
        self._dropped = 0
        threading.Thread(target=self._run, name="access-log", daemon=True).start()
        atexit.register(self._wait, EXIT_SECONDS)

    def write(self, record: AccessRecord) -> None:
        """Take one record."""
        if len(self._records) >= MOST_RECORDS:
            with self._counting:  # nobody reads: better no line than no memory
                self._dropped += 1
            return
        self._records.append((record, time.time()))
        if not self._waiting.is_set():
            self._waiting.set()
            self._written.clear()

    def flush(self) -> None:
        """Write what waits, now. Idempotent."""
        with self._writing:
            taken = [self._records.popleft() for _ in range(len(self._records))]
            lines = [self._line(record, when) for record, when in taken]
            if lines:
                self._stream.write("".join(lines))
                self._stream.flush()
                self._tell_dropped()

    def _tell_dropped(self) -> None:
        """Say how many lines are missing, now that somebody reads again."""
        with self._counting:
            dropped, self._dropped = self._dropped, 0
        if dropped:
            _log.warning("access lines were dropped: nobody read them", extra={"dropped": dropped})

    def _wait(self, timeout: float) -> None:
        """Wait until what came is written, but not for a reader that is stuck."""
        self._written.wait(timeout)

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            self._waiting.wait()
            pause.wait(FLUSH_SECONDS)
            self._waiting.clear()
            try:
                self.flush()
                self._written.set()
                if self._waiting.is_set():  # for a record that came meanwhile
                    self._written.clear()
            except ValueError:  # the stream was closed: nobody reads, nobody to tell
                return
            except OSError:  # a full disk, say; it may have room for the lines to come
                self._written.set()


def _json(record: AccessRecord, now: float) -> str:
    fields = record.fields()
    fields["message"] = record.message
    fields["level"] = logging.getLevelName(record.level).lower()
    fields["logger"] = LOGGER
    fields["timestamp"] = _stamp(now)
    return orjson.dumps(fields, option=orjson.OPT_SORT_KEYS).decode() + "\n"


def _text(record: AccessRecord, now: float) -> str:
    level = "warning  " if record.level == logging.WARNING else "info     "
    # PERF: one pass, in the order of the names; a tenth of a request's CPU went into sorting them.
    told = "".join(
        [
            f"{name}={value if value.__class__ is not str or _PLAIN(value) else ascii(value)} "
            for name, value in zip(_NAMES, _VALUES(record), strict=True)
            if value is not None
        ]
    )
    return f"{_stamp(now)} [{level}] {record.message} [{LOGGER}] {told[:-1]}\n"


_NAMES: Final = tuple(sorted(AccessRecord._fields))
_VALUES: Final = attrgetter(*_NAMES)
_PLAIN: Final = re.compile(r"[!#-&(-~]*").fullmatch
"""Text that breaks no line and needs no quotes."""


class _Stamp:
    """The time of a line, in milliseconds; the second is made once."""

    def __init__(self) -> None:
        self._made = (0, "")

    def __call__(self, now: float) -> str:
        whole = int(now)
        second, text = self._made
        if second != whole:
            text = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")
            self._made = (whole, text)
        return f"{text}.{int((now - whole) * 1000):03d}Z"


_stamp = _Stamp()
