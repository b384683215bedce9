"""HTTP headers: which this service reads, passes on, and adds."""

from __future__ import annotations

import math
import os
import random
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from http_service.errors import InvalidValue

__all__ = [
    "ID_HEADER",
    "MAX_PASSED",
    "MAX_PRIORITY",
    "MAX_TIMEOUT",
    "NO_SNIFF",
    "NO_STORE",
    "PASSED_HEADERS",
    "PRIORITY_HEADER",
    "SESSION_HEADERS",
    "TIMEOUT_HEADER",
    "id_bits",
    "native_headers",
    "passed_headers",
    "priority_from",
    "request_id_from",
    "request_timeout_from",
    "session_from",
    "status_line",
]

ID_HEADER: Final = "x-request-id"

_ids: Final = random.Random()  # noqa: S311  # no secret, only unlikely to come twice
os.register_at_fork(after_in_child=_ids.seed)

# PERF: the system's entropy costs ten times as much. A generator of our own: a program that seeds
# ``random`` would otherwise give the same ids at each start.
id_bits: Final = _ids.getrandbits

# Visible ASCII only, and short: the id is written into headers and log lines.
_ACCEPTABLE: Final = re.compile(r"[\x21-\x7e]{1,128}")


def request_id_from(given: str | None) -> str:
    """The client's own id if it is printable and at most 128 characters long, else a new one."""
    if given is not None and _ACCEPTABLE.fullmatch(given):
        return given
    return f"{id_bits(128):032x}"


TIMEOUT_HEADER: Final = "x-request-timeout"

MAX_TIMEOUT: Final = 86_400.0
"""Seconds: a day."""


def request_timeout_from(given: str) -> float:
    """The seconds that the header names.

    Raises :class:`InvalidValue` for anything but a number above 0, and up to :data:`MAX_TIMEOUT`.
    """
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= MAX_TIMEOUT:
        raise InvalidValue(
            f"The header {TIMEOUT_HEADER} must be a number of seconds, "
            f"above 0 and at most {MAX_TIMEOUT:g}.",
            TIMEOUT_HEADER,
        )
    return seconds


PRIORITY_HEADER: Final = "x-priority"

MAX_PRIORITY: Final = 100
"""The highest priority; the lowest one is as far below 0, which is everybody's who says nothing."""

_PRIORITY: Final = re.compile(r"[+-]?[0-9]{1,3}")


def priority_from(given: str | None) -> int:
    """The priority that the header names, 0 without it.

    Raises :class:`InvalidValue` for anything but a whole number within :data:`MAX_PRIORITY`.
    """
    if given is None:
        return 0
    if _PRIORITY.fullmatch(given) is None or abs(int(given)) > MAX_PRIORITY:
        raise InvalidValue(
            f"The header {PRIORITY_HEADER} must be a whole number "
            f"from -{MAX_PRIORITY} to {MAX_PRIORITY}; higher ones are served first.",
            PRIORITY_HEADER,
        )
    return int(given)


SESSION_HEADERS: Final = (
    "HTTP_X_SESSION_ID",
    "HTTP_X_DYNAMO_SESSION_ID",
    "HTTP_X_CLAUDE_CODE_SESSION_ID",
    "HTTP_SESSION_ID",
)
"""What clients call their conversation by, in WSGI's environment: ours and OpenCode's, Dynamo's,
Claude Code's, Codex's. The first that is there counts."""


def session_from(environ: Mapping[str, Any]) -> str | None:
    """What the client of a WSGI request calls its conversation, if it says so in a header."""
    return next(filter(None, map(environ.get, SESSION_HEADERS)), None)


MAX_PASSED: Final = 8_192
"""Characters of one header that is passed on, W3C's bound for ``baggage``; longer ones are not."""

_PASSED: Final = (
    ("HTTP_TRACEPARENT", "traceparent"),
    ("HTTP_TRACESTATE", "tracestate"),
    ("HTTP_BAGGAGE", "baggage"),
    ("HTTP_VIA", "via"),
    ("HTTP_X_PRIORITY", PRIORITY_HEADER),
)


_NATIVE: Final = (
    ("HTTP_ANTHROPIC_VERSION", "anthropic-version"),
    ("HTTP_ANTHROPIC_BETA", "anthropic-beta"),
)

PASSED_HEADERS: Final = frozenset(key for key, _ in _PASSED)
"""Where they are in WSGI's environment. PERF: most requests have none of them."""


def passed_headers(environ: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """What goes into ``Context.headers`` of a WSGI request: as the client sent it, or not at all.

    A ``tracestate`` without its ``traceparent`` is dropped (W3C Trace Context, 3.3).
    """
    found = [(name, environ[key]) for key, name in _PASSED if _is_safe(environ.get(key))]
    if not any(name == "traceparent" for name, _ in found):
        found = [header for header in found if header[0] != "tracestate"]
    return tuple(found)


def native_headers(environ: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """What only a server of the client's own dialect is sent of a WSGI request's headers."""
    return tuple((name, environ[key]) for key, name in _NATIVE if _is_safe(environ.get(key)))


def _is_safe(value: object) -> bool:
    """Whether ``value`` can be sent on as one header line."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_PASSED:
        return False
    return value.isascii() and value.isprintable()


NO_STORE: Final = ("cache-control", "no-store")
"""For whatever is one client's: no cache on the way may keep it (RFC 9111, 5.2.2.5)."""

NO_SNIFF: Final = ("x-content-type-options", "nosniff")
"""A browser that sniffs types might run what a model wrote as a page. Every response has it."""


def status_line(status: int) -> str:
    """``404`` as ``"404 Not Found"``; an unknown status has no phrase."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"{status} "
