"""Which refusal of an upstream becomes which error: the whole table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.engines import EngineBusy, EngineError, EngineRejected, EngineUnavailable
from actors.engines.upstream.errors import error_for, retry_after

SECRET = b'{"error": {"message": "secret", "type": "t", "param": "p", "code": "c"}}'

FIXED: list[tuple[int, type[EngineError], int]] = [
    (401, EngineUnavailable, 502),
    (403, EngineUnavailable, 502),
    (407, EngineUnavailable, 502),
    (429, EngineBusy, 429),
    (503, EngineUnavailable, 503),
    (500, EngineUnavailable, 502),
    (502, EngineUnavailable, 502),
    (504, EngineUnavailable, 502),
    (302, EngineUnavailable, 502),
    (204, EngineUnavailable, 502),
]


@pytest.mark.parametrize(("status", "kind", "ours"), FIXED)
def test_a_failure_is_told_in_our_words(status: int, kind: type[EngineError], ours: int) -> None:
    error = error_for(status, {}, SECRET)
    assert type(error) is kind
    assert error.status == ours
    assert "secret" not in error.message
    assert error.param is None


@pytest.mark.parametrize("status", [400, 404, 408, 413, 422])
def test_a_rejection_in_openais_shape_is_passed_on(status: int) -> None:
    error = error_for(status, {}, SECRET)
    assert type(error) is EngineRejected
    assert (error.status, error.message, error.code, error.param) == (status, "secret", "c", "p")


SHAPES = [
    (b'{"error":{"code":400,"message":"too long","type":"exceed_context_size_error"}}',
     "too long", "exceed_context_size_error"),  # llama.cpp: no param, code is a number
    (b'{"error":{"message":"no","type":null,"param":null,"code":null}}', "no", "invalid_request"),
    (b'{"object":"error","message":"flat","type":"BadRequestError","code":400}',
     "flat", "BadRequestError"),  # older vLLM
]  # fmt: skip


@pytest.mark.parametrize(("body", "message", "code"), SHAPES)
def test_real_servers_shapes_are_understood(body: bytes, message: str, code: str) -> None:
    error = error_for(400, {}, body)
    assert (error.message, error.code, error.param) == (message, code, None)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>secret</html>",
        b"[1]",
        b'"secret"',
        b'{"detail": "secret"}',
        b'{"error": "secret"}',
        b'{"error": {"message": 5}}',
        b'{"error": {"message": ""}}',
        b"\xff\xfe",
    ],
)
def test_a_rejection_in_any_other_shape_is_told_in_our_words(body: bytes) -> None:
    error = error_for(422, {}, body)
    assert (error.status, error.message) == (422, "the upstream rejected the request")


def test_a_message_as_long_as_a_page_is_cut() -> None:
    body = b'{"error": {"message": "%s"}}' % (b"x" * 100_000)
    assert len(error_for(400, {}, body).message) == 2_000


@pytest.mark.parametrize("status", [429, 503])
def test_the_upstreams_retry_after_is_honoured(status: int) -> None:
    assert error_for(status, {"retry-after": "7"}, b"").retry_after == 7


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
        ("Wed, 21 Oct 2026 07:28:00 GMT", 1),
        ("", 1),
        (None, 1),
    ],
)
def test_retry_after_is_between_a_second_and_an_hour(value: str | None, seconds: int) -> None:
    assert retry_after(value) == seconds


@given(st.integers(100, 599), st.binary(max_size=50), st.text(max_size=10))
def test_no_answer_can_make_the_table_fail(status: int, body: bytes, retry: str) -> None:
    error = error_for(status, {"retry-after": retry}, body)
    assert 400 <= error.status < 600
