"""One line per request: what was asked, how it ended, how long it took."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import Final

__all__ = ["AccessRecord", "log_request"]

_log: Final = logging.getLogger("http_service.access")


@dataclass(frozen=True, slots=True)
class AccessRecord:
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


def log_request(record: AccessRecord) -> None:
    """Log ``record``: a warning where the service itself failed, else information."""
    level = logging.WARNING if record.status >= 500 else logging.INFO
    if not _log.isEnabledFor(level):
        return
    # SECURITY: a decoded path may hold line breaks; a log line must stay one line.
    path = record.path if record.path.isprintable() else ascii(record.path)
    _log.log(
        level,
        "%s %s %d in %.1f ms",
        record.method,
        path,
        record.status,
        record.elapsed_ms,
        extra={key: value for key, value in asdict(record).items() if value is not None},
    )
