"""How log lines look and are written: for people, or one JSON object a line; always on stderr.

The library modules log through the standard library with ``extra={...}``; only here does structlog
render, so ``import actors`` needs neither it nor any configuration. A thread of its own writes:

A pipe that is not read blocks its writer. On the request path that would stop every response: here
items wait in memory instead, the newest are dropped past a bound of number or size, and how many
were dropped is reported once there is room again.

Not ``logging.handlers.QueueHandler``: its queue has no bound in bytes and does not count what it
drops, its listener can't write many lines at once, and it formats each record on the caller's
thread. Access lines are not log records at all.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Any, Final, Generic, TextIO, TypeVar, cast

__all__ = [
    "BackgroundHandler",
    "BackgroundWriter",
    "LinesPerMinute",
    "configure_logging",
    "size_of",
]


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
        self._awake = False
        """Whether the thread was woken for items that it has not begun to take."""
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
        if not self._awake:  # PERF: as the event says, which takes a call
            self._awake = True
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
            self._awake = False
            try:
                self.flush()
            except ValueError:  # the stream was closed
                return
            except OSError:  # a full disk, say; it may have room for what comes next
                pass
            self._idle.set()
            if self._items:  # one came meanwhile
                self._idle.clear()


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
