"""Responses requests as chat completion requests."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec
import pytest

from http_service.api.endpoints.responses import ResponsesRequest
from http_service.dialects.responses_request import (
    Translated,
    responses_to_chat,
)
from http_service.errors import InvalidValue, UnsupportedParameter

Json: TypeAlias = dict[str, Any]


def translated(given: Any, before: tuple[Json, ...] = (), **fields: Any) -> Translated:
    """The translation of a request with ``given`` as its input."""
    body = {"model": "m", "input": given, **fields}
    msgspec.convert(body, ResponsesRequest)
    return responses_to_chat(body, before)


def turns(*items: Json, **fields: Any) -> list[Json]:
    """The chat messages for ``items``."""
    told: list[Json] = translated([*items], **fields).chat["messages"]
    return told


def message(role: str, said: str) -> Json:
    """A message item."""
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": said}]}


CALL = {"type": "function_call", "call_id": "c1", "name": "ls", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "a.txt"}
FUNCTION = {"type": "function", "name": "ls", "parameters": {"type": "object"}}


def test_a_text_is_one_message() -> None:
    assert translated("hi", instructions="Be brief.", max_output_tokens=9).chat == {
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
        "max_completion_tokens": 9,
    }


def test_a_stream_asks_for_its_usage() -> None:
    assert translated("hi", stream=True).chat["stream_options"] == {"include_usage": True}


def test_a_developer_is_the_system() -> None:
    assert turns(message("developer", "Be brief."), {"role": "user", "content": "hi"}) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hi"},
    ]


def test_one_turn_of_the_assistant_is_one_message() -> None:
    thought = {
        "type": "reasoning",
        "summary": [],
        "content": [{"type": "reasoning_text", "text": "hm"}],
    }
    second = {**CALL, "call_id": "c2"}

    assert turns(
        message("user", "go"), thought, message("assistant", "I look"), CALL, second, OUTPUT
    ) == [
        {"role": "user", "content": "go"},
        {
            "role": "assistant",
            "content": "I look",
            "reasoning": "hm",
            "reasoning_content": "hm",
            "tool_calls": [
                {"id": each, "type": "function", "function": {"name": "ls", "arguments": "{}"}}
                for each in ("c1", "c2")
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "a.txt"},
    ]


def test_the_next_turn_is_the_next_message() -> None:
    roles = [
        each["role"] for each in turns(CALL, OUTPUT, CALL, OUTPUT, message("assistant", "done"))
    ]

    assert roles == ["assistant", "tool", "assistant", "tool", "assistant"]


def test_reasoning_that_only_openai_can_read_is_dropped() -> None:
    sealed: Json = {"type": "reasoning", "summary": [], "encrypted_content": "xyz"}

    assert turns(message("user", "a"), sealed) == [{"role": "user", "content": "a"}]


def test_the_output_of_a_tool_may_be_parts() -> None:
    parts = [{"type": "output_text", "text": "a"}, {"type": "output_text", "text": "b"}]

    assert turns(CALL, {**OUTPUT, "output": parts})[-1]["content"] == "ab"


def test_a_picture_is_a_part() -> None:
    picture = {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "low"}
    told = turns({"role": "user", "content": [{"type": "input_text", "text": "see"}, picture]})

    assert told[0]["content"] == [
        {"type": "text", "text": "see"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "detail": "low"}},
    ]


def test_what_went_before_comes_first() -> None:
    told = translated("and now?", (message("user", "hi"), message("assistant", "hello")))

    assert [each["content"] for each in told.chat["messages"]] == ["hi", "hello", "and now?"]


def test_codexs_tools_become_functions_and_the_rest_is_said_to_be_dropped() -> None:
    tools = [
        FUNCTION,
        {"type": "namespace", "name": "agents", "tools": [{"type": "function", "name": "spawn"}]},
        {"type": "web_search"},
        {"type": "mcp", "server_label": "x"},
    ]
    told = translated("hi", tools=tools, tool_choice="auto", parallel_tool_calls=True)

    assert [each["function"]["name"] for each in told.chat["tools"]] == ["ls", "spawn"]
    assert told.dropped == ("mcp", "web_search")
    assert told.chat["tool_choice"] == "auto"


def test_without_tools_there_is_no_choice_among_them() -> None:
    chat = translated("hi", tools=[{"type": "web_search"}], tool_choice="auto").chat

    assert not {"tools", "tool_choice", "parallel_tool_calls"} & chat.keys()


def test_a_custom_tools_call_goes_back_as_its_function() -> None:
    item = {"type": "custom_tool_call", "call_id": "c", "name": "patch", "input": "*** Begin"}
    told = turns(item, tools=[{"type": "custom", "name": "patch"}])

    function = told[0]["tool_calls"][0]["function"]
    assert function == {"name": "patch", "arguments": '{"input":"*** Begin"}'}


def test_a_choice_may_narrow_the_tools() -> None:
    other = {**FUNCTION, "name": "rm"}
    choice = {
        "type": "allowed_tools",
        "mode": "required",
        "tools": [{"type": "function", "name": "rm"}],
    }
    chat = translated("hi", tools=[FUNCTION, other], tool_choice=choice).chat

    assert [each["function"]["name"] for each in chat["tools"]] == ["rm"]
    assert chat["tool_choice"] == "required"


def test_a_choice_may_be_one_function() -> None:
    chat = translated("hi", tools=[FUNCTION], tool_choice={"type": "function", "name": "ls"}).chat

    assert chat["tool_choice"] == {"type": "function", "function": {"name": "ls"}}


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, {"type": "json_object"}),
        (
            {"type": "json_schema", "name": "n", "schema": {}, "strict": True},
            {"type": "json_schema", "json_schema": {"name": "n", "schema": {}, "strict": True}},
        ),
    ],
)
def test_the_format_of_the_text(wanted: Json, told: Json | None) -> None:
    assert translated("hi", text={"format": wanted}).chat.get("response_format") == told


def test_log_probabilities_are_asked_for() -> None:
    chat = translated("hi", include=["message.output_text.logprobs"], top_logprobs=2).chat

    assert (chat["logprobs"], chat["top_logprobs"]) == (True, 2)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"background": True}, "background"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"conversation": "c"}, "conversation"),
        ({"max_tool_calls": 3}, "max_tool_calls"),
        ({"truncation": "auto"}, "truncation"),
        ({"tools": [{"type": "mcp"}], "tool_choice": {"type": "mcp"}}, "tool_choice"),
    ],
)
def test_what_can_not_be_honoured_is_named(fields: Json, param: str) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        translated("hi", **fields)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"type": "item_reference", "id": "x"}, "input[0]"),
        ({"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}, "input[0].content"),
        ({"type": "function_call", "call_id": "c", "name": "f"}, "input[0]"),
    ],
)
def test_an_item_that_can_not_be_read_is_named(item: Json, param: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        turns(item)
    assert caught.value.param == param


def test_an_empty_input_is_refused() -> None:
    with pytest.raises(InvalidValue, match="input"):
        translated([])
