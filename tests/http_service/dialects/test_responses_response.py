"""Chat completions as responses; the SDK's own classes read every event."""

from __future__ import annotations

import json
from typing import Any

import pydantic
import pytest
from hypothesis import given
from openai.types.responses import Response, ResponseStreamEvent

from actors.engines.errors import EngineUnavailable
from http_service.dialects.responses_response import ResponsesWriter
from http_service.dialects.tool_names import Tool, ToolNames
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

READER: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(ResponseStreamEvent)


def writer_of(*tools: Tool, **asked: Any) -> ResponsesWriter:
    """A writer for one answer."""
    return ResponsesWriter("r1", {"model": "m", **asked}, ToolNames(tools), clock=lambda: 7.0)


def events_of(stream: bytes) -> list[Json]:
    """The events of ``stream``; each is as the SDK's classes want it, numbered without a gap."""
    events: list[Json] = []
    for number, frame in enumerate(stream.decode().split("\n\n")[:-1]):
        name, data = frame.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        assert event["sequence_number"] == number
        READER.validate_python(event, strict=True)
        events.append(event)
    return events


def streamed(*chunks: Json, writer: ResponsesWriter | None = None) -> list[Json]:
    """The events of an answer."""
    writer = writer or writer_of()
    return events_of(writer.begin() + b"".join(map(writer.write, chunks)) + writer.end())


def check(events: list[Json]) -> Json:
    """Every item and part that is added is done, nested right; what grew is what is done at last.

    Returns the response.
    """
    item: Json | None = None
    part: Json | None = None
    grown = ""
    done: list[Json] = []
    for event in events[2:-1]:
        name = event["type"].removeprefix("response.")
        if name == "output_item.added":
            assert item is None
            item, grown = event["item"], ""
            assert event["output_index"] == len(done)
        elif name == "output_item.done":
            assert item is not None
            assert part is None
            assert event["item"]["id"] == item["id"]
            done.append(event["item"])
            item = None
        elif name == "content_part.added":
            assert part is None
            part = event["part"]
        elif name == "content_part.done":
            part = None
        elif name.endswith(".delta"):
            grown += event["delta"]
        else:
            told = [event[key] for key in ("text", "arguments", "input", "refusal") if key in event]
            assert grown in (told[0], "" if told[0] == "{}" else told[0])
    assert item is None
    response: Json = events[-1]["response"]
    assert response["output"] == done
    return response


def test_reasoning_text_and_a_call() -> None:
    events = streamed(
        reasoning("hm"), text("I"), text(" look"), call(0, '{"a":', "ls"), call(0, "1}"),
        chunk({}, "tool_calls"), usage(),
    )  # fmt: skip

    assert [event["type"].removeprefix("response.") for event in events] == [
        "created", "in_progress",
        "output_item.added", "content_part.added", "reasoning_text.delta",
        "reasoning_text.done", "content_part.done", "output_item.done",
        "output_item.added", "content_part.added", "output_text.delta", "output_text.delta",
        "output_text.done", "content_part.done", "output_item.done",
        "output_item.added", "function_call_arguments.delta", "function_call_arguments.delta",
        "function_call_arguments.done", "output_item.done",
        "completed",
    ]  # fmt: skip
    response = check(events)
    assert response["usage"] == {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 14,
    }
    assert response["output"][2]["call_id"] == "call_0"


def test_a_refusal_is_a_message() -> None:
    response = check(streamed(chunk({"refusal": "no"}), chunk({}, "stop")))

    assert response["output"][0]["content"] == [{"type": "refusal", "refusal": "no"}]


@pytest.mark.parametrize(
    ("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")]
)
def test_an_answer_that_was_cut_is_incomplete(finish: str, reason: str) -> None:
    events = streamed(text("x"), chunk({}, finish))
    response = check(events)

    assert events[-1]["type"] == "response.incomplete"
    assert response["incomplete_details"] == {"reason": reason}
    assert response["output"][-1]["status"] == "incomplete"


def test_a_namespace_comes_back() -> None:
    writer = writer_of(Tool("spawn", "agents"))
    item = check(streamed(call(0, "{}", "spawn"), chunk({}, "tool_calls"), writer=writer))[
        "output"
    ][0]

    assert (item["name"], item["namespace"]) == ("spawn", "agents")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [('{"input":"*** Begin"}', "*** Begin"), ("*** Begin", "*** Begin"), ("", "")],
)
def test_a_custom_tool_gets_its_text(arguments: str, told: str) -> None:
    writer = writer_of(Tool("patch", custom=True))
    item = check(streamed(call(0, arguments, "patch"), chunk({}, "tool_calls"), writer=writer))[
        "output"
    ][0]

    assert (item["type"], item["input"]) == ("custom_tool_call", told)


def test_log_probabilities_are_passed_on() -> None:
    told = [{"token": "x", "logprob": -0.1, "bytes": [120], "top_logprobs": []}]
    events = streamed(chunk({"content": "x"}, logprobs={"content": told}), chunk({}, "stop"))

    assert events[4]["logprobs"] == told
    assert check(events)["output"][0]["content"][0]["logprobs"] == told


def test_the_response_repeats_its_request() -> None:
    asked = {"instructions": "Be brief.", "temperature": 0.5, "metadata": {"a": "b"}}
    response = check(streamed(text("x"), writer=writer_of(**asked)))

    assert {key: response[key] for key in asked} == asked
    assert response["store"] is False


def test_a_failure_is_the_last_event() -> None:
    writer = writer_of()
    events = events_of(
        writer.begin()
        + writer.write(text("x"))
        + writer.fail(reply_for_status(502, "the engine failed"))
    )

    assert events[-1]["type"] == "response.failed"
    error = {"code": "server_error", "message": "the engine failed"}
    assert events[-1]["response"]["error"] == error


@given(answers())
def test_stream_and_document_are_the_same_response(chunks: list[Json]) -> None:
    try:
        whole = writer_of().document(completion_of(chunks))
    except EngineUnavailable:
        return
    Response.model_validate(whole, strict=True)
    assert check(streamed(*chunks)) == whole
