"""Runs of chat events that differ in their text alone are written as each of them would be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.engines.sse import split_events
from http_service.dialects.messages_response import MessagesWriter
from http_service.dialects.responses_response import ResponsesWriter
from http_service.dialects.text_runs import shape_of
from http_service.dialects.tool_names import ToolNames
from tests.http_service.dialects.chat_streams import call, chunk, reasoning, text, usage

WORDS = st.text(st.characters(codec="utf-8"), max_size=6) | st.sampled_from(
    ['"', "\\", '\\"', '","', "\n\n", "data: ", '"}}]}', "\u2028"]
)


def event(said: dict[str, Any], *, plain: bool = False) -> bytes:
    return f"data: {json.dumps(said, ensure_ascii=plain)}\n\n".encode()


@st.composite
def streams(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Runs of text and of reasoning, with other things between and after them."""
    chunks = [*map(reasoning, draw(st.lists(WORDS, max_size=5)))]
    chunks += [text("first"), *map(text, draw(st.lists(WORDS, max_size=12)))]
    between = draw(st.sampled_from([None, usage(), reasoning("hm"), chunk({"role": "assistant"})]))
    if between is not None:
        chunks.append(between)
    chunks += map(text, draw(st.lists(WORDS, max_size=5)))
    if draw(st.booleans()):
        chunks += [call(0, "{}", "f"), text("after")]
    return [*chunks, chunk({}, "stop"), usage()]


@st.composite
def batches_of(draw: st.DrawFn, events: list[bytes]) -> list[bytes]:
    """``events`` in their order, some of them joined."""
    batches = [b""]
    for each in events:
        if draw(st.booleans()):
            batches.append(b"")
        batches[-1] += each
    return [batch for batch in batches if batch]


def told(written: bytes) -> list[Any]:
    """The events as a client reads them."""
    found: list[Any] = []
    for each in split_events(written):
        name, data, *rest = each.decode().split("\n")
        assert rest == ["", ""]
        document = json.loads(data.removeprefix("data: "))
        assert name == f"event: {document['type']}"
        found.append(document)
    return found


@given(st.data(), streams(), st.booleans(), st.sampled_from(["messages", "responses"]))
def test_events_are_written_as_their_chunks_are(
    data: st.DataObject, chunks: list[dict[str, Any]], plain: bool, dialect: str
) -> None:
    def writer() -> MessagesWriter | ResponsesWriter:
        if dialect == "messages":
            return MessagesWriter("r", "m")
        return ResponsesWriter("r", {"model": "m"}, ToolNames(()), clock=lambda: 1.0)

    slow, quick = writer(), writer()
    batches = data.draw(batches_of([event(each, plain=plain) for each in chunks]))
    ours = quick.begin() + b"".join(map(quick.write, batches)) + quick.end()
    theirs = slow.begin() + b"".join(map(slow.write, chunks)) + slow.end()

    assert told(ours) == told(theirs)


NO_TEXTS: list[dict[str, Any]] = [
    {"choices": []},
    {"choices": [{"delta": {"content": "x"}, "finish_reason": "stop"}]},
    {"choices": [{"index": 1, "delta": {"content": "x"}}]},
    {"choices": [{"delta": {"content": "x"}, "logprobs": {"content": []}}]},
    {"choices": [{"delta": {"content": "x", "refusal": "y"}}]},
    {"choices": [{"delta": {"content": "x"}}], "usage": {}},
    {"choices": [{"delta": {"content": ""}}]},
    {"choices": [{"delta": {"refusal": "x"}}]},
    {"choices": [{"delta": {"content": "x"}}, {"delta": {}}]},
    {"choices": [{"delta": {"content": "x"}}], "more": {"content": "y"}},
    {"choices": [{"delta": {"content": "x"}}], "error": "no"},
]


@pytest.mark.parametrize("said", NO_TEXTS)
def test_what_is_not_one_text_has_no_shape(said: dict[str, Any]) -> None:
    assert shape_of(event(said), said) is None


@pytest.mark.parametrize(
    "written",
    [
        b': hm\ndata: {"choices":[{"delta":{"content":"x"}}]}\n\n',
        b'data: {"choices":[{"delta":{"content":"x"}}]}\r\n\r\n',
        b'data: {"choices":[{"delta":{"content":"x",\ndata: "a":1}}]}\n\n',
        b'data: {"choices":[{"delta":{"content":"x","c\\u006fntent":"x"}}]}\n\n',
    ],
)
def test_an_event_of_more_than_one_plain_line_has_no_shape(written: bytes) -> None:
    assert shape_of(written, {"choices": [{"delta": {"content": "x"}}]}) is None
