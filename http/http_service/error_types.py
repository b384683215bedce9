"""How the metrics tell one failure from another: the values of their ``error_type`` label."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

__all__ = ["ErrorType", "error_type_of_status"]


class ErrorType(StrEnum):
    """The values of the metrics' ``error_type`` label (Dynamo's)."""

    NONE = ""
    VALIDATION = "validation"
    NOT_FOUND = "not_found"
    OVERLOAD = "overload"
    UNAVAILABLE = "unavailable"
    CANCELLED = "cancelled"
    RESPONSE_TIMEOUT = "response_timeout"
    INTERNAL = "internal"
    NOT_IMPLEMENTED = "not_implemented"


def error_type_of_status(status: int) -> ErrorType:
    """The metrics' label for an answer with ``status``; "" below 400."""
    if status < 400:
        return ErrorType.NONE
    fallback = ErrorType.VALIDATION if status < 500 else ErrorType.INTERNAL
    return _ERROR_TYPES.get(status, fallback)


_ERROR_TYPES: Final[Mapping[int, ErrorType]] = {
    404: ErrorType.NOT_FOUND,
    429: ErrorType.OVERLOAD,
    499: ErrorType.CANCELLED,
    501: ErrorType.NOT_IMPLEMENTED,
    503: ErrorType.UNAVAILABLE,
    504: ErrorType.RESPONSE_TIMEOUT,
    529: ErrorType.OVERLOAD,
}
