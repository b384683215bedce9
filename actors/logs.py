"""How log lines look: for people, or one JSON object a line; always one line, always on stderr.

The library modules log through the standard library with ``extra={...}``; only here does structlog
render, so ``import actors`` needs neither it nor any configuration.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Generator
from typing import Any, Final, TextIO, cast

from actors.background_log import BackgroundHandler
from actors.log_limit import LinesPerMinute

__all__ = ["configure_logging"]


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


# PERF: structlog imports rich wherever it is installed: 12 MiB for tracebacks that nobody asks for.
with _without("rich"):
    import structlog

_NOISY: Final = ("waitress.queue", "pykka")
"""Loggers of libraries that report as a warning what this service handles as a matter of course."""

_PER_MINUTE: Final = {"actors.engines.pool": 10, "discovery.actor": 100}
"""Lines of one kind that these write in a minute: they speak of entries, of which there may be ten
thousand."""


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
