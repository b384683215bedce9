"""What is answered to a request that Waitress refused before the application saw it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from http_service.errors import INTERNAL, ErrorReply, reply_for_status

__all__ = ["Refusal", "refusal"]

SHORTAGE: Final = 503

_MESSAGES: Final[Mapping[int, str]] = {
    408: "The request took too long to arrive.",
    413: "The request body exceeds this service's limit.",
    431: "The request line and headers exceed this service's limit.",
    500: INTERNAL,
    501: "This transfer encoding is not supported.",
    505: "This HTTP version is not supported; send HTTP/1.1.",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request's bytes were refused, in the shape of Waitress' own errors.

    ``code`` is the status, ``body`` the reason for the client.
    """

    code: int
    body: str

    @property
    def reason(self) -> str:
        """The status line's phrase."""
        return HTTPStatus(self.code).phrase

    def to_response(self, ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        """What Waitress' own error task would write: our document, without a product's name."""
        del ident
        reply = refusal(self.code, self.body)
        return (
            f"{self.code} {self.reason}",
            [("Content-Type", "application/json")],
            reply.body(),
        )


def refusal(status: int, detail: str) -> ErrorReply:
    """The answer in OpenAI's shape; ``detail`` is what is wrong, or what is short (503)."""
    message = detail if status == SHORTAGE else _MESSAGES.get(status)
    if message is None:
        message = f"The request is not valid HTTP: {detail}."
    return reply_for_status(status, message)
