"""Anthropic's requests as chat completion requests."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec
import pytest

from http_service.api.endpoints.messages import MessagesRequest
from http_service.dialects.messages_request import messages_to_chat, session_of
from http_service.errors import InvalidValue

Json: TypeAlias = dict[str, Any]


def chat(*messages: Json, inline_system: bool = False, **fields: Any) -> Json:
    """The chat request for ``messages``."""
    body = {"model": "m", "max_tokens": 9, "messages": [*messages], **fields}
    msgspec.convert(body, MessagesRequest)
    return messages_to_chat(body, inline_system=inline_system)


def turns(*messages: Json, inline_system: bool = False, **fields: Any) -> list[Json]:
    """The messages of the chat request."""
    told: list[Json] = chat(*messages, inline_system=inline_system, **fields)["messages"]
    return told


def user(content: Any) -> Json:
    """A user's turn."""
    return {"role": "user", "content": content}


def block(said: str) -> Json:
    """A block of text."""
    return {"type": "text", "text": said}


USE = {"type": "tool_use", "id": "t1", "name": "ls", "input": {"path": "."}}
RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": [block("a.txt")]}
CALLED = {"role": "assistant", "content": [USE]}
CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {"id": "t1", "type": "function", "function": {"name": "ls", "arguments": '{"path":"."}'}}
    ],
}
TOOL = {"role": "tool", "tool_call_id": "t1", "content": "a.txt"}


def test_a_plain_request_is_a_plain_request() -> None:
    assert chat(user("hi"), temperature=0.5, stop_sequences=["x"], top_k=3) == {
        "messages": [user("hi")],
        "max_completion_tokens": 9,
        "temperature": 0.5,
        "top_k": 3,
        "stop": ["x"],
    }


def test_a_stream_asks_for_its_usage() -> None:
    assert chat(user("hi"), stream=True)["stream_options"] == {"include_usage": True}


def test_the_system_prompt_is_one_message_without_the_billing_block() -> None:
    system = [block("x-anthropic-billing-header: cc_version=1;"), block("Be brief."), block("Hi.")]

    assert turns(user("hi"), system=system)[0] == {"role": "system", "content": "Be brief.\nHi."}


def test_a_call_and_its_result_keep_their_order() -> None:
    after = user([block("before"), RESULT, block("and now?")])

    assert turns(user("go"), CALLED, after) == [
        user("go"), CALL, user("before"), TOOL, user("and now?"),
    ]  # fmt: skip


def test_a_failed_result_says_so() -> None:
    failed = {**RESULT, "is_error": True, "content": "gone"}

    assert turns(CALLED, user([failed]))[-1]["content"] == "Error: gone"


def test_a_picture_in_a_result_follows_it() -> None:
    picture = {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": "AA"},
    }
    told = turns(CALLED, user([{**RESULT, "content": [picture]}]))

    assert told[-2]["content"] == ""
    assert told[-1]["content"] == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
    ]


def test_thoughts_go_back_under_both_names() -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "x"}
    told = turns(user("a"), {"role": "assistant", "content": [thought, block("b")]})[-1]

    assert told == {
        "role": "assistant",
        "content": "b",
        "reasoning": "hm",
        "reasoning_content": "hm",
    }


SYSTEM = {"role": "system", "content": "Now be loud."}


def test_a_leading_system_turn_joins_the_prompt() -> None:
    told = turns(SYSTEM, user("hi"), system="Be brief.")

    assert told == [{"role": "system", "content": "Be brief.\nNow be loud."}, user("hi")]


def test_a_system_turn_after_a_user_is_folded_into_it() -> None:
    assert turns(user("hi"), SYSTEM) == [user("hi\n\nNow be loud.")]


def test_a_system_turn_after_a_result_is_folded_into_it() -> None:
    told = turns(CALLED, user([RESULT]), SYSTEM)

    assert told[-1] == {**TOOL, "content": "a.txt\n\nNow be loud."}


