"""The head of a response, as bytes: status line and headers in one go.

PERF: Waitress capitalises, sorts and walks the headers three times (13 us); a name's case and the
order of headers mean nothing (RFC 9110, 5.1 and 5.3).
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

__all__ = ["NO_SNIFF", "NO_STORE", "http_date", "response_head", "status_line"]

NO_STORE: Final = ("cache-control", "no-store")
"""For whatever is one client's: no cache on the way may keep it (RFC 9111, 5.2.2.5)."""

NO_SNIFF: Final = ("x-content-type-options", "nosniff")
"""Whoever sniffs types might run what a model wrote as a page. Every answer has it."""


def response_head(version: str, status: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """The head with ``status`` (as in ``"200 OK"``), ``headers``, and what every answer has.

    ``headers`` are WSGI's, at least one: native strings of latin-1 characters without line breaks.
    """
    fields = "\r\n".join(map(": ".join, headers))
    return (
        f"HTTP/{version} {status}\r\n{fields}\r\n"
        f"x-content-type-options: nosniff\r\ndate: {http_date()}\r\n\r\n"
    ).encode("latin-1")


def status_line(status: int) -> str:
    """``404`` as ``"404 Not Found"``; a status nobody named has no phrase."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"{status} "


class _Date:
    """The current second as text (RFC 9110, 5.6.7), made once a second."""

    def __init__(self) -> None:
        self.made = (0, "")

    def __call__(self) -> str:
        now = int(time.time())
        second, text = self.made
        if second != now:
            text = formatdate(now, usegmt=True)
            self.made = (now, text)  # one store: a reader on another thread never sees half of it
        return text


http_date = _Date()
