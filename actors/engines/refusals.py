"""What an upstream's refusal means: one table for all the ways to express it. Pure.

The status is that of the answer's head, or the one that an error object claims in the body of a 200
or in an event of a stream. "Retry" is whether another instance is asked, "blame" whether it counts
against the health of this one; ``pool.failures`` reads both off the class of the error:

=====================  ==================  =====  =====  ==========================================
upstream               client gets         retry  blame  words
=====================  ==================  =====  =====  ==========================================
401, 403, 407          502                 yes    yes    ours: it is the service's key that is wrong
429, 529               429, Retry-After    yes    no     ours; the upstream's code is kept
503                    503, Retry-After    yes    yes    ours
404, 405, 410, 421,    502                 yes    yes    ours: the instance has no such path
426, 501, foreign
501                    501                 no     no     ours
508                    508                 no     no     ours: the request goes in a circle
500, unread content,   400                 no     no     the upstream's: llama.cpp says it so
500, input too long
a prompt too long      400                 no     no     the upstream's, with OpenAI's code
other 4xx              the same            no     no     the upstream's, if it has any
everything else        502                 yes    yes    ours
=====================  ==================  =====  =====  ==========================================

*Foreign* is what does not come from a model server's API: a router's or a proxy's own page, and the
API's own word that a path does not exist. A lost connection is an
``EngineUnavailable`` of ``upstream.call``, as in the last row.

SECURITY: an upstream's own words reach the client only where they are about the client's request.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from actors.engines.error_object import ErrorObject, read_body, read_document
from actors.engines.errors import EngineBusy, EngineError, EngineRejected, EngineUnavailable
from actors.engines.via import LOOP

__all__ = ["error_of_answer", "error_of_object", "retry_after"]

_DEFAULT_RETRY: Final = 1
"""Seconds that a client is asked to wait where the upstream does not say."""
_MAX_RETRY: Final = 3_600
"""Seconds that a client is asked to wait at most."""

_NO_PATH: Final = re.compile(
    r"(?:(?:file|page|path|route|url|resource|endpoint)\s+)?not (?:found|implemented)\W*"
    r"|method not allowed\W*|invalid url\b.*|unknown (?:request )?(?:url|path|endpoint|route)\b.*",
    re.IGNORECASE,
)
"""How model servers say that a path does not exist: vLLM, llama.cpp, SGLang, OpenAI."""

_UNREAD_CONTENT: Final = re.compile(r"(\w+ input is not supported)\b.*")
"""How llama.cpp, with status 500, refuses an image or a sound for a model of text."""

_INPUT_TOO_LONG: Final = re.compile(r"(input \(\d+ tokens\) is too large to process)\b.*")
"""How llama.cpp, with status 500, refuses an input that it can't make a vector of."""

TOO_LONG: Final = "context_length_exceeded"
"""OpenAI's code for a prompt that is too long: coding agents shorten their history at it."""
_TOO_LONG_CODES: Final = frozenset(("exceedcontextsize", "contextlengthexceeded"))
_TOO_LONG: Final = re.compile(
    r"maximum (?:context|model) length|model's context length|context window"
    r"|prompt is too long|available context size",
    re.IGNORECASE,
)
"""How servers say so that have no code for it: vLLM, SGLang, Anthropic, older llama.cpp."""

_STATUS_OF_CODE: Final[Mapping[str, int]] = {
    "badrequest": 400, "invalidrequest": 400, "validation": 400, "value": 400,
    "exceedcontextsize": 400, "contextlengthexceeded": 400, "contentfilter": 400,
    "invalidargument": 400, "inputvalidation": 400,
    "unprocessableentity": 422, "notsupported": 501, "notimplemented": 501,
    "notfound": 404, "modelnotfound": 404, "permission": 403, "authentication": 401,
    "invalidapikey": 401, "permissiondenied": 403, "unauthorized": 401, "forbidden": 403,
    "ratelimit": 429, "ratelimitexceeded": 429, "insufficientquota": 429, "toomanyrequests": 429,
    "resourceexhausted": 429, "overloaded": 429,
    "unavailable": 503, "serviceunavailable": 503,
}  # fmt: skip
"""What the codes and types of error objects mean, without case, punctuation and a last "error"."""


