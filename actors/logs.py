"""How log lines look and are written: for people, or one JSON object a line; always on stderr.

The library modules log through the standard library with ``extra={...}``; only here does structlog
render, so ``import actors`` needs neither it nor any configuration.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Generator, Sequence
from typing import Any, Final, TextIO, cast

from actors.background_writer import MAX_BYTES, MAX_ITEMS, BackgroundWriter

__all__ = ["BackgroundHandler", "LinesPerMinute", "configure_logging", "size_of"]


@contextlib.contextmanager
def _without(package: str) -> Generator[None]:
    """Have imports find no ``package``, unless it is imported already."""
    if package in sys.modules:
        yield
        return
    modules = cast("dict[str, Any]", sys.modules)  # None stands for "there is none"
    modules[package] = None
    try:
        yield
    finally:
        del modules[package]


# PERF: structlog imports rich wherever it is installed: 12 MiB for tracebacks that we never render.
with _without("rich"):
    import structlog

_NOISY: Final = ("waitress.queue", "pykka")
"""Loggers of libraries that report as a warning what this service handles as a matter of course."""

_PER_MINUTE: Final = {"actors.engines.pool": 10, "discovery.actor": 100}
"""Lines of one kind that these write in a minute: each is about one entry, and there may be ten
thousand."""

MINUTE: Final = 60.0
"""Seconds."""
MAX_KINDS: Final = 256
"""Kinds of lines that are counted; they are literals of this program, some dozens."""

BASE_BYTES: Final = 512
"""What a record takes beside its texts."""


def configure_logging(log_format: str, stream: TextIO | None = None) -> None:
    """Send every logger's lines to ``stream`` (stderr) as ``"text"`` or ``"json"``.

    Replaces the root logger's handlers; call it once, at the start of a command.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_formatter(log_format, colors=(stream or sys.stderr).isatty()))
    root = logging.getLogger()
    # A stream of the caller's own is written at once: a test looks at it next.
    root.handlers[:] = [BackgroundHandler(handler) if stream is None else handler]
    root.setLevel(logging.INFO)
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.ERROR)
    for name, most in _PER_MINUTE.items():
        logging.getLogger(name).filters[:] = [LinesPerMinute(most)]


def _formatter(log_format: str, *, colors: bool) -> logging.Formatter:
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: list[structlog.typing.Processor]
    if log_format == "json":
        renderer = [
            structlog.processors.dict_tracebacks,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(sort_keys=True),
        ]
    else:
        # Tracebacks as Python prints them: boxes and locals are for a debugger, not for a log.
        plain = structlog.dev.plain_traceback
        renderer = [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain)]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
    )


class BackgroundHandler(logging.Handler):
    """Hands records to ``target`` on a daemon thread. Any thread may log; none waits."""

    def __init__(
        self, target: logging.Handler, max_items: int = MAX_ITEMS, max_bytes: int = MAX_BYTES
    ) -> None:
        super().__init__()

        def write(records: Sequence[tuple[logging.LogRecord, float]]) -> None:
            for record, _ in records:
                target.handle(record)

        self.writer: Final = BackgroundWriter(
            "log",
            write,
            lambda dropped: target.handle(_dropped_record(dropped)),
            size_of=size_of,
            max_items=max_items,
            max_bytes=max_bytes,
        )

    def emit(self, record: logging.LogRecord) -> None:
        """Take ``record``, or count it as dropped; under the handler's lock."""
        self.writer.put(record)


def size_of(record: logging.LogRecord) -> int:
    """About how many bytes ``record`` takes while it waits: its texts, one level deep."""
    values: list[Any] = [*record.__dict__.values()]
    for value in [*values]:
        if isinstance(value, list | tuple):
            values += cast("Sequence[Any]", value)
    return BASE_BYTES + sum(len(value) for value in values if isinstance(value, str | bytes))


def _dropped_record(dropped: int) -> logging.LogRecord:
    record = logging.LogRecord(
        "actors.logs", logging.WARNING, __file__, 0, "log lines were dropped", (), None
    )
    record.__dict__["count"] = dropped
    return record


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
        if len(self._seen) >= MAX_KINDS:
            self._seen.clear()
        self._seen[kind] = since, count + 1
        if count == self._most:
            record.msg, record.args = (
                "more lines like the last are left out for a minute: %s",
                (kind,),
            )
            record.exc_info = None
        return count <= self._most
