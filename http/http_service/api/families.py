"""Which API family a path belongs to: its errors have the family's shape, whatever refuses.

OpenAI's shape is the default. The path decides, because a request may be refused before its route
is known: for its key, its size, or because the service drains.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, TypeAlias

from http_service.dialects.messages_response import error_body
from http_service.errors import ErrorReply

__all__ = ["ANTHROPIC_ID_HEADER", "ErrorDocument", "error_document"]

ANTHROPIC_ID_HEADER: Final = "request-id"
"""Where Anthropic's clients read the id of a request."""

Writer: TypeAlias = Callable[[ErrorReply, str], bytes]

_WRITERS: Final[Mapping[str, Writer]] = {"/v1/messages": error_body}
"""By the path at which a family begins; below it everything is the family's."""


class ErrorDocument(NamedTuple):
    """The body of an error, and the headers that its family adds."""

    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


def error_document(reply: ErrorReply, path: str, request_id: str) -> ErrorDocument:
    """``reply`` as the clients of ``path`` read it; pure."""
    for root, writer in _WRITERS.items():
        if path == root or path.startswith(f"{root}/"):
            headers = ((ANTHROPIC_ID_HEADER, request_id),)
            return ErrorDocument(writer(reply, request_id), headers)
    return ErrorDocument(reply.body())