def error_of_answer(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    clock: Callable[[], float] = time.time,
) -> EngineError:
    """The client's error for an upstream's answer with ``status`` (not 200). Never raises.

    ``headers`` are looked up in lower case. ``body`` may be anything. ``clock`` is the time of day
    in seconds, for a ``Retry-After`` that is a date where the answer has no ``Date``.
    """
    found = read_body(body, headers.get("content-type", ""))
    now = _timestamp(headers.get("date", "")) or clock()
    return _error(status, found, retry_after(headers.get("retry-after"), now), "the upstream")


def error_of_object(document: object, *, who: str = "the upstream") -> EngineError:
    """The error of an error object in the body of a 200, or in an event; ``who`` said it.

    Never raises. An object that claims no status is a failure.
    """
    found = read_document(document)
    status = found.status
    if status is None and found.code is not None:
        status = _STATUS_OF_CODE.get(_word(found.code))
    return _error(status or 0, found, _DEFAULT_RETRY, who)


def retry_after(value: str | None, now: float) -> int:
    """The seconds of a ``Retry-After`` header, between 1 and an hour (RFC 9110, 10.2.3).

    A date (RFC 9110, 5.6.7) counts from ``now``, a time of day in seconds. What is neither a date
    nor a whole number of seconds counts as one second.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        # Python reads no number of thousands of digits, and these are enough to be above the most.
        seconds = int(text.lstrip("0")[: len(str(_MAX_RETRY)) + 1] or 0)
    else:
        until = _timestamp(text)
        seconds = _DEFAULT_RETRY if until is None else math.ceil(until - now)
    return min(max(seconds, _DEFAULT_RETRY), _MAX_RETRY)


def _timestamp(date: str) -> float | None:
    """The time of day of an HTTP date, in any of its three forms; ``None`` if it is not one."""
    if not date[:1].isalpha():
        return None
    try:
        parsed = parsedate_to_datetime(date)
        return (parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, TypeError):
        return None


def _is_too_long(found: ErrorObject) -> bool:
    """Whether it is about a prompt, or prompt and answer, beyond the model's context."""
    return _word(found.code or "") in _TOO_LONG_CODES or bool(_TOO_LONG.search(found.message))


def _word(code: str) -> str:
    """``code`` without case, punctuation and a last "error"."""
    return re.sub(r"[\W_]", "", code.lower()).removesuffix("error")


def _rejected(status: int, found: ErrorObject, who: str) -> EngineRejected:
    message = found.message or f"{who} rejected the request"
    if _is_too_long(found):
        return EngineRejected(message, code=TOO_LONG, param=found.param)
    return EngineRejected(message, status=status, code=found.code, param=found.param)


def _error(status: int, found: ErrorObject, retry: int, who: str) -> EngineError:
    """The table."""
    match status:
        case 401 | 403 | 407:
            return EngineUnavailable(f"{who} refused the service's credentials")
        case 429 | 529:
            return EngineBusy(f"{who} is busy; try again soon", code=found.code, retry_after=retry)
        case 503:
            return EngineUnavailable(
                f"{who} is not ready; try again soon", status=503, retry_after=retry
            )
        case 404 | 405 | 410 | 421 | 426 | 501 if not found.api or _NO_PATH.fullmatch(
            found.message
        ):
            return EngineUnavailable(f"{who} does not serve this path (status {status})")
        case 500 if unread := _UNREAD_CONTENT.fullmatch(found.message):
            return EngineRejected(unread[1], param="messages")
        case 500 if long := _INPUT_TOO_LONG.fullmatch(found.message):
            return EngineRejected(long[1], code=TOO_LONG, param="input")
        case 501:
            return EngineError(f"{who} does not support this request", status=501, code=found.code)
        case 508:
            return EngineError(
                f"{who} found that the request goes in a circle", status=508, code=LOOP
            )
        case _ if 400 <= status < 500 and status != 499:
            return _rejected(status, found, who)
        case _:
            reason = f"failed with status {status}" if status else "reported an error"
            return EngineUnavailable(f"{who} {reason}")
