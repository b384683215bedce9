"""Loop detection: the ``Via`` header, and a 508 for requests that go in a circle. Pure, and short
because both ends of a relay import it.

Source: RFC 9110, 7.6.3; RFC 5842, 7.2 (508).
"""

from __future__ import annotations

import secrets
from typing import Final

from actors.engines.errors import EngineError

__all__ = ["LONGEST_VIA", "LOOP", "MOST_HOPS", "PSEUDONYM", "check_for_loop"]

PSEUDONYM: Final = f"callboard-{secrets.token_hex(8)}"
"""This process' name in ``Via``, by which it recognises its own requests when they come back."""

LOOP: Final = "loop_detected"
"""The code of the error."""

MOST_HOPS: Final = 16
"""Proxies that a request may have passed, of whatever kind: more are a loop through proxies that
add no name of their own."""

LONGEST_VIA: Final = 8_192
"""Characters of a ``Via`` that are accepted."""


def check_for_loop(via: str | None) -> None:
    """Raise a 508 for a request that was here already, or has passed too many proxies."""
    if via is None:
        return
    if PSEUDONYM in via:
        message = "The request came back to this service: the URL of an upstream leads here."
    elif via.count(",") >= MOST_HOPS or len(via) > LONGEST_VIA:
        message = f"The request has passed more than {MOST_HOPS} proxies: it goes in a circle."
    else:
        return
    raise EngineError(message, status=508, code=LOOP)
