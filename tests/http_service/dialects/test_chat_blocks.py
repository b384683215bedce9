"""Chunks read as blocks: one open at a time, each opened once and closed once."""

from __future__ import annotations

import pytest
from hypothesis import given

from actors.engines.contract import Chunk
from actors.engines.errors import EngineError, EngineUnavailable
from http_service.dialects.chat_blocks import (
    BlockDelta,
    BlockKind,
    ChatBlocks,
    Growth,
    Step,
    TokenUsage,
)
from tests.http_service.dialects.chat_streams import (
    Json,
    answers,
    call,
    chunk,
    reasoning,
    text,
    usage,
)


def blocks_of(*chunks: Chunk) -> list[tuple[BlockKind, str, str]]:
    """Kind, name and text of every block; fails unless the steps are well nested."""
    blocks: list[tuple[BlockKind, str, str]] = []
    opened: BlockDelta | None = None
    said = ""
    reader = ChatBlocks()
    steps = [step for each in chunks for step in reader.add(each)]
    for step in [*steps, *reader.end()]:
        if isinstance(step, Growth):
            assert opened is not None
            assert step.kind is opened.kind
            said += "".join(step.texts)
        elif step.step is Step.OPEN:
            assert opened is None
            opened, said = step, ""
        elif step.step is Step.GROW:
            assert opened is not None
            assert step.kind is opened.kind
            said += step.text
        else:
            assert opened is not None
            blocks.append((opened.kind, opened.name, said))
            opened = None
    assert opened is None
    return blocks


def test_reasoning_text_and_a_call_are_three_blocks() -> None:
    assert blocks_of(
        chunk({"role": "assistant", "content": ""}),
        reasoning("hm"), reasoning("m"), text("I"), text(" look"),
        call(0, name="ls"), call(0, '{"a":'), call(0, "1}"), chunk({}, "tool_calls"),
    ) == [
        (BlockKind.REASONING, "", "hmm"),
        (BlockKind.TEXT, "", "I look"),
        (BlockKind.CALL, "ls", '{"a":1}'),
    ]  # fmt: skip


def test_text_after_a_call_opens_a_new_block() -> None:
    kinds = [kind for kind, _, _ in blocks_of(text("a"), call(0, "{}", "f"), text("b"))]

    assert kinds == [BlockKind.TEXT, BlockKind.CALL, BlockKind.TEXT]


def test_interleaved_calls_lose_nothing() -> None:
    """The second is written when the first is whole, though its parts came in between."""
    assert blocks_of(
        call(0, '{"a":', "f"), call(1, '{"b":', "g"), call(0, "1}"), call(1, "2}"),
    ) == [(BlockKind.CALL, "f", '{"a":1}'), (BlockKind.CALL, "g", '{"b":2}')]  # fmt: skip


def test_a_call_waits_for_its_name() -> None:
    late: Json = chunk({"tool_calls": [{"index": 0, "function": {"name": "f"}}]})

    assert blocks_of(call(0, '{"a"'), late, call(0, ":1}")) == [(BlockKind.CALL, "f", '{"a":1}')]


def test_a_call_that_never_had_a_name_is_left_out() -> None:
    assert blocks_of(text("x"), call(0, "{}")) == [(BlockKind.TEXT, "", "x")]


def test_arguments_that_come_as_an_object_are_a_text() -> None:
    part = {"index": 0, "id": "c", "function": {"name": "f", "arguments": {"a": 1}}}

    assert blocks_of(chunk({"tool_calls": [part]})) == [(BlockKind.CALL, "f", '{"a":1}')]


def test_only_the_first_choice_is_read() -> None:
    second = {"choices": [{"index": 1, "delta": {"content": "other"}}]}

    assert blocks_of(text("one"), second) == [(BlockKind.TEXT, "", "one")]


def test_events_are_read_as_chunks() -> None:
    events = b': wait\n\ndata: {"choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n'

    assert blocks_of(events) == [(BlockKind.TEXT, "", "hi")]


def test_the_end_of_the_chunks_is_kept() -> None:
    reader = ChatBlocks()
    for each in (text("x"), chunk({}, "stop", stop_reason="###"), usage()):
        list(reader.add(each))

    assert reader.finish_reason == "stop"
    assert reader.stop_sequence == "###"
    assert reader.usage == TokenUsage(prompt=9, cached=4, completion=5, reasoning=2)


def test_nothing_at_all_is_an_error() -> None:
    with pytest.raises(EngineUnavailable):
        list(ChatBlocks().end())


@pytest.mark.parametrize("bad", [b"data: {oops\n\n", {"error": {"message": "no", "code": 500}}])
def test_what_is_not_a_chunk_is_an_error(bad: Chunk) -> None:
    with pytest.raises(EngineError):
        list(ChatBlocks().add(bad))


@given(answers())
def test_any_answer_is_well_nested(chunks: list[Json]) -> None:
    try:
        blocks_of(*chunks)
    except EngineUnavailable:
        assert all(
            not any(each["choices"][0]["delta"].values()) for each in chunks if each["choices"]
        )
