"""From bytes to a valid body: every mistake of a client, by its message and its field."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.engines.contract import Kind
from http_service.api.endpoints import ENDPOINTS, GenerateRequest
from http_service.api.endpoints.endpoint import StreamOptions
from http_service.api.validation import (
    check_content_type,
    validate,
)
from http_service.errors import InvalidValue, MalformedRequest, RequestError, UnsupportedMediaType

SCHEMAS = {endpoint.kind: endpoint.body for endpoint in ENDPOINTS if not endpoint.translate}
HELLO = [{"role": "user", "content": "hello"}]
CHAT: dict[str, Any] = {"model": "m", "messages": HELLO}
TEXT: dict[str, Any] = {"model": "m", "prompt": "hello"}


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
    for kind, body in ((Kind.CHAT, CHAT), (Kind.COMPLETIONS, TEXT)):
        valid = validate(SCHEMAS[kind], body)
        assert isinstance(valid, GenerateRequest)
        assert (valid.model, valid.stream, valid.stream_options) == ("m", None, None)


def test_stream_and_usage_are_read() -> None:
    body = {**CHAT, "stream": True, "stream_options": {"include_usage": True}}

    valid = validate(SCHEMAS[Kind.CHAT], body)
    assert isinstance(valid, GenerateRequest)
    assert (valid.model, valid.stream) == ("m", True)
    assert valid.stream_options == StreamOptions(include_usage=True)


FINE_FOR_CHAT: list[dict[str, Any]] = [
    {"temperature": 0},
    {"temperature": 2.5},
    {"temperature": -1},
    {"temperature": None},
    {"top_p": 1},
    {"top_p": 1.01},
    {"frequency_penalty": 3, "presence_penalty": -3},
    {"n": 128},
    {"n": 0},
    {"n": 2.0},
    {"max_tokens": 1},
    {"max_tokens": 0},
    {"max_tokens": -1},
    {"max_tokens": 256.0},
    {"max_tokens": 1e3},
    {"max_completion_tokens": 5},
    {"max_completion_tokens": 0},
    {"max_completion_tokens": -1},
    {"top_logprobs": 21, "logprobs": True},
    {"seed": -1},
    {"seed": 2**63},
    {"stop": "END"},
    {"stop": []},
    {"stop": ["a", "b", "c", "d", "e"]},
    {"stop": None},
    {"stream": False},
    {"stream": None},
    {"stream": True, "stream_options": {}},
    {"stream_options": None},
    {"logit_bias": {"50256": -100}},
    {"logit_bias": {"50256": 1000, "7": False}},
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
def test_what_the_api_allows_passes_and_ranges_are_the_engines(extra: dict[str, Any]) -> None:
    assert validate(SCHEMAS[Kind.CHAT], {**CHAT, **extra}).model == "m"


PROMPTS: list[object] = [
    "x",
    "",
    None,
    [],
    ["x"],
    ["x", "y"],
    ["x", ""],
    [1, 2, 3],
    [1.0, 2],
    [[1], [2, 3]],
    [[1], []],
    # llama.cpp joins these.
    [12, "a text", 34],
]


@pytest.mark.parametrize("prompt", PROMPTS, ids=str)
def test_a_prompt_is_text_token_ids_a_list_of_either_or_nothing(prompt: object) -> None:
    assert validate(SCHEMAS[Kind.COMPLETIONS], {"model": "m", "prompt": prompt}).model == "m"


@pytest.mark.parametrize(
    "extra",
    [{}, {"best_of": 0}, {"best_of": 1.0}, {"logprobs": 100}, {"max_tokens": 0}, {"suffix": None}],
    ids=str,
)
def test_a_completion_needs_a_model_and_nothing_else(extra: dict[str, Any]) -> None:
    assert validate(SCHEMAS[Kind.COMPLETIONS], {"model": "m", **extra}).model == "m"


WITHOUT: list[tuple[Kind, dict[str, Any], str]] = [
    (Kind.CHAT, {"messages": HELLO}, "model"),
    (Kind.CHAT, {"model": "m"}, "messages"),
    (Kind.CHAT, {"model": "m", "prompt": "a completion"}, "messages"),
    (Kind.COMPLETIONS, {"prompt": "x"}, "model"),
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
    ({"n": 0.5}, "n"),
    ({"logit_bias": []}, "logit_bias"),
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
    ({"stream_options": {"include_usage": True}}, "stream_options"),
    ({"stream": False, "stream_options": {}}, "stream_options"),
]


@pytest.mark.parametrize(("extra", "param"), WRONG_VALUE, ids=str)
def test_a_wrong_value_is_invalid_and_named(extra: dict[str, Any], param: str) -> None:
    error = refusal(Kind.CHAT, {**CHAT, **extra})

    assert type(error) is InvalidValue
    assert error.param == param


WRONG_PROMPT: list[tuple[object, str]] = [
    (5, "prompt"),
    ({}, "prompt"),
    ([None], "prompt[0]"),
    ([1.5], "prompt[0]"),
    ([True], "prompt[0]"),
    (["x", {}], "prompt[1]"),
    ([[1], ["x"]], "prompt[1][0]"),
    ([[[1]]], "prompt[0][0]"),
]


@pytest.mark.parametrize(("prompt", "param"), WRONG_PROMPT, ids=str)
def test_a_wrong_prompt_is_named(prompt: object, param: str) -> None:
    error = refusal(Kind.COMPLETIONS, {"model": "m", "prompt": prompt})

    assert type(error) is MalformedRequest
    assert error.param == param


def test_a_number_that_is_not_whole_is_told_in_plain_words() -> None:
    error = refusal(Kind.CHAT, {**CHAT, "max_tokens": 1.5})

    assert error.message == "Invalid value for max_tokens: expected a whole number"


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
        assert validate(SCHEMAS[kind], {**base, **extra}).model


def refusal(kind: Kind, body: dict[str, Any]) -> RequestError:
    """The error that ``body`` is refused with."""
    with pytest.raises(RequestError) as caught:
        validate(SCHEMAS[kind], body)
    return caught.value
