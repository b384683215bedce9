"""A stream folded into one answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.engines.contract import GENERATING, Chunk, Generating, Kind
from actors.engines.errors import EngineRejected, EngineUnavailable
from http_service.streaming.fold import Fold
from tests.http_service.engines import token_chunk


def folded(kind: Generating, *chunks: Chunk) -> dict[str, Any]:
    """The answer that ``chunks`` make up."""
    fold = Fold(kind, id="fallback", created=7, model="m")
    for chunk in chunks:
        fold.add(chunk)
    answer: dict[str, Any] = json.loads(fold.response())
    return answer


def delta(part: dict[str, Any], index: int = 0, **choice: Any) -> dict[str, Any]:
    """A chat chunk with one choice."""
    return {"id": "x", "choices": [{"index": index, "delta": part, **choice}]}


def test_a_conversation_folds_to_openais_shape() -> None:
    answer = folded(
        Kind.CHAT,
        {**delta({"role": "assistant", "content": None}), "created": 3, "model": "real"},
        delta({"content": "The"}),
        delta({"content": " end"}),
        delta({}, finish_reason="stop"),
        {"choices": [], "usage": {"completion_tokens": 2}},
    )

    assert answer == {
        "id": "x",
        "object": "chat.completion",
        "created": 3,
        "model": "real",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "The end", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"completion_tokens": 2},
    }


def test_a_text_folds_to_openais_shape() -> None:
    answer = folded(
        Kind.COMPLETIONS,
        token_chunk(Kind.COMPLETIONS, "a"),
        token_chunk(Kind.COMPLETIONS, "b", finish="length"),
    )

    assert answer["object"] == "text_completion"
    assert answer["choices"] == [
        {"index": 0, "text": "ab", "logprobs": None, "finish_reason": "length"}
    ]
    assert "usage" not in answer


def test_what_the_chunks_do_not_say_falls_back() -> None:
    answer = folded(Kind.CHAT, {"choices": [{"delta": {"content": "x"}}]})

    assert (answer["id"], answer["created"], answer["model"]) == ("fallback", 7, "m")
    assert answer["choices"][0]["index"] == 0


def test_choices_are_told_apart_and_in_order() -> None:
    answer = folded(
        Kind.CHAT,
        delta({"content": "c"}, 1),
        delta({"content": "a"}, 0),
        delta({"content": "d"}, 1, finish_reason="stop"),
        delta({"content": "b"}, 0, finish_reason="length"),
    )

    told = [(each["message"]["content"], each["finish_reason"]) for each in answer["choices"]]
    assert told == [("ab", "length"), ("cd", "stop")]


def test_tool_calls_grow_by_their_index() -> None:
    def call(index: int, **fields: Any) -> dict[str, Any]:
        return delta({"tool_calls": [{"index": index, **fields}]})

    answer = folded(
        Kind.CHAT,
        delta({"role": "assistant", "content": None}),
        call(0, id="call_1", type="function", function={"name": "weather", "arguments": ""}),
        call(0, function={"arguments": '{"city":'}),
        call(1, id="call_2", type="function", function={"name": "time", "arguments": "{}"}),
        call(0, function={"arguments": '"Paris"}'}),
        delta({}, finish_reason="tool_calls"),
    )

    message = answer["choices"][0]["message"]
    assert message["content"] is None
    assert message["tool_calls"] == [
        {
            "id": "call_1",
            "type": "function",
            "function": {"name": "weather", "arguments": '{"city":"Paris"}'},
        },
        {"id": "call_2", "type": "function", "function": {"name": "time", "arguments": "{}"}},
    ]


def test_lists_of_log_probabilities_grow() -> None:
    answer = folded(
        Kind.CHAT,
        delta({"content": "a"}, logprobs={"content": [{"token": "a"}], "refusal": None}),
        delta({"content": "b"}, logprobs={"content": [{"token": "b"}], "refusal": None}),
        delta({"content": "c"}, logprobs=None),
    )

    assert answer["choices"][0]["logprobs"] == {
        "content": [{"token": "a"}, {"token": "b"}],
        "refusal": None,
    }


def test_fields_nobody_named_are_kept() -> None:
    answer = folded(
        Kind.CHAT,
        {**delta({"reasoning_content": "hm", "score": 1}), "system_fingerprint": "fp"},
        delta({"reasoning_content": "m.", "content": "x", "score": 2}),
    )

    message = answer["choices"][0]["message"]
    assert message["reasoning_content"] == "hmm."
    assert message["score"] == 2
    assert answer["system_fingerprint"] == "fp"


def test_an_answer_without_text_has_empty_content() -> None:
    answer = folded(Kind.CHAT, delta({"role": "assistant"}), delta({}, finish_reason="stop"))

    message = answer["choices"][0]["message"]
    assert message == {"role": "assistant", "content": "", "refusal": None}


def test_events_of_a_relay_fold_like_chunks() -> None:
    chunk = token_chunk(Kind.CHAT, "x", finish="stop")
    event = b"data: " + json.dumps(chunk).encode() + b"\n\n"

    assert folded(Kind.CHAT, b": ping\n\n", event, b"data: [DONE]\n\n") == folded(Kind.CHAT, chunk)


@pytest.mark.parametrize("event", [b'data: {"error": {"message": "boom"}}\n\n', b"data: {oops\n\n"])
def test_an_error_event_is_no_answer(event: bytes) -> None:
    fold = Fold(Kind.CHAT, id="x", created=1, model="m")
    fold.add(token_chunk(Kind.CHAT, "half"))

    with pytest.raises(EngineUnavailable):
        fold.add(event)


def test_an_error_event_tells_the_clients_mistake_in_its_words() -> None:
    fold = Fold(Kind.CHAT, id="x", created=1, model="m")
    error = {"error": {"message": "too long", "code": 400}}

    for chunk in (error, b"data: " + json.dumps(error).encode() + b"\n\n"):
        with pytest.raises(EngineRejected, match="too long"):
            fold.add(chunk)


def test_events_that_were_pushed_together_are_each_folded() -> None:
    events = [b"data: " + json.dumps(delta({"content": text})).encode() + b"\n\n" for text in "abc"]

    assert folded(Kind.CHAT, b"".join(events))["choices"][0]["message"]["content"] == "abc"


def test_an_engine_that_says_nothing_has_not_answered() -> None:
    fold = Fold(Kind.CHAT, id="x", created=1, model="m")
    fold.add({"choices": [], "usage": {"completion_tokens": 0}})

    with pytest.raises(EngineUnavailable, match="without an answer"):
        fold.response()


@pytest.mark.parametrize(("count", "told"), [(5, 5), (None, None), ("5", None), (True, None)])
def test_the_engines_own_count_is_read(count: object, told: int | None) -> None:
    fold = Fold(Kind.CHAT, id="x", created=1, model="m")
    assert fold.completion_tokens is None

    fold.add({"choices": [], "usage": {"completion_tokens": count}})

    assert fold.completion_tokens == told


@pytest.mark.parametrize("usage", [["x"], "none", 7, True])
def test_a_usage_that_is_no_object_counts_nothing(usage: object) -> None:
    fold = Fold(Kind.CHAT, id="x", created=1, model="m")
    fold.add({**token_chunk(Kind.CHAT, "x"), "usage": usage})

    assert fold.completion_tokens is None
    assert json.loads(fold.response())["usage"] == usage


@given(
    kind=st.sampled_from(GENERATING),
    parts=st.lists(st.tuples(st.integers(0, 3), st.text(max_size=8)), min_size=1, max_size=30),
)
def test_folding_concatenates_each_choices_text(
    kind: Generating, parts: list[tuple[int, str]]
) -> None:
    chunks: list[Chunk] = []
    for index, text in parts:
        part: dict[str, Any] = {"delta": {"content": text}} if kind is Kind.CHAT else {"text": text}
        chunks.append({"choices": [{"index": index, **part}]})

    choices = folded(kind, *chunks)["choices"]

    for choice in choices:
        expected = "".join(text for index, text in parts if index == choice["index"])
        told = choice["message"]["content"] if kind is Kind.CHAT else choice["text"]
        assert told == expected
    assert [choice["index"] for choice in choices] == sorted({index for index, _ in parts})
