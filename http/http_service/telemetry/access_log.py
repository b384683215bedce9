"""The access log: one line a request, written by a thread of its own.

What was asked, how it ended, how long it took. Lines look like those of the other loggers
(``actors.logs``) and appear at most 50 ms late: one system call writes all that came meanwhile.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from operator import attrgetter
from typing import Any, Final, NamedTuple, TextIO, cast

import orjson

from actors.logs import BackgroundWriter

__all__ = [
    "LOGGER",
    "MAX_LOGGED",
    "AccessLogWriter",
    "AccessRecord",
    "access_record",
    "any_text_line",
    "log_failure",
    "log_record",
    "log_request",
    "set_access_log_writer",
    "text_line",
]

LOGGER: Final = "http_service.access"

MAX_LOGGED: Final = 256
"""Characters of what a client made, a path or a name, that a line repeats."""

_log: Final = logging.getLogger(LOGGER)
_failures: Final = logging.getLogger("http_service.requests")


class AccessRecord(NamedTuple):
    """One request; what does not apply to it stays ``None``.

    ``elapsed_ms`` is from the start of the request to the end of its response, a stream's body
    included. ``tokens`` are output tokens.
    """

    request_id: str
    method: str
    path: str
    status: int
    elapsed_ms: float
    model: str | None = None
    endpoint: str | None = None
    request_type: str | None = None
    error_type: str | None = None
    tokens: int | None = None

    @property
    def level(self) -> int:
        """A warning where the service itself failed, else information."""
        return logging.WARNING if self.status >= 500 else logging.INFO

    @property
    def message(self) -> str:
        """The line's sentence."""
        # SECURITY: a decoded path may hold line breaks; a log line must stay one line.
        path = self.path if self.path.isprintable() else ascii(self.path)
        return f"{self.method} {path} {self.status} in {self.elapsed_ms:.1f} ms"

    def fields(self) -> dict[str, object]:
        """Everything that applies to this request, by name."""
        return {key: value for key, value in self._asdict().items() if value is not None}


access_record: Final = cast(
    "Callable[[tuple[Any, ...]], AccessRecord]", partial(cast("Any", tuple).__new__, AccessRecord)
)
"""A record of all its fields, in order. PERF: its class makes a Python call."""


class _Writer:
    """Where records go instead of Python's logging; process-wide, as logging is."""

    write: Callable[[AccessRecord], object] | None = None


def log_request(record: AccessRecord) -> None:
    """Log ``record``: to the writer that was set, else by Python's logging."""
    if len(record.path) > MAX_LOGGED or len(record.method) > MAX_LOGGED:
        record = record._replace(
            path=record.path[:MAX_LOGGED] + "…", method=record.method[:MAX_LOGGED]
        )
    log_record(record)


def log_record(record: AccessRecord) -> None:
    """As :func:`log_request`, for a record whose path and method are short."""
    write = _Writer.write
    if write is not None:
        write(record)
        return
    if _log.isEnabledFor(record.level):
        _log.log(record.level, "%s", record.message, extra=record.fields())


def set_access_log_writer(write: Callable[[AccessRecord], object] | None) -> None:
    """Send every record to ``write``, which must be quick, or to Python's logging (``None``).

    PERF: a record through logging and a formatter costs as much as a whole request without it.
    """
    _Writer.write = write


def log_failure(error: BaseException, request_id: str | None, path: str) -> None:
    """Log an unexpected error in full: the client gets a fixed text."""
    _failures.error(
        "a request failed unexpectedly",
        exc_info=error,
        extra={"request_id": request_id, "path": path[:MAX_LOGGED]},
    )


_lines_log: Final = logging.getLogger("http_service.access_lines")

MAX_RECORDS: Final = 65_536
"""Records that wait at most, while the log is not read; more are dropped and counted."""

FLUSH_SECONDS: Final = 0.05
"""How long a line may wait for others: too short for a person to notice."""


class AccessLogWriter:
    """Writes records to ``stream`` as ``"text"`` or ``"json"`` lines. Any thread."""

    def __init__(self, stream: TextIO, log_format: str) -> None:
        line = _json if log_format == "json" else text_line

        def write(records: Sequence[tuple[AccessRecord, float]]) -> None:
            stream.write("".join([line(record, when) for record, when in records]))
            stream.flush()

        writer = BackgroundWriter(
            "access-log", write, _report_dropped, batch_seconds=FLUSH_SECONDS, max_items=MAX_RECORDS
        )
        # PERF: bound once: a method of our own would be a call more for each request.
        self.write: Final = writer.put
        self.flush: Final = writer.flush


def _report_dropped(dropped: int) -> None:
    """Log how many lines are missing, now that they are read again."""
    _lines_log.warning(
        "access lines dropped: the log stream was blocked", extra={"dropped": dropped}
    )


def _json(record: AccessRecord, now: float) -> str:
    fields = record.fields()
    fields["message"] = record.message
    fields["level"] = logging.getLevelName(record.level).lower()
    fields["logger"] = LOGGER
    fields["timestamp"] = _stamp(now)
    return orjson.dumps(fields, option=orjson.OPT_SORT_KEYS).decode() + "\n"


def text_line(record: AccessRecord, now: float) -> str:
    """The line of ``record``, which came at ``now``: its sentence, then its fields by name."""
    rid, method, path, status, elapsed, model, endpoint, shape, failure, tokens = record
    # PERF: nearly every line is of a request that was answered well, and its words need no quotes.
    if failure is None and tokens is not None and status < 500:
        words = f"{endpoint}{method}{model}{path}{rid}{shape}"
        plain = words.isascii() and words.isprintable()
        if plain and not (" " in words or '"' in words or "'" in words):
            return (
                f"{_stamp(now)} [info     ] {method} {path} {status} in {elapsed:.1f} ms [{LOGGER}]"
                f" elapsed_ms={elapsed} endpoint={endpoint} method={method} model={model}"
                f" path={path} request_id={rid} request_type={shape} status={status}"
                f" tokens={tokens}\n"
            )
    return any_text_line(record, now)


def any_text_line(record: AccessRecord, now: float) -> str:
    """As :func:`text_line`, whatever is in ``record``."""
    level = "warning  " if record.level == logging.WARNING else "info     "
    fields = "".join(
        [
            f"{name}={value if value.__class__ is not str or _PLAIN(value) else ascii(value)} "
            for name, value in zip(_NAMES, _VALUES(record), strict=True)
            if value is not None
        ]
    )
    return f"{_stamp(now)} [{level}] {record.message} [{LOGGER}] {fields[:-1]}\n"


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
