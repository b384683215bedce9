"""Why the bytes of a request are refused before the application sees it, and the response then."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from http_service.errors import INTERNAL, ErrorReply, reply_for_status

__all__ = ["ParseError", "refusal"]

SHORTAGE: Final = 503

_MESSAGES: Final[Mapping[int, str]] = {
    408: "The request took too long to arrive.",
    413: "The request body exceeds this service's limit.",
    431: "The request line and headers exceed this service's limit.",
    500: INTERNAL,
    501: "This transfer encoding is not supported.",
    505: "This HTTP version is not supported; send HTTP/1.1.",
}


class ParseError(Exception):
    """A request whose bytes are refused, with the attributes of Waitress' own errors.

    ``code`` is the response's status, ``body`` the reason for the client.
    """

    def __init__(self, code: int, body: str) -> None:
        super().__init__(body)
        self.code: Final = code
        self.body: Final = body

    @property
    def reason(self) -> str:
        """The status line's phrase."""
        return HTTPStatus(self.code).phrase

    def to_response(self, ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        """What Waitress' own error task would write: our document, without a product's name."""
        del ident
        body = refusal(self.code, self.body).body()
        return f"{self.code} {self.reason}", [("Content-Type", "application/json")], body


def refusal(status: int, detail: str) -> ErrorReply:
    """The response in OpenAI's shape; ``detail`` is what is wrong, or what is short (503)."""
    message = detail if status == SHORTAGE else _MESSAGES.get(status)
    if message is None:
        message = f"The request is not valid HTTP: {detail}."
    return reply_for_status(status, message)