def test_a_system_turn_never_stands_between_a_call_and_its_result() -> None:
    told = turns(CALLED, SYSTEM, user([RESULT, block("go on")]))

    assert told == [CALL, TOOL, user("Now be loud.\ngo on")]


def test_a_system_turn_at_the_end_after_an_answer_is_kept() -> None:
    told = turns(user("a"), {"role": "assistant", "content": "b"}, SYSTEM)

    assert told[-1] == user("Now be loud.")


def test_a_template_that_knows_system_turns_gets_them_in_place() -> None:
    assert turns(user("hi"), SYSTEM, inline_system=True) == [user("hi"), SYSTEM]
    assert turns(CALLED, SYSTEM, user([RESULT, block("x")]), inline_system=True) == [
        CALL, TOOL, SYSTEM, user("x"),
    ]  # fmt: skip


def test_other_roles_are_the_users() -> None:
    assert turns({"role": "ctx", "content": "here"}) == [user("here")]


TOOL_OF = {"name": "ls", "description": "lists", "input_schema": {"type": "object"}}


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ({"type": "auto"}, "auto"),
        ({"type": "any"}, "required"),
        ({"type": "none"}, "none"),
        ({"type": "tool", "name": "ls"}, {"type": "function", "function": {"name": "ls"}}),
    ],
)
def test_tools_and_the_choice_among_them(choice: Json, told: object) -> None:
    request = chat(
        user("hi"), tools=[TOOL_OF, {"type": "bash_20250124", "name": "bash"}], tool_choice=choice
    )

    assert request["tool_choice"] == told
    function = {"name": "ls", "description": "lists", "parameters": {"type": "object"}}
    assert request["tools"] == [{"type": "function", "function": function}]


def test_parallel_use_can_be_switched_off() -> None:
    choice = {"type": "auto", "disable_parallel_tool_use": True}

    assert chat(user("hi"), tools=[TOOL_OF], tool_choice=choice)["parallel_tool_calls"] is False


def test_what_only_anthropic_runs_is_accepted() -> None:
    told = chat(
        user([{**block("hi"), "cache_control": {"type": "ephemeral"}}]),
        thinking={"type": "adaptive"},
        output_config={"effort": "xhigh"},
        metadata={"user_id": '{"session_id":"s"}'},
        context_management={"edits": []},
    )

    assert told["messages"] == [user("hi")]
    assert told["reasoning_effort"] == "high"
    assert "thinking" not in told


def test_a_schema_for_the_output_is_passed_on() -> None:
    schema = {"type": "object"}
    told = chat(user("hi"), output_config={"format": {"type": "json_schema", "schema": schema}})

    assert told["response_format"]["json_schema"]["schema"] == schema


@pytest.mark.parametrize(
    ("content", "param"),
    [
        ([{"type": "container_upload"}], "messages[0].content"),
        ([{"type": "image", "source": {"type": "file"}}], "messages[0].content"),
        ([{"type": "document", "source": {"type": "base64"}}], "messages[0].content"),
        ([{"type": "text"}], "messages[0].content"),
        (
            [{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "x"}]}],
            "messages[0].content",
        ),
    ],
)
def test_what_can_not_be_honoured_is_named(content: object, param: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        chat(user(content))
    assert caught.value.param == param


def test_a_choice_of_an_unknown_tool_is_refused() -> None:
    with pytest.raises(InvalidValue, match="'rm'"):
        chat(user("hi"), tools=[TOOL_OF], tool_choice={"type": "tool", "name": "rm"})


@pytest.mark.parametrize(
    ("metadata", "session"),
    [
        ({"user_id": '{"session_id":"s1","device_id":"d"}'}, "s1"),
        ({"user_id": "{oops"}, None),
        ({"user_id": "plain"}, None),
        ({"user_id": '{"session_id":7}'}, None),
        (None, None),
    ],
)
def test_the_session_is_found_in_the_metadata(metadata: Json | None, session: str | None) -> None:
    assert session_of({"metadata": metadata}) == session
