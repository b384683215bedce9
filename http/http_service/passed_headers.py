"""Which of a client's headers reach the upstream: W3C's trace context and baggage, and ``Via``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["LONGEST", "PASSED_HEADERS", "passed_headers"]

LONGEST: Final = 8_192
"""Characters of one header that is passed on, W3C's bound for ``baggage``; longer ones are not."""

_PASSED: Final = (
    ("HTTP_TRACEPARENT", "traceparent"),
    ("HTTP_TRACESTATE", "tracestate"),
    ("HTTP_BAGGAGE", "baggage"),
    ("HTTP_VIA", "via"),
)


PASSED_HEADERS: Final = frozenset(key for key, _ in _PASSED)
"""Where they are in WSGI's environment. PERF: most requests have none of them."""


def passed_headers(environ: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """What goes into ``Context.headers`` of a WSGI request: as the client sent it, or not at all.

    A ``tracestate`` without its ``traceparent`` is dropped (W3C Trace Context, 3.3).
    """
    found = [(name, environ[key]) for key, name in _PASSED if _is_safe(environ.get(key))]
    if not any(name == "traceparent" for name, _ in found):
        found = [each for each in found if each[0] != "tracestate"]
    return tuple(found)


def _is_safe(value: object) -> bool:
    """Whether ``value`` can be sent on as one header line."""
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST:
        return False
    return value.isascii() and value.isprintable()
