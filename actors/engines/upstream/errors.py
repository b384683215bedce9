"""What an upstream's refusal means to our client: one table, pure.

SECURITY: an upstream's own words reach the client only where they are about the client's request
(4xx, OpenAI's error shape); of its failures (5xx) and of our credentials (401, 403) it is told
nothing but that they happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

import orjson

from actors.engines.errors import (
    EngineBusy,
    EngineError,
    EngineRejected,
    EngineUnavailable,
)

__all__ = ["error_for", "retry_after"]

# Characters of an upstream's message that are passed on: more is a page, not a message.
_MAX_MESSAGE: Final = 2_000
# Seconds that a client is asked to wait where the upstream does not say, and at most.
_DEFAULT_RETRY: Final = 1
_MAX_RETRY: Final = 3_600

_REJECTED: Final = "the upstream rejected the request"


def error_for(status: int, headers: Mapping[str, str], body: bytes) -> EngineError:
    """The error that tells a client of an upstream's answer with ``status`` (not 200).

    ``headers`` are looked up in lower case. ``body`` may be anything. Never raises.
    """
    match status:
        case 401 | 403 | 407:
            return EngineUnavailable("the upstream refused the service's credentials")
        case 429:
            return EngineBusy("the upstream is busy; try again soon", retry_after=_retry(headers))
        case 503:
            return EngineUnavailable(
                "the upstream is not ready; try again soon",
                status=503,
                retry_after=_retry(headers),
            )
        case _ if 400 <= status < 500:
            return _rejected(status, body)
        case _:
            return EngineUnavailable(f"the upstream failed with status {status}")


def retry_after(value: str | None) -> int:
    """The seconds of a ``Retry-After`` header, between 1 and an hour (RFC 9110, 10.2.3).

    A date, or anything else that is no number of seconds, counts as one second.
    """
    text = (value or "").strip()
    if not (text.isascii() and text.isdigit()):
        return _DEFAULT_RETRY
    # Python reads no number of thousands of digits, and these are enough to be above the most.
    digits = text.lstrip("0")[: len(str(_MAX_RETRY)) + 1]
    return min(max(int(digits or 0), _DEFAULT_RETRY), _MAX_RETRY)


def _retry(headers: Mapping[str, str]) -> int:
    return retry_after(headers.get("retry-after"))


def _rejected(status: int, body: bytes) -> EngineRejected:
    error = _error_object(body)
    message = error.get("message")
    if not isinstance(message, str) or not message:
        return EngineRejected(_REJECTED, status=status)
    # llama.cpp and vLLM put the status into "code"; their "type" says what OpenAI's code would.
    names = (error.get("code"), error.get("type"))
    code = next((name for name in names if isinstance(name, str) and name), None)
    param = error.get("param")
    return EngineRejected(
        message[:_MAX_MESSAGE],
        status=status,
        code=code,
        param=param if isinstance(param, str) else None,
    )


def _error_object(body: bytes) -> dict[str, Any]:
    """OpenAI's ``{"error": {...}}``, or the flat object of older vLLM; empty if neither."""
    try:
        document: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(document, dict):
        return {}
    fields = cast("dict[str, Any]", document)
    error = fields.get("error")
    if isinstance(error, dict):
        return cast("dict[str, Any]", error)
    return fields if fields.get("object") == "error" else {}
