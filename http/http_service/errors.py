"""Every failure a client can see, as data: one table from error to response, one serialiser.

OpenAI's shape, ``{"error": {"message", "type", "param", "code"}}``, everywhere: SDKs read nothing
else. An exception that the table does not know becomes a 500 with a fixed text; its own words go to
the log and never to a client.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeAlias, cast

import falcon
import orjson
import pykka

from actors.engines.errors import EngineError
from actors.registry.catalog import ModelAlreadyExists, ModelNotFound
from actors.supervision.errors import ActorCrashed, Cancelled, NotDelivered

__all__ = [
    "BodyTooLarge",
    "ClientGone",
    "Draining",
    "ErrorReply",
    "ErrorType",
    "Headers",
    "InvalidApiKey",
    "InvalidValue",
    "MalformedRequest",
    "Misdirected",
    "NoRoomForBody",
    "PreviousResponseNotFound",
    "RequestError",
    "ResponseNotFound",
    "UnsupportedContentCoding",
    "UnsupportedMediaType",
    "UnsupportedParameter",
    "body_of",
    "error_type_of_status",
    "is_counted",
    "reply_for",
    "reply_for_status",
]

RETRY_AFTER: Final = 1
"""Seconds a client is asked to wait where the error itself names no time: restarts take less."""

NAME_LIMIT: Final = 200
"""Characters of a model's name that an error repeats: names come from strangers."""

INTERNAL: Final = "The server had an error while processing your request."

NO_ROOM: Final = "The request bodies that are held here leave no room for this one. Please retry."


Headers: TypeAlias = tuple[tuple[str, str], ...]


class RequestError(Exception):
    """The base of the client's mistakes; ``param`` is the field at fault, where there is one."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


class UnsupportedMediaType(RequestError):
    """The body is not declared as JSON."""


class UnsupportedContentCoding(RequestError):
    """The body has a content coding that can't be undone here."""


class MalformedRequest(RequestError):
    """The body is not a JSON object of the endpoint's shape."""


class InvalidValue(RequestError):
    """A field has the right type and a value that is not allowed."""


class UnsupportedParameter(InvalidValue):
    """A field that means something, but not here. A 400: clients ask again after a 501."""


class PreviousResponseNotFound(InvalidValue):
    """A request goes on from a response that is not stored; ``stored_here``: others may be."""

    def __init__(self, response_id: str, *, stored_here: bool) -> None:
        message = (
            f"Previous response with id {_short(response_id)!r} not found{_where(stored_here)}"
        )
        super().__init__(message, "previous_response_id")


class ResponseNotFound(RequestError):
    """A response that is not stored, or not any more; ``stored_here``: others may be."""

    def __init__(self, response_id: str, *, stored_here: bool) -> None:
        super().__init__(f"Response with id {_short(response_id)!r} not found{_where(stored_here)}")


def _short(name: str) -> str:
    """A name as an error repeats it: it comes from a stranger."""
    return name if len(name) <= NAME_LIMIT else name[:NAME_LIMIT] + "…"


def _where(stored_here: bool) -> str:  # noqa: FBT001  # two words
    return "." if stored_here else ": responses are not stored here (see --responses-store)."


class InvalidApiKey(Exception):
    """The request bears no key, or one that is not (or no longer) in the file."""

    def __init__(self, *, given: bool) -> None:
        super().__init__("the API key is unknown" if given else "there is no API key")
        self.given: Final = given


class Misdirected(Exception):
    """A request for a host that this service does not serve (RFC 9110, 15.5.20)."""


class Draining(Exception):
    """The service is shutting down and takes, or finishes, no more work."""


class BodyTooLarge(Exception):
    """A request body exceeds the limit of ``limit`` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the request body exceeds the limit of {limit} bytes")
        self.limit = limit


class NoRoomForBody(Exception):
    """All request bodies together would exceed the service's budget."""


class ClientGone(Exception):
    """The client left before its response was complete."""


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """One error as the client gets it, and as the metrics count it.

    ``code`` is what programs switch on, ``param`` the request field at fault; ``retry_after`` is in
    seconds; ``headers`` are further response headers.
    """

    status: int
    message: str
    type: str
    code: str | None
    error_type: ErrorType
    param: str | None = None
    retry_after: int | None = None
    headers: Headers = ()

    def body(self) -> bytes:
        """The JSON document of this error, in OpenAI's shape."""
        document = body_of(self.message, self.type, self.param, self.code)
        try:
            return orjson.dumps(document)
        except orjson.JSONEncodeError:  # an engine's words: no text, or what UTF-8 can't say
            return json.dumps(document, ensure_ascii=False, default=str).encode("utf-8", "replace")


def body_of(message: str, type_: str, param: str | None, code: str | None) -> dict[str, object]:
    """OpenAI's error object."""
    return {"error": {"message": message, "type": type_, "param": param, "code": code}}


def reply_for(error: BaseException) -> ErrorReply:
    """The response to ``error``, by its most specific class in the table; pure."""
    for cls in type(error).__mro__:
        rule = _RULES.get(cls)
        if rule is not None:
            return rule(error)
    return reply_for_status(500, INTERNAL)


def is_counted(error: BaseException) -> bool:
    """Whether a request that was refused with ``error``, before any engine was asked, is counted
    among the requests to a model, as Dynamo counts them; pure."""
    return isinstance(error, _COUNTED)


