"""How long a client is willing to wait for its whole answer, as its request says."""

from __future__ import annotations

import math
from typing import Final

from http_service.validation import InvalidValue

__all__ = ["HEADER", "LONGEST", "request_timeout_from"]

HEADER: Final = "x-request-timeout"

LONGEST: Final = 86_400.0
"""Seconds; nobody waits for longer than a day."""


def request_timeout_from(given: str) -> float:
    """The seconds that the header names.

    Raises :class:`InvalidValue` for anything but a number above 0, and up to :data:`LONGEST`.
    """
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= LONGEST:
        raise InvalidValue(
            f"The header {HEADER} must be a number of seconds, above 0 and at most {LONGEST:g}.",
            HEADER,
        )
    return seconds
