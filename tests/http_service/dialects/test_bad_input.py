"""Whatever stands in a body whose shape is right: translated, or refused by name; never a 500."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from http_service.api.endpoints import ApiEndpoint, messages, responses
from http_service.api.validation import validate
from http_service.dialects.estimate import estimate_tokens
from http_service.errors import RequestError
from http_service.response_store import ClientResponses, ResponseStore

STORED = ClientResponses(ResponseStore(1_000_000), b"")

WORDS = [
    "type",
    "text",
    "content",
    "role",
    "name",
    "tools",
    "input",
    "source",
    "data",
    "url",
    "function",
    "namespace",
    "custom",
    "tool_result",
    "tool_use",
    "image",
    "document",
    "thinking",
    "user",
    "assistant",
    "system",
    "developer",
    "message",
    "reasoning",
    "function_call",
    "function_call_output",
    "custom_tool_call",
    "allowed_tools",
    "tool",
    "auto",
    "format",
    "json_schema",
    "schema",
    "effort",
    "user_id",
    "id",
    "call_id",
    "tool_use_id",
    "arguments",
    "output",
    "summary",
    "base64",
    "input_schema",
    "mode",
    "input_image",
    "image_url",
    "input_text",
    "output_text",
    "is_error",
]


def _typed(kind: str, fields: dict[str, Any]) -> dict[str, Any]:
    return {**fields, "type": kind}


def _turn(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


_words: st.SearchStrategy[Any] = st.sampled_from([*WORDS, '{"session_id":1}', "[1]", "a\r\nb: c"])
_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | _words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_words, inner, max_size=5),
    max_leaves=12,
)
_objects: st.SearchStrategy[Any] = st.dictionaries(_words, _values, max_size=5)
_blocks: st.SearchStrategy[Any] = st.builds(_typed, _words, _objects) | _objects
_roles = st.sampled_from(["user", "assistant", "system", "ctx"])
_turns: st.SearchStrategy[Any] = st.builds(_turn, _roles, _words | st.lists(_blocks, max_size=3))
_messages: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {
        "model": st.just("m"),
        "max_tokens": st.just(5),
        "messages": st.lists(_turns, min_size=1, max_size=3),
    },
    optional={
        "system": _words | st.lists(_blocks, max_size=2),
        "tools": st.lists(_blocks, max_size=2),
        "tool_choice": _blocks,
        "metadata": _objects,
        "output_config": _objects,
    },
)
_responses: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {"model": st.just("m"), "input": _words | st.lists(_blocks, max_size=3)},
    optional={
        "tools": st.lists(_blocks, max_size=2),
        "tool_choice": _words | _blocks,
        "reasoning": _objects,
        "text": _objects,
        "prompt_cache_key": _values,
    },
)  # fmt: skip


def check(endpoint: ApiEndpoint, body: dict[str, Any]) -> None:
    """Translate ``body``: it succeeds as a request that can be sent, or is a client's mistake."""
    assert endpoint.translate is not None
    try:
        validate(endpoint.body, body)
        translation = endpoint.translate(body, STORED)
    except RequestError:
        return
    orjson.dumps(translation.chat)
    assert translation.refusal is not None or estimate_tokens(translation.chat) > 0
    assert translation.session is None or isinstance(translation.session, str)
    assert all("\r" not in value and "\n" not in value for _, value in translation.headers)


@given(_messages)
def test_any_message_is_translated_or_refused(body: dict[str, Any]) -> None:
    check(messages.ENDPOINT, body)


@given(_responses)
def test_any_input_is_translated_or_refused(body: dict[str, Any]) -> None:
    check(responses.ENDPOINT, body)


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [{"type": "namespace", "name": "n", "tools": ["x", {"type": "function"}]}]},
        {"tools": [{"type": "a\r\nset-cookie: b"}, {"type": {"deep": 1}}]},
        {"tool_choice": {"type": "allowed_tools", "tools": [1]}},
        {"input": [{"type": "function_call_output", "call_id": "c", "output": [1, {"text": 2}]}]},
        {"input": [{"type": "reasoning", "summary": ["x"], "content": [None]}]},
        {"input": [{"type": "function_call", "name": "f", "arguments": "{}", "namespace": ["n"]}]},
    ],
)  # fmt: skip
def test_what_is_nested_wrongly_is_no_failure_of_ours(fields: dict[str, Any]) -> None:
    check(responses.ENDPOINT, {"model": "m", "input": "hi", **fields})