def reply_for_status(
    status: int,
    message: str,
    *,
    code: str | None = None,
    param: str | None = None,
    retry_after: int | None = None,
    headers: Headers = (),
) -> ErrorReply:
    """The response with ``status``; type, code and metric label follow from it unless given."""
    if retry_after is None and status in (429, 503):
        retry_after = RETRY_AFTER
    return ErrorReply(
        status=status,
        message=message,
        type=_TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error"),
        code=code if code is not None else _CODES.get(status),
        error_type=error_type_of_status(status),
        param=param,
        retry_after=retry_after,
        headers=headers,
    )


_COUNTED: Final = (InvalidValue, ModelNotFound, EngineError)
"""A value that a field can't have, a model that is not served, a request that goes in a circle."""

_TYPES: Final[Mapping[int, str]] = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
}

_CODES: Final[Mapping[int, str]] = {
    400: "invalid_request",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "request_too_large",
    415: "unsupported_media_type",
    421: "misdirected_request",
    429: "overloaded",
    431: "headers_too_large",
    499: "cancelled",
    500: "internal_error",
    501: "not_implemented",
    502: "upstream_unavailable",
    503: "service_unavailable",
    504: "upstream_timeout",
}


def _malformed(error: MalformedRequest) -> ErrorReply:
    return reply_for_status(400, error.message, param=error.param)


def _invalid(error: InvalidValue) -> ErrorReply:
    return reply_for_status(400, error.message, code="invalid_value", param=error.param)


def _previous(error: PreviousResponseNotFound) -> ErrorReply:
    return reply_for_status(
        400, error.message, code="previous_response_not_found", param=error.param
    )


def _no_response(error: ResponseNotFound) -> ErrorReply:
    return reply_for_status(404, error.message)


def _unsupported(error: UnsupportedParameter) -> ErrorReply:
    return reply_for_status(400, error.message, code="unsupported_parameter", param=error.param)


def _media_type(error: UnsupportedMediaType) -> ErrorReply:
    return reply_for_status(415, error.message)


def _content_coding(error: UnsupportedContentCoding) -> ErrorReply:
    # RFC 9110, 12.5.3: what would be accepted.
    return reply_for_status(415, error.message, headers=(("Accept-Encoding", "gzip, deflate"),))


def _too_large(error: BodyTooLarge) -> ErrorReply:
    return reply_for_status(413, f"The request body exceeds the limit of {error.limit} bytes.")


def _no_room(_error: NoRoomForBody) -> ErrorReply:
    return reply_for_status(503, NO_ROOM)


def _invalid_api_key(error: InvalidApiKey) -> ErrorReply:
    # SECURITY: OpenAI repeats a part of the key here; no client needs that.
    message = (
        "Incorrect API key provided."
        if error.given
        else "You didn't provide an API key. Send it in the header Authorization: Bearer YOUR_KEY."
    )
    return reply_for_status(
        401, message, code="invalid_api_key", headers=(("WWW-Authenticate", "Bearer"),)
    )


def _model_not_found(error: ModelNotFound) -> ErrorReply:
    message = f"The model `{_short(error.model)}` does not exist or you do not have access to it."
    return reply_for_status(404, message, code="model_not_found", param="model")


def _model_exists(error: ModelAlreadyExists) -> ErrorReply:
    return reply_for_status(409, f"The model `{error.model}` exists already.", code="model_exists")


def _registry_away(_error: BaseException) -> ErrorReply:
    return reply_for_status(503, "The model registry is restarting. Please retry shortly.")


def _misdirected(_error: Misdirected) -> ErrorReply:
    message = "This service does not answer for the host in the Host header; see --allowed-hosts."
    return reply_for_status(421, message)


def _draining(_error: Draining) -> ErrorReply:
    message = "The service is shutting down. Please retry; another instance may answer."
    return reply_for_status(503, message, code="shutting_down")


def _cancelled(_error: BaseException) -> ErrorReply:
    return reply_for_status(499, "The request was cancelled.")


def _engine(error: EngineError) -> ErrorReply:
    return reply_for_status(
        error.status,
        error.message,
        code=error.code,
        param=error.param,
        retry_after=error.retry_after,
    )


def _falcon(error: falcon.HTTPError) -> ErrorReply:
    headers = cast("dict[str, str]", dict(error.headers or {}))
    detail = error.description or error.title or "The request can't be answered."
    return reply_for_status(error.status_code, detail, headers=tuple(headers.items()))


_RULES: Final[Mapping[type, Callable[..., ErrorReply]]] = MappingProxyType(
    {
        MalformedRequest: _malformed,
        InvalidValue: _invalid,
        UnsupportedParameter: _unsupported,
        PreviousResponseNotFound: _previous,
        ResponseNotFound: _no_response,
        UnsupportedMediaType: _media_type,
        UnsupportedContentCoding: _content_coding,
        InvalidApiKey: _invalid_api_key,
        BodyTooLarge: _too_large,
        NoRoomForBody: _no_room,
        ModelNotFound: _model_not_found,
        ModelAlreadyExists: _model_exists,
        pykka.Timeout: _registry_away,
        pykka.ActorDeadError: _registry_away,
        ActorCrashed: _registry_away,
        NotDelivered: _registry_away,
        Misdirected: _misdirected,
        Draining: _draining,
        Cancelled: _cancelled,
        ClientGone: _cancelled,
        EngineError: _engine,
        falcon.HTTPError: _falcon,
    }
)


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
    """The metrics' label for a response with ``status``; "" below 400."""
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
