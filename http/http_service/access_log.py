"""One line per request: what was asked, how it ended, how long it took."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, NamedTuple

__all__ = ["LOGGER", "LONGEST", "AccessRecord", "log_request", "write_access_log"]

LOGGER: Final = "http_service.access"

LONGEST: Final = 256
"""Characters of what a client made, a path or a name, that a line repeats."""

_log: Final = logging.getLogger(LOGGER)


class AccessRecord(NamedTuple):
    """One answered request; what does not apply to it stays ``None``.

    ``elapsed_ms`` is from the start of the request to the end of its answer, a stream's body
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


class _Writer:
    """Where records go instead of Python's logging; process-wide, as logging is."""

    write: Callable[[AccessRecord], object] | None = None


def log_request(record: AccessRecord) -> None:
    """Log ``record``: to the writer that was set, else by Python's logging."""
    if len(record.path) > LONGEST or len(record.method) > LONGEST:
        record = record._replace(path=record.path[:LONGEST] + "…", method=record.method[:LONGEST])
    write = _Writer.write
    if write is not None:
        write(record)
        return
    if _log.isEnabledFor(record.level):
        _log.log(record.level, "%s", record.message, extra=record.fields())


def write_access_log(write: Callable[[AccessRecord], object] | None) -> None:
    """Send every record to ``write``, which must be quick, or to Python's logging (``None``).

    PERF: a record through logging and a formatter costs as much as a whole request without it.
    """
    _Writer.write = write
