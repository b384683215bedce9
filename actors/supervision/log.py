"""The library's logger: with the standard library's own formatter alone, a stack shows, too."""

from __future__ import annotations

import logging
from typing import Final

__all__ = ["log"]

log: Final = logging.getLogger("actors.supervision")


def _show_stack(record: logging.LogRecord) -> bool:
    """Have a plain formatter print ``extra={"stack": …}`` below the line, where it prints traces.

    One that renders ``extra`` itself, as structlog's does, pays no heed to ``exc_text``.
    """
    stack: str = record.__dict__.get("stack", "")
    if stack and not record.exc_info:
        record.exc_text = stack.rstrip("\n")
    return True


log.addFilter(_show_stack)
