"""The table from failure to answer."""

from __future__ import annotations

import json
from typing import Any

import falcon
import pykka
import pytest

from actors.engines.errors import (
    EngineBusy,
    EngineError,
    EngineRejected,
    EngineTimeout,
    EngineUnavailable,
)
from actors.registry.catalog import ModelAlreadyExists, ModelNotFound
from actors.supervision.errors import ActorCrashed, Cancelled, NotDelivered
from http_service.errors import (
    INTERNAL,
    NAME_LIMIT,
    BodyTooLarge,
    ClientGone,
    Draining,
    ErrorType,
    InvalidValue,
    MalformedRequest,
    UnsupportedMediaType,
    error_type_of_status,
    reply_for,
    reply_for_status,
)

BAD = "invalid_request_error"
OURS = "server_error"

TABLE: list[tuple[BaseException, int, str, str, ErrorType]] = [
    (MalformedRequest("x", "n"), 400, BAD, "invalid_request", ErrorType.VALIDATION),
    (InvalidValue("x", "n"), 400, BAD, "invalid_value", ErrorType.VALIDATION),
    (UnsupportedMediaType("x"), 415, BAD, "unsupported_media_type", ErrorType.VALIDATION),
    (BodyTooLarge(5), 413, BAD, "request_too_large", ErrorType.VALIDATION),
    (ModelNotFound("m"), 404, BAD, "model_not_found", ErrorType.NOT_FOUND),
    (ModelAlreadyExists("m"), 409, BAD, "model_exists", ErrorType.VALIDATION),
    (pykka.Timeout("1 s"), 503, OURS, "service_unavailable", ErrorType.UNAVAILABLE),
    (pykka.ActorDeadError("x"), 503, OURS, "service_unavailable", ErrorType.UNAVAILABLE),
    (ActorCrashed("x"), 503, OURS, "service_unavailable", ErrorType.UNAVAILABLE),
    (NotDelivered("gone"), 503, OURS, "service_unavailable", ErrorType.UNAVAILABLE),
    (Draining(), 503, OURS, "shutting_down", ErrorType.UNAVAILABLE),
    (Cancelled("x"), 499, BAD, "cancelled", ErrorType.CANCELLED),
    (ClientGone(), 499, BAD, "cancelled", ErrorType.CANCELLED),
    (EngineRejected("x"), 400, BAD, "invalid_request", ErrorType.VALIDATION),
    (
        EngineRejected("x", status=403),
        403,
        "permission_error",
        "invalid_request",
        ErrorType.VALIDATION,
    ),
    (EngineBusy("x"), 429, "rate_limit_error", "overloaded", ErrorType.OVERLOAD),
    (EngineUnavailable("x"), 502, OURS, "upstream_unavailable", ErrorType.INTERNAL),
    (EngineTimeout("x"), 504, OURS, "upstream_timeout", ErrorType.RESPONSE_TIMEOUT),
    (EngineError("x"), 500, OURS, "internal_error", ErrorType.INTERNAL),
    (falcon.HTTPNotFound(), 404, BAD, "not_found", ErrorType.NOT_FOUND),
    (falcon.HTTPMethodNotAllowed(["GET"]), 405, BAD, "method_not_allowed", ErrorType.VALIDATION),
    (RuntimeError("x"), 500, OURS, "internal_error", ErrorType.INTERNAL),
    (RecursionError(), 500, OURS, "internal_error", ErrorType.INTERNAL),
]


@pytest.mark.parametrize(("error", "status", "type_", "code", "error_type"), TABLE, ids=repr)
def test_every_failure_has_its_answer(
    error: BaseException, status: int, type_: str, code: str, error_type: ErrorType
) -> None:
    reply = reply_for(error)

    assert (reply.status, reply.type, reply.code) == (status, type_, code)
    assert reply.error_type is error_type


def body(error: BaseException) -> dict[str, Any]:
    """The error object a client reads."""
    document = json.loads(reply_for(error).body())
    assert set(document) == {"error"}
    found: dict[str, Any] = document["error"]
    return found


def test_the_body_is_openais_shape_with_every_key_present() -> None:
    assert body(InvalidValue("n is too big", "n")) == {
        "message": "n is too big",
        "type": "invalid_request_error",
        "param": "n",
        "code": "invalid_value",
    }
    assert body(Draining())["param"] is None


@pytest.mark.parametrize("words", ["bad \udc80 name", b"bytes", ["a list"]])
def test_an_engine_whose_words_are_no_text_is_still_answered_for(words: Any) -> None:
    error = body(EngineRejected(words))

    assert error["code"] == "invalid_request"
    assert error["message"] in ("bad ? name", "b'bytes'", ["a list"])


@pytest.mark.parametrize("secret", ["/srv/models/secret.gguf", "Traceback (most recent call last)"])
def test_an_unknown_exceptions_words_never_leak(secret: str) -> None:
    error = body(RuntimeError(secret))

    assert error["message"] == INTERNAL
    assert secret not in json.dumps(error)


def test_an_engine_errors_own_fields_win() -> None:
    error = EngineRejected("too long", code="context_length_exceeded", param="messages")

    assert body(error)["code"] == "context_length_exceeded"
    assert body(error)["param"] == "messages"
    assert body(error)["message"] == "too long"


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (EngineBusy("x", retry_after=7), 7),
        (EngineBusy("x"), 1),
        (Draining(), 1),
        (ClientGone(), None),
    ],
)
def test_retry_after_is_given_where_a_retry_may_help(
    error: BaseException, seconds: int | None
) -> None:
    assert reply_for(error).retry_after == seconds


def test_the_most_special_class_decides() -> None:
    class Special(EngineBusy):
        """A subclass that the table does not name."""

    assert reply_for(Special("x")).status == 429


def test_a_405_keeps_its_allow_header() -> None:
    assert ("Allow", "GET, HEAD") in reply_for(falcon.HTTPMethodNotAllowed(["GET", "HEAD"])).headers


def test_a_strangers_model_name_is_repeated_only_in_part() -> None:
    message = body(ModelNotFound("x" * 10_000))["message"]

    assert "x" * NAME_LIMIT in message
    assert len(message) < NAME_LIMIT + 100


@pytest.mark.parametrize(
    ("status", "error_type"),
    [
        (200, ""),
        (302, ""),
        (400, "validation"),
        (404, "not_found"),
        (418, "validation"),
        (429, "overload"),
        (499, "cancelled"),
        (500, "internal"),
        (501, "not_implemented"),
        (502, "internal"),
        (503, "unavailable"),
        (504, "response_timeout"),
        (529, "overload"),
    ],
)
def test_every_status_has_a_label(status: int, error_type: str) -> None:
    assert error_type_of_status(status) == error_type


def test_an_unlisted_status_still_makes_a_whole_answer() -> None:
    reply = reply_for_status(418, "no coffee")

    assert (reply.type, reply.code) == ("invalid_request_error", None)
    assert reply_for_status(599, "x").type == "server_error"
