"""Which requests get a line in the log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from http_service.telemetry.access_log import AccessRecord

__all__ = ["PROBES", "writer_of"]

PROBES: Final = frozenset({"/live", "/ready", "/health", "/metrics"})
"""What machines ask every few seconds, each of them."""

Write = Callable[[AccessRecord], object]


def writer_of(which: str, write: Write) -> Write:
    """``write`` for ``"all"`` requests, those that are no probes (``"requests"``), or ``"none"``.

    The writer may be called on any thread, as often as requests come.
    """
    if which == "all":
        return write
    if which == "none":
        return lambda _record: None
    return lambda record: None if record.path in PROBES else write(record)
