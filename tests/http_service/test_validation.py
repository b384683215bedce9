"""From bytes to a valid body: every mistake of a client, by its message and its field."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.engines.contract import Kind
from http_service.validation import (
    MAX_DEPTH,
    InvalidValue,
    MalformedRequest,
    RequestError,
    UnsupportedMediaType,
    ValidRequest,
    check_content_type,
    parse_json,
    validate,
)

HELLO = [{"role": "user", "content": "hello"}]
CHAT: dict[str, Any] = {"model": "m", "messages": HELLO}
TEXT: dict[str, Any] = {"model": "m", "prompt": "hello"}

NOT_JSON = {
    "empty": b"",
    "half an object": b'{"model": "m"',
    "two objects": b"{} {}",
    "single quotes": b"{'model': 'm'}",
    "a trailing comma": b'{"a": 1,}',
    "NaN": b'{"a": NaN}',
    "infinity": b'{"a": 1e999}',
    "invalid UTF-8": b'{"a": "\xff\xfe"}',
    "a lone surrogate": b'{"a": "\\ud800"}',
    "a raw control character": b'{"a": "\x01"}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "arrays 100,000 deep": b"[" * 100_000 + b"]" * 100_000,
    "objects 100,000 deep": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "unclosed 100,000 deep": b"[" * 100_000,
    "a number of 1,000,000 digits": b'{"max_tokens": ' + b"9" * 1_000_000 + b"}",
}


def test_too_little_memory_is_not_the_clients_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    def loads(_raw: bytes) -> object:
        raise orjson.JSONDecodeError("Not enough memory to allocate buffer for parsing", "", 0)

    monkeypatch.setattr(orjson, "loads", loads)
    with pytest.raises(MemoryError):
        parse_json(b"{}")


@pytest.mark.parametrize("raw", NOT_JSON.values(), ids=NOT_JSON.keys())
def test_what_is_not_json_is_malformed_and_nothing_worse(raw: bytes) -> None:
    with pytest.raises(MalformedRequest, match="not valid JSON"):
        parse_json(raw)


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"[]", "an array"),
        (b'"x"', "a string"),
        (b"1", "a number"),
        (b"1.5", "a number"),
        (b"true", "a boolean"),
        (b"null", "null"),
    ],
)
def test_a_body_must_be_an_object(raw: bytes, name: str) -> None:
    with pytest.raises(MalformedRequest, match=f"must be a JSON object, not {name}"):
        parse_json(raw)


def nested(levels: int) -> bytes:
    """An object that nests ``levels`` containers, itself included."""
    return b'{"a":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"


def test_nesting_is_allowed_up_to_the_limit_and_not_beyond() -> None:
    parse_json(nested(MAX_DEPTH))
    with pytest.raises(MalformedRequest, match=f"more than {MAX_DEPTH} levels"):
        parse_json(nested(MAX_DEPTH + 1))


def test_many_brackets_side_by_side_are_not_depth() -> None:
    body: dict[str, Any] = {"messages": [{"parts": [{}, {}, []]} for _ in range(MAX_DEPTH)]}

    assert parse_json(json.dumps(body).encode()) == body


def test_a_body_within_the_depth_limit_can_be_written_again() -> None:
    assert orjson.dumps(parse_json(nested(MAX_DEPTH))) == nested(MAX_DEPTH)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_parse_or_are_malformed(raw: bytes) -> None:
    with suppress(MalformedRequest):
        assert isinstance(parse_json(raw), dict)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=utf-8",
        " application/json ",
        "application/vnd.api+json",
    ],
)
def test_json_content_types_pass(content_type: str) -> None:
    check_content_type(content_type)


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonp",
        "application/json+xml",
        "text/json",
        "multipart/form-data; boundary=application/json",
    ],
)
def test_other_content_types_do_not(content_type: str | None) -> None:
    with pytest.raises(UnsupportedMediaType, match="application/json"):
        check_content_type(content_type)


def test_the_smallest_valid_bodies_pass() -> None:
    assert validate(Kind.CHAT, CHAT) == ValidRequest("m", stream=False, include_usage=False)
    assert validate(Kind.COMPLETIONS, TEXT) == ValidRequest("m", stream=False, include_usage=False)


def test_stream_and_usage_are_read() -> None:
    body = {**CHAT, "stream": True, "stream_options": {"include_usage": True}}

    assert validate(Kind.CHAT, body) == ValidRequest("m", stream=True, include_usage=True)


FINE_FOR_CHAT: list[dict[str, Any]] = [
    {"temperature": 0},
    {"temperature": 2.0},
    {"temperature": None},
    {"top_p": 1},
    {"n": 128},
    {"max_tokens": 1},
    {"max_completion_tokens": 5},
    {"stop": "END"},
    {"stop": ["a", "b", "c", "d"]},
    {"stop": None},
    {"stream": False},
    {"stream": None},
    {"stream": True, "stream_options": {}},
    {"stream_options": None},
    {"logit_bias": {"50256": -100}},
    {"tools": [{"type": "function", "function": {"name": "f"}}]},
    {"tool_choice": "auto"},
    {"tool_choice": {"type": "function", "function": {"name": "f"}}},
    {"response_format": {"type": "json_object"}},
    {"messages": [{"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}]},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]},
    {"messages": [{"role": "ipython", "content": "a role of the model's own"}]},
    {"nobody": {"knows": ["this", 1]}, "min_p": 0.1},
]


@pytest.mark.parametrize("extra", FINE_FOR_CHAT, ids=str)
def test_a_valid_conversation_passes(extra: dict[str, Any]) -> None:
    assert validate(Kind.CHAT, {**CHAT, **extra}).model == "m"


@pytest.mark.parametrize("prompt", ["x", ["x"], ["x", "y"], [1, 2, 3], [[1], [2, 3]]], ids=str)
def test_a_prompt_is_text_texts_tokens_or_lists_of_tokens(prompt: object) -> None:
    assert validate(Kind.COMPLETIONS, {"model": "m", "prompt": prompt}).model == "m"


WITHOUT: list[tuple[Kind, dict[str, Any], str]] = [
    (Kind.CHAT, {"messages": HELLO}, "model"),
    (Kind.CHAT, {"model": "m"}, "messages"),
    (Kind.CHAT, {"model": "m", "prompt": "a completion"}, "messages"),
    (Kind.COMPLETIONS, {"prompt": "x"}, "model"),
    (Kind.COMPLETIONS, {"model": "m"}, "prompt"),
    (Kind.COMPLETIONS, {"model": "m", "messages": HELLO}, "prompt"),
    (Kind.CHAT, {"model": "m", "messages": [{"content": "x"}]}, "messages[0].role"),
    (
        Kind.CHAT,
        {"model": "m", "messages": [*HELLO, {"role": "user", "content": [{}]}]},
        "messages[1].content[0].type",
    ),
]


@pytest.mark.parametrize(("kind", "body", "param"), WITHOUT, ids=str)
def test_a_missing_field_is_malformed_and_named(
    kind: Kind, body: dict[str, Any], param: str
) -> None:
    error = refusal(kind, body)

    assert type(error) is MalformedRequest
    assert error.param == param
    assert error.message == f"Missing required field: {param}"


WRONG_TYPE: list[tuple[dict[str, Any], str]] = [
    ({"model": 5}, "model"),
    ({"model": None}, "model"),
    ({"messages": "hello"}, "messages"),
    ({"messages": None}, "messages"),
    ({"messages": {}}, "messages"),
    ({"messages": ["hello"]}, "messages[0]"),
    ({"messages": [{"role": 1}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content[0]"),
    ({"messages": [{"role": "user", "tool_calls": {}}]}, "messages[0].tool_calls"),
    ({"max_tokens": "10"}, "max_tokens"),
    ({"max_tokens": 1.5}, "max_tokens"),
    ({"max_tokens": True}, "max_tokens"),
    ({"temperature": "hot"}, "temperature"),
    ({"n": "1"}, "n"),
    ({"stop": 5}, "stop"),
    ({"stop": [5]}, "stop[0]"),
    ({"stream": "yes"}, "stream"),
    ({"stream": 1}, "stream"),
    ({"stream": True, "stream_options": []}, "stream_options"),
    ({"stream": True, "stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
    ({"tools": {}}, "tools"),
    ({"seed": "x"}, "seed"),
    ({"user": 7}, "user"),
]


@pytest.mark.parametrize(("extra", "param"), WRONG_TYPE, ids=str)
def test_a_wrong_type_is_malformed_and_named(extra: dict[str, Any], param: str) -> None:
    error = refusal(Kind.CHAT, {**CHAT, **extra})

    assert type(error) is MalformedRequest
    assert error.param == param
    assert error.message.startswith(f"Invalid value for {param}: expected ")


WRONG_VALUE: list[tuple[dict[str, Any], str]] = [
    ({"model": ""}, "model"),
    ({"messages": []}, "messages"),
    ({"messages": [{"role": ""}]}, "messages[0].role"),
    ({"temperature": -0.1}, "temperature"),
    ({"temperature": 2.1}, "temperature"),
    ({"top_p": -1}, "top_p"),
    ({"top_p": 1.01}, "top_p"),
    ({"n": 0}, "n"),
    ({"n": 129}, "n"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": -5}, "max_tokens"),
    ({"max_completion_tokens": 0}, "max_completion_tokens"),
    ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
    ({"frequency_penalty": 3}, "frequency_penalty"),
    ({"presence_penalty": -3}, "presence_penalty"),
    ({"top_logprobs": 21}, "top_logprobs"),
    ({"stream_options": {"include_usage": True}}, "stream_options"),
    ({"stream": False, "stream_options": {}}, "stream_options"),
]


@pytest.mark.parametrize(("extra", "param"), WRONG_VALUE, ids=str)
def test_a_wrong_value_is_invalid_and_named(extra: dict[str, Any], param: str) -> None:
    error = refusal(Kind.CHAT, {**CHAT, **extra})

    assert type(error) is InvalidValue
    assert error.param == param


WRONG_PROMPT: list[tuple[object, type[RequestError], str]] = [
    ("", InvalidValue, "prompt"),
    ([], InvalidValue, "prompt"),
    (["x", ""], InvalidValue, "prompt[1]"),
    ([[1], []], InvalidValue, "prompt[1]"),
    (None, MalformedRequest, "prompt"),
    (5, MalformedRequest, "prompt"),
    ([None], MalformedRequest, "prompt[0]"),
    ([1.5], MalformedRequest, "prompt[0]"),
    ([True], MalformedRequest, "prompt[0]"),
    (["x", 1], MalformedRequest, "prompt[1]"),
    ([[1], ["x"]], MalformedRequest, "prompt[1]"),
    ([[1], "x"], MalformedRequest, "prompt[1]"),
]


@pytest.mark.parametrize(("prompt", "error_type", "param"), WRONG_PROMPT, ids=str)
def test_a_wrong_prompt_is_named(
    prompt: object, error_type: type[RequestError], param: str
) -> None:
    error = refusal(Kind.COMPLETIONS, {"model": "m", "prompt": prompt})

    assert type(error) is error_type
    assert error.param == param


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)
FIELDS = st.sampled_from(
    ["model", "messages", "prompt", "stream", "stream_options", "n", "stop", "temperature", "tools"]
)


@given(kind=st.sampled_from(Kind), extra=st.dictionaries(FIELDS, JSON))
def test_no_body_brings_validation_down(kind: Kind, extra: dict[str, Any]) -> None:
    base = CHAT if kind is Kind.CHAT else TEXT
    with suppress(RequestError):
        assert validate(kind, {**base, **extra}).model


def refusal(kind: Kind, body: dict[str, Any]) -> RequestError:
    """The error that ``body`` is refused with."""
    with pytest.raises(RequestError) as caught:
        validate(kind, body)
    return caught.value
