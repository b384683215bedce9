"""How the resources of the admin API read a request and write a document."""

from __future__ import annotations

from typing import Any, Final, TypeVar
from urllib.parse import unquote

import falcon
import msgspec

from http_service.api.validation import parse_json
from http_service.connection import KEY, Connection
from http_service.errors import BodyTooLarge, InvalidValue
from http_service.inline import WouldBlock, may_block

__all__ = ["body_as", "on_worker", "query_as", "raw_path", "write"]

S = TypeVar("S", bound=msgspec.Struct)

MAX_BODY: Final = 64 * 1024
"""Bytes of a body: the largest that means something has a hundred."""

_WHERE: Final = " - at `$."


def body_as(req: falcon.Request, schema: type[S]) -> S:
    """The request's body. Raises ``MalformedRequest``, ``InvalidValue`` or ``BodyTooLarge``."""
    connection: Connection | None = req.env.get(KEY)
    raw = connection.whole_body() if connection is not None else req.bounded_stream.read()
    if len(raw) > MAX_BODY:
        raise BodyTooLarge(MAX_BODY)
    return _converted(parse_json(raw), schema, strict=True)


def query_as(req: falcon.Request, schema: type[S]) -> S:
    """The request's query, each field at most once. Raises ``InvalidValue``."""
    return _converted(req.params, schema, strict=False)


def _converted(given: Any, schema: type[S], *, strict: bool) -> S:
    try:
        return msgspec.convert(given, schema, strict=strict)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(_WHERE)
        raise InvalidValue(message, where.rstrip("`") or None) from None


def write(resp: falcon.Response, document: Any) -> None:
    """Answer with ``document`` as JSON, which no cache may keep."""
    resp.content_type = falcon.MEDIA_JSON
    resp.set_header("cache-control", "no-store")
    # A component's details are its own: whatever JSON can't say is shown as text.
    resp.data = msgspec.json.encode(document, enc_hook=str)


def on_worker() -> None:
    """Raise ``WouldBlock`` unless the caller may wait: what follows may take seconds."""
    if not may_block():
        raise WouldBlock


def raw_path(req: falcon.Request, prefix: str) -> list[str]:
    """The parts of the path after ``prefix``, each unquoted by itself: names hold slashes.

    Under a server that keeps no raw path, the parts of the unquoted one.
    """
    target = str(req.env.get("REQUEST_URI") or "").partition("?")[0].partition("#")[0]
    _, found, rest = target.partition(f"{prefix}/")
    if not found:
        return req.path.removeprefix(f"{prefix}/").split("/")
    return [unquote(part) for part in rest.removesuffix("/").split("/")]
