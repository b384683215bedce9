"""Whether a request's body is read at all: decided on its head alone.

The application refuses by these rules wherever it runs. Our own server asks them before the body is
there: one that will not be read is neither waited for nor kept, nor asked for by ``100 Continue``.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Final

from http_service.api.api_keys import ApiKeys, authorization_of
from http_service.api.content_coding import codings_of
from http_service.api.hosts import Hosts
from http_service.api.validation import check_content_type
from http_service.errors import RequestError
from http_service.headers import (
    PRIORITY_HEADER,
    TIMEOUT_HEADER,
    priority_from,
    request_timeout_from,
)

__all__ = [
    "check_body_head",
    "reads_body",
]

_TIMEOUT: Final = "HTTP_" + TIMEOUT_HEADER.upper().replace("-", "_")
_PRIORITY: Final = "HTTP_" + PRIORITY_HEADER.upper().replace("-", "_")


def check_body_head(
    content_type: str | None,
    content_encoding: str | None,
    timeout: str | None,
    *,
    form: bool = False,
) -> tuple[tuple[str, ...], float | None]:
    """The codings of the body and the client's own timeout in seconds, from its headers; pure.

    ``form``: whether it must be a form, not JSON. Raises ``UnsupportedMediaType``,
    ``UnsupportedContentCoding`` or ``InvalidValue``.
    """
    check_content_type(content_type, form=form)
    codings = codings_of(content_encoding) if content_encoding else ()
    return codings, None if timeout is None else request_timeout_from(timeout)


def reads_body(
    paths: Container[str],
    keys: ApiKeys | None,
    method: str,
    path: str,
    headers: Mapping[str, str],
    hosts: Hosts | None = None,
    forms: Container[str] = (),
) -> bool | None:
    """Whether the application reads the body of a request with this head; never waits.

    ``paths`` are those whose ``POST`` has a body, ``forms`` those where it is a form; ``keys`` are
    the keys that are let in, ``None`` for everybody; ``hosts`` are those that the service answers
    for, ``None`` for any; ``headers`` are named as in WSGI's environment. False where the
    application refuses the request or needs no body; ``None``: ask again, the file of keys is being
    read.
    """
    path = path.removesuffix("/")
    if method != "POST" or path not in paths:
        return False
    if hosts is not None and not hosts.allow(headers.get("HTTP_HOST")):
        return False
    try:
        if keys is not None and not keys.has_key(authorization_of(headers)):
            return None if keys.is_checking() else False
        check_body_head(
            headers.get("CONTENT_TYPE"),
            headers.get("HTTP_CONTENT_ENCODING"),
            headers.get(_TIMEOUT),
            form=path in forms,
        )
        priority_from(headers.get(_PRIORITY))
    except RequestError:
        return False
    return True
