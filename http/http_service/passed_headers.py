"""Which of a client's headers reach the upstream: W3C's trace context and baggage, and ``Via``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["LONGEST", "passed_headers"]

LONGEST: Final = 8_192
"""Characters of one header that is passed on, W3C's bound for ``baggage``; longer ones are not."""

_PASSED: Final = (
    ("HTTP_TRACEPARENT", "traceparent"),
    ("HTTP_TRACESTATE", "tracestate"),
    ("HTTP_BAGGAGE", "baggage"),
    ("HTTP_VIA", "via"),
)


def passed_headers(environ: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """What goes into ``Context.headers`` of a WSGI request: as the client sent it, or not at all.

    A ``tracestate`` without its ``traceparent`` is dropped (W3C Trace Context, 3.3).
    """
    # PERF: three look-ups for the many requests that have none of them.
    if (
        "HTTP_TRACEPARENT" not in environ
        and "HTTP_BAGGAGE" not in environ
        and "HTTP_VIA" not in environ
    ):
        return ()
    found = [(name, environ[key]) for key, name in _PASSED if _is_safe(environ.get(key))]
    if not any(name == "traceparent" for name, _ in found):
        found = [each for each in found if each[0] != "tracestate"]
    return tuple(found)


def _is_safe(value: object) -> bool:
    """Whether ``value`` can be sent on as one header line."""
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST:
        return False
    return value.isascii() and value.isprintable()
