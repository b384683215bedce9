"""What is answered to a request that Waitress refused before the application saw it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from http_service.errors import INTERNAL, ErrorReply, reply_for_status

__all__ = ["refusal"]

_MESSAGES: Final[Mapping[int, str]] = {
    413: "The request body exceeds this service's limit.",
    431: "The request line and headers exceed this service's limit.",
    500: INTERNAL,
    501: "This transfer encoding is not supported.",
}


def refusal(status: int, detail: str) -> ErrorReply:
    """The answer in OpenAI's shape; ``detail`` is Waitress' own word on a malformed request."""
    message = _MESSAGES.get(status)
    if message is None:
        message = f"The request is not valid HTTP: {detail}."
    return reply_for_status(status, message)
