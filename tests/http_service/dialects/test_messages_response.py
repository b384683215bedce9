"""Chat completions as answers of the Messages API; the SDK's own classes read every event."""

from __future__ import annotations

import json
from typing import Any

import pydantic
import pytest
from anthropic.types import Message, RawMessageStreamEvent
from hypothesis import given

from actors.engines.errors import EngineUnavailable
from http_service.dialects.messages_response import MessagesWriter, error_body
from http_service.errors import reply_for_status
from tests.http_service.dialects.chat_streams import (
    Json,
    answers,
    call,
    chunk,
    completion_of,
    reasoning,
    text,
    usage,
)

READER: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(RawMessageStreamEvent)


def events_of(stream: bytes) -> list[Json]:
    """The events of ``stream``, pings left out; each is as the SDK's classes want it, strictly."""
    events: list[Json] = []
    for frame in stream.decode().split("\n\n")[:-1]:
        name, data = frame.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        if event["type"] != "ping":
            READER.validate_python(event, strict=True)
            events.append(event)
    return events


def streamed(*chunks: Json) -> list[Json]:
    """The events of an answer."""
    writer = MessagesWriter("r1", "m")
    return events_of(writer.begin() + b"".join(map(writer.write, chunks)) + writer.end())


def message_of(events: list[Json]) -> Json:
    """The message that a client puts together from ``events``, which must be well nested."""
    assert events[0]["type"] == "message_start"
    assert events[-1] == {"type": "message_stop"}
    message: Json = events[0]["message"]
    partial = ""
    is_open = False
    for event in events[1:-2]:
        if event["type"] == "content_block_start":
            assert not is_open
            assert event["index"] == len(message["content"])
            message["content"].append({**event["content_block"]})
            is_open, partial = True, ""
        elif event["type"] == "content_block_stop":
            assert is_open
            is_open = False
            if message["content"][-1]["type"] == "tool_use":
                message["content"][-1]["input"] = json.loads(partial or "{}")
        else:
            delta = event["delta"]
            field = delta["type"].removesuffix("_delta")
            if field == "input_json":
                partial += delta["partial_json"]
            elif field == "signature":
                message["content"][-1]["signature"] = delta["signature"]
            else:
                message["content"][-1][field] += delta[field]
    assert not is_open
    message |= events[-2]["delta"]
    message["usage"] = events[-2]["usage"]
    return message


def test_reasoning_text_and_a_call() -> None:
    events = streamed(
        reasoning("hm"), text("I"), text(" look"), call(0, '{"a":', "ls", "toolu_1"), call(0, "1}"),
        chunk({}, "tool_calls"), usage(),
    )  # fmt: skip

    assert [event["type"].removeprefix("content_block_") for event in events] == [
        "message_start",
        "start", "delta", "delta", "stop",
        "start", "delta", "delta", "stop",
        "start", "delta", "stop",
        "message_delta", "message_stop",
    ]  # fmt: skip
    message = message_of(events)
    assert message["content"][1] == {"type": "text", "text": "I look"}
    call_of = {"type": "tool_use", "id": "toolu_1", "name": "ls", "input": {"a": 1}}
    assert message["content"][2] == call_of
    assert message["stop_reason"] == "tool_use"
    assert message["usage"] == {
        "input_tokens": 5,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 4,
        "output_tokens": 5,
    }


@pytest.mark.parametrize(
    ("finish", "extra", "reason", "sequence"),
    [
        ("stop", {}, "end_turn", None),
        ("stop", {"stop_reason": "###"}, "stop_sequence", "###"),
        ("length", {}, "max_tokens", None),
        ("content_filter", {}, "refusal", None),
        ("whatever", {}, "end_turn", None),
    ],
)
def test_why_it_stopped(finish: str, extra: Json, reason: str, sequence: str | None) -> None:
    message = message_of(streamed(text("x"), chunk({}, finish, **extra)))

    assert (message["stop_reason"], message["stop_sequence"]) == (reason, sequence)


def test_a_server_that_says_stop_after_its_calls_is_understood() -> None:
    assert message_of(streamed(call(0, "{}", "f"), chunk({}, "stop")))["stop_reason"] == "tool_use"


@pytest.mark.parametrize("finish", ["length", "tool_calls"])
def test_a_call_that_was_cut_is_left_out(finish: str) -> None:
    message = message_of(streamed(text("x"), call(0, '{"a": "b', "f"), chunk({}, finish)))

    assert [block["type"] for block in message["content"]] == ["text"]
    assert message["stop_reason"] == "max_tokens"


def test_a_long_call_shows_progress() -> None:
    writer = MessagesWriter("r1", "m")
    parts = [call(0, '{"a":"', "f"), *(call(0, "x") for _ in range(200)), call(0, '"}')]

    assert b"".join(map(writer.write, parts)).count(b"event: ping") >= 3


def test_a_failure_is_one_event() -> None:
    reply = reply_for_status(503, "full")
    body = MessagesWriter("r1", "m").fail(reply).split(b"data: ")[1]

    assert json.loads(body) == json.loads(error_body(reply, "r1"))
    assert json.loads(body)["error"] == {"type": "overloaded_error", "message": "full"}


@pytest.mark.parametrize("message", ["12 tokens, 8 allowed", "prompt is too long: 12 > 8"])
def test_a_prompt_that_is_too_long_is_told_in_anthropics_words(message: str) -> None:
    reply = reply_for_status(400, message, code="context_length_exceeded")
    told = json.loads(error_body(reply, "r1"))["error"]

    assert told["type"] == "invalid_request_error"
    assert told["message"] == f"prompt is too long: {message.rpartition(': ')[2]}"


@given(answers())
def test_stream_and_document_are_the_same_message(chunks: list[Json]) -> None:
    try:
        whole = MessagesWriter("r1", "m").document(completion_of(chunks))
    except EngineUnavailable:
        return
    Message.model_validate(whole, strict=True)
    assert message_of(streamed(*chunks)) == whole
