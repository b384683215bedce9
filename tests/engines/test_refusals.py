"""Which refusal of an upstream becomes which error: the whole table, wherever it is told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.engines import EngineBusy, EngineError, EngineRejected, EngineUnavailable
from actors.engines.pool.failures import classify
from actors.engines.refusals import error_of_answer, error_of_object, retry_after

SECRET = b'{"error": {"message": "secret", "type": "t", "param": "p", "code": "c"}}'
JSON = {"content-type": "application/json"}
NOW = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT

FIXED: list[tuple[int, type[EngineError], int]] = [
    (401, EngineUnavailable, 502),
    (403, EngineUnavailable, 502),
    (407, EngineUnavailable, 502),
    (429, EngineBusy, 429),
    (529, EngineBusy, 429),
    (503, EngineUnavailable, 503),
    (500, EngineUnavailable, 502),
    (502, EngineUnavailable, 502),
    (504, EngineUnavailable, 502),
    (501, EngineError, 501),
    (499, EngineUnavailable, 502),
    (302, EngineUnavailable, 502),
    (204, EngineUnavailable, 502),
]


@pytest.mark.parametrize(("status", "kind", "ours"), FIXED)
def test_a_failure_is_told_in_our_words(status: int, kind: type[EngineError], ours: int) -> None:
    error = error_of_answer(status, JSON, SECRET)
    assert type(error) is kind
    assert error.status == ours
    assert "secret" not in error.message
    assert error.param is None


@pytest.mark.parametrize("status", [400, 404, 408, 413, 415, 422, 451])
def test_a_rejection_in_openais_shape_is_passed_on(status: int) -> None:
    error = error_of_answer(status, JSON, SECRET)
    assert type(error) is EngineRejected
    assert (error.status, error.message, error.code, error.param) == (status, "secret", "c", "p")


SHAPES: dict[str, tuple[Any, str, str, str | None]] = {
    "OpenAI": (
        {"error": {"message": "no", "type": None, "param": None, "code": None}},
        "no", "invalid_request", None,
    ),
    "llama.cpp": (
        {"error": {"code": 400, "message": "too long", "type": "exceed_context_size_error"}},
        "too long", "context_length_exceeded", None,
    ),
    "vLLM, too long": (
        {"error": {"message": "This model's maximum context length is 8 tokens.", "code": 400}},
        "This model's maximum context length is 8 tokens.", "context_length_exceeded", None,
    ),
    "SGLang, too long": (
        {"object": "error", "message": "The input (9) is longer than the model's context length."},
        "The input (9) is longer than the model's context length.", "context_length_exceeded", None,
    ),
    "a number as text": ({"error": {"message": "no", "code": "400", "type": "t"}}, "no", "t", None),
    "older vLLM": (
        {"object": "error", "message": "flat", "type": "BadRequestError", "code": 400},
        "flat", "BadRequestError", None,
    ),
    "error in error": ({"error": {"error": {"message": "in", "code": "c"}}}, "in", "c", None),
    "TGI": ({"error": "why", "error_type": "validation"}, "why", "validation", None),
    "Ollama": ({"error": "why"}, "why", "invalid_request", None),
    "a word and a message": (
        {"statusCode": 400, "message": "why", "error": "Bad Request"},
        "why", "invalid_request", None,
    ),
    "FastAPI": ({"detail": "why"}, "why", "invalid_request", None),
    "FastAPI, with an object": ({"detail": {"message": "why", "code": "c"}}, "why", "c", None),
    "FastAPI, validation": (
        {"detail": [
            {"loc": ["body", "messages", 0], "msg": "field required", "type": "missing"},
            {"loc": ["body", "n"], "msg": "too many", "type": "range"},
        ]},
        "messages.0: field required; n: too many", "missing", "messages.0",
    ),
    "a message and a code": ({"message": "why", "code": 8003}, "why", "invalid_request", None),
    "Google": (
        [{"error": {"code": 400, "message": "why", "status": "INVALID_ARGUMENT"}}],
        "why", "INVALID_ARGUMENT", None,
    ),
    "a list of errors": ({"errors": [{"message": "a"}, "b"]}, "a; b", "invalid_request", None),
    "problem details": (
        {"type": "t", "title": "Bad", "detail": "why", "status": 400}, "why", "t", None,
    ),
    "only a title": ({"title": "why"}, "why", "invalid_request", None),
    "a text": ("why", "why", "invalid_request", None),
}  # fmt: skip


@pytest.mark.parametrize(("document", "message", "code", "param"), SHAPES.values(), ids=SHAPES)
def test_the_reason_is_read_from_every_shape_of_the_field(
    document: Any, message: str, code: str, param: str | None
) -> None:
    error = error_of_answer(400, JSON, json.dumps(document).encode())
    assert type(error) is EngineRejected
    assert (error.message, error.code, error.param) == (message, code, param)


@pytest.mark.parametrize("content_type", ["text/plain", "Text/Plain; charset=utf-8", ""])
def test_a_plain_text_is_a_reason(content_type: str) -> None:
    error = error_of_answer(422, {"content-type": content_type}, b"missing field `messages`\n")
    assert (error.status, error.message) == (422, "missing field `messages`")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>secret</html>",
        b"<?xml version='1.0'?><Error><Message>secret</Message></Error>",
        b'{"error": {"message": "secr',
        b"[1]",
        b"5",
        b"null",
        b'{"error": {"message": 5}}',
        b'{"error": {"message": ""}}',
        b'{"error": []}',
        b"\xff\xfe",
    ],
)
@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "text/html", ""])
def test_a_page_or_a_riddle_is_told_in_our_words(body: bytes, content_type: str) -> None:
    error = error_of_answer(422, {"content-type": content_type}, body)
    assert (error.status, error.message) == (422, "the upstream rejected the request")


FOREIGN: list[bytes] = [
    b"<html>404 Not Found</html>",
    b"404 page not found\n",
    b"",
    b'{"detail":"Not Found"}',
    b'{"detail":"Method Not Allowed"}',
    b'{"message":"no Route matched with those values"}',
    b'{"error":"Not Found","status":404,"path":"/chat/completions"}',
    b'{"error":{"code":404,"message":"File Not Found","type":"not_found_error"}}',
    b'{"error":{"message":"Not Found","type":"Not Found","param":null,"code":404}}',
    b'{"object":"error","message":"Method Not Allowed","code":405}',
    b'{"error":{"message":"Invalid URL (POST /chat/completions)","type":"invalid_request_error"}}',
]


@pytest.mark.parametrize("body", FOREIGN)
@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_path_that_is_not_served_counts_against_the_instance(status: int, body: bytes) -> None:
    error = error_of_answer(status, {}, body)
    treatment = classify(error)
    assert (error.status, treatment.retry, treatment.penalty > 0) == (502, True, True)
    assert error.message == f"the upstream does not serve this path (status {status})"


def test_a_model_that_the_api_itself_does_not_know_is_passed_on() -> None:
    body = (
        b'{"error":{"message":"The model `x` does not exist.","type":"NotFoundError","code":404}}'
    )
    error = error_of_answer(404, JSON, body)
    assert (type(error), error.status, classify(error).retry) == (EngineRejected, 404, False)


def test_a_used_up_quota_keeps_its_code() -> None:
    body = b'{"error":{"message":"org-1 has no money","type":"insufficient_quota","code":null}}'
    error = error_of_answer(429, JSON, body)
    assert (error.status, error.code) == (429, "insufficient_quota")
    assert "org-1" not in error.message


PLACES: list[tuple[Any, int, str, bool, bool]] = [
    (
        {"error": {"message": "long", "type": "BadRequestError", "code": 400}},
        400,
        "long",
        False,
        False,
    ),
    ({"object": "error", "message": "long", "code": 400}, 400, "long", False, False),
    ({"error": {"message": "long", "type": "invalid_request_error"}}, 400, "long", False, False),
    ({"error": {"message": "long", "code": "context_length_exceeded"}}, 400, "long", False, False),
    ({"error": {"message": "long", "code": "422"}}, 422, "long", False, False),
    ({"error": "long", "error_type": "validation"}, 400, "long", False, False),
    (
        {"error": {"code": 429, "message": "s"}},
        429,
        "the upstream is busy; try again soon",
        True,
        False,
    ),
    (
        {"error": {"type": "rate_limit_error"}},
        429,
        "the upstream is busy; try again soon",
        True,
        False,
    ),
    ({"error": {"code": 503}}, 503, "the upstream is not ready; try again soon", True, True),
    (
        {"error": {"code": 401, "message": "s"}},
        502,
        "the upstream refused the service's credentials",
        True,
        True,
    ),
    (
        {"error": {"code": 500, "message": "s"}},
        502,
        "the upstream failed with status 500",
        True,
        True,
    ),
    (
        {"error": {"code": "boom", "message": "s"}},
        502,
        "the upstream reported an error",
        True,
        True,
    ),
    ({"error": {}}, 502, "the upstream reported an error", True, True),
    ({}, 502, "the upstream reported an error", True, True),
    ({"error": {"code": True, "message": "s"}}, 502, "the upstream reported an error", True, True),
    ({"error": {"code": 99999, "message": "s"}}, 502, "the upstream reported an error", True, True),
]


@pytest.mark.parametrize(("document", "status", "message", "retry", "blame"), PLACES)
def test_an_error_object_means_what_its_status_would(
    document: Any, status: int, message: str, *, retry: bool, blame: bool
) -> None:
    error = error_of_object(document)
    treatment = classify(error)
    assert (error.status, error.message) == (status, message)
    assert (treatment.retry, treatment.penalty > 0) == (retry, blame)


@pytest.mark.parametrize("status", [*range(400, 430), 451, 499, 500, 501, 502, 503, 504, 529])
def test_the_same_object_means_the_same_in_a_head_and_in_an_event(status: int) -> None:
    document = {"error": {"message": "m", "type": "t", "code": status}}
    head = error_of_answer(status, JSON, json.dumps(document).encode())
    event = error_of_object(document)
    assert (type(head), head.status, head.message, head.code) == (
        type(event), event.status, event.message, event.code,
    )  # fmt: skip


def test_a_message_as_long_as_a_page_is_cut() -> None:
    body = b'{"error": {"message": "%s"}}' % (b"x" * 50_000)
    assert len(error_of_answer(400, {}, body).message) == 2_000


@pytest.mark.parametrize("bad", ["\x00", "\r\n", "\x1b[31m", "\x7f", "\u2028", "\u202e", "\ud83d"])
def test_no_control_character_reaches_the_client(bad: str) -> None:
    text = f"a{bad}b"
    document = {"error": {"message": text, "code": text, "param": text}}
    error = error_of_answer(400, JSON, json.dumps(document).encode())
    assert (error.message, error.code, error.param) == ("a b", "a b", "a b")


def test_a_code_and_a_parameter_are_bounded() -> None:
    document = {"error": {"message": "m", "code": "c" * 9_000, "param": "p" * 9_000}}
    error = error_of_answer(400, JSON, json.dumps(document).encode())
    assert (len(error.code or ""), len(error.param or "")) == (100, 100)


@pytest.mark.parametrize("status", [429, 503])
def test_the_upstreams_retry_after_is_honoured(status: int) -> None:
    assert error_of_answer(status, {"retry-after": "7"}, b"").retry_after == 7


def test_a_retry_after_that_is_a_date_counts_from_the_answers_own_date() -> None:
    headers = {
        "date": "Wed, 21 Oct 2026 07:28:00 GMT",
        "retry-after": "Wed, 21 Oct 2026 07:30:00 GMT",
    }
    assert error_of_answer(429, headers, b"", clock=lambda: 0.0).retry_after == 120
    del headers["date"]
    assert error_of_answer(429, headers, b"", clock=lambda: 1_792_567_790.0).retry_after == 10


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        (" 7 ", 7),
        ("0", 1),
        ("3600", 3600),
        ("9999", 3600),
        ("36000", 3600),
        ("99999999999999999999", 3600),
        ("9" * 5000, 3600),
        ("00000007", 7),
        ("00000", 1),
        ("-5", 1),
        ("1.5", 1),
        ("²", 1),
        ("Sun, 06 Nov 1994 08:50:37 GMT", 60),
        ("Sunday, 06-Nov-94 08:50:37 GMT", 60),
        ("Sun Nov  6 08:50:37 1994", 60),
        ("Sun, 06 Nov 1994 08:40:00 GMT", 1),
        ("Sun, 06 Nov 2044 08:50:37 GMT", 3600),
        ("Sun, 99 Nov 1994 08:50:37 GMT", 1),
        ("soon", 1),
        ("", 1),
        (None, 1),
    ],
)
def test_retry_after_is_between_a_second_and_an_hour(value: str | None, seconds: int) -> None:
    assert retry_after(value, NOW) == seconds


@given(st.integers(100, 599), st.binary(max_size=50), st.text(max_size=10), st.text(max_size=30))
def test_no_answer_can_make_the_table_fail(status: int, body: bytes, retry: str, date: str) -> None:
    error = error_of_answer(status, {"retry-after": retry, "date": date}, body)
    assert 400 <= error.status < 600


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["error", "detail", "message", "code", "loc", "errors", "type", "param"]
            ),
            inner,
        )
    ),
    max_leaves=12,
)


@given(json_values)
def test_no_document_can_make_the_table_fail(document: Any) -> None:
    assert 400 <= error_of_object(document).status < 600
