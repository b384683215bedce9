"""Folding trusts no server's habits: odd streams, unknown fields, random splits."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.engines.contract import GENERATING, Chunk, Generating, Kind
from actors.engines.errors import AnswerTooLong, EngineError, EngineUnavailable
from http_service.streaming.fold import Fold
from tests.http_service.streaming.test_fold import delta, folded


def message_of(*chunks: Chunk) -> dict[str, Any]:
    message: dict[str, Any] = folded(Kind.CHAT, *chunks)["choices"][0]["message"]
    return message


def test_the_first_id_model_and_time_that_are_not_empty_count() -> None:
    """Azure's first chunk has none, but says what its filter found in the prompt."""
    answer = folded(
        Kind.CHAT,
        {"id": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": [{"a": 1}]},
        {**delta({"content": "x"}), "created": 5, "model": "gpt", "system_fingerprint": None},
        {**delta({}), "id": "other", "created": 6, "system_fingerprint": "fp", "service_tier": "d"},
        {"choices": [], "id": "", "system_fingerprint": None, "service_tier": "default"},
    )
    assert (answer["id"], answer["created"], answer["model"]) == ("x", 5, "gpt")
    assert answer["prompt_filter_results"] == [{"a": 1}]
    assert (answer["system_fingerprint"], answer["service_tier"]) == ("fp", "default")


def test_fields_of_a_choice_that_nobody_named_are_kept() -> None:
    hate = {"hate": {"filtered": False, "severity": "safe"}}
    choice = folded(
        Kind.CHAT,
        delta({"content": "a"}, content_filter_results=hate, token_ids=[1], stop_reason=None),
        delta({"content": "b"}, content_filter_results={}, token_ids=[2, 3], matched_stop=None),
        delta({}, finish_reason="stop", stop_reason="END", matched_stop=2),
        delta({}, stop_reason=None, matched_stop=None),
    )["choices"][0]
    assert choice["content_filter_results"] == hate
    assert choice["token_ids"] == [1, 2, 3]
    assert (choice["stop_reason"], choice["matched_stop"]) == ("END", 2)


def test_a_field_that_is_always_null_is_kept_too() -> None:
    answer = folded(Kind.CHAT, {**delta({"content": "a"}, stop_reason=None), "kv": None})
    assert answer["choices"][0]["stop_reason"] is None
    assert answer["kv"] is None


def test_the_log_probability_of_the_last_token_is_kept() -> None:
    choice = folded(
        Kind.CHAT,
        delta({"content": "a"}, logprobs={"content": [1], "refusal": None}),
        delta({}, finish_reason="stop", logprobs={"content": [2], "refusal": None}),
    )["choices"][0]
    assert choice["logprobs"] == {"content": [1, 2], "refusal": None}


def test_the_log_probabilities_of_a_text_grow_list_by_list() -> None:
    def one(text: str, at: int) -> dict[str, Any]:
        logprobs = {"tokens": [text], "token_logprobs": [-1.0], "text_offset": [at]}
        return {"choices": [{"index": 0, "text": text, "logprobs": logprobs}]}

    choice = folded(Kind.COMPLETIONS, one("a", 0), one("b", 1))["choices"][0]
    assert choice["logprobs"] == {
        "tokens": ["a", "b"],
        "token_logprobs": [-1.0, -1.0],
        "text_offset": [0, 1],
    }


def test_the_parts_of_a_refusal_of_reasoning_and_of_a_function_grow() -> None:
    message = message_of(
        delta({"role": "assistant", "refusal": "I ", "reasoning": "h"}),
        delta({"refusal": "won't", "reasoning": "m", "function_call": {"name": "f"}}),
        delta({"function_call": {"name": "", "arguments": "{"}}),
        delta({"function_call": {"arguments": "}"}}),
    )
    assert (message["refusal"], message["reasoning"]) == ("I won't", "hm")
    assert message["function_call"] == {"name": "f", "arguments": "{}"}
    assert message["content"] is None


def test_sound_grows() -> None:
    message = message_of(
        delta({"role": "assistant", "content": None, "audio": {"id": "a", "transcript": "H"}}),
        delta({"audio": {"data": "AAAA", "transcript": "i"}}),
        delta({"audio": {"id": "a", "data": "BBBB", "expires_at": 9}}),
    )
    assert message["audio"] == {"id": "a", "transcript": "Hi", "data": "AAAABBBB", "expires_at": 9}
    assert message["content"] is None


def test_lists_in_a_message_grow() -> None:
    message = message_of(delta({"annotations": [1]}), delta({"annotations": [2], "content": "x"}))
    assert message["annotations"] == [1, 2]


def test_content_in_parts_and_content_as_text_are_both_kept() -> None:
    """Mistral's models think in parts, and then answer in text."""
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    assert message_of(delta({"content": [thinking]}), delta({"content": "yes"}))["content"] == [
        thinking,
        {"type": "text", "text": "yes"},
    ]
    assert message_of(delta({"content": "yes"}), delta({"content": [thinking]}))["content"] == [
        {"type": "text", "text": "yes"},
        thinking,
    ]


def whole(content: str, **choice: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": content}
    return {"choices": [{"index": 0, "message": message, **choice}]}


def test_a_message_in_place_of_a_delta_is_text_too() -> None:
    assert message_of(whole("a"), whole("b", finish_reason="stop"))["content"] == "ab"
    assert message_of(whole("ab", finish_reason="stop"))["content"] == "ab"


def test_a_message_that_repeats_all_deltas_at_the_end_is_not_added() -> None:
    repeated = whole("ab", finish_reason="stop")
    assert message_of(delta({"content": "a"}), delta({"content": "b"}), repeated)["content"] == "ab"


def test_a_text_in_a_chat_and_a_delta_in_a_completion_are_text() -> None:
    assert message_of({"choices": [{"index": 0, "text": "a"}]})["content"] == "a"
    answer = folded(Kind.COMPLETIONS, delta({"content": "a"}), delta({"content": "b"}))
    assert answer["choices"][0]["text"] == "ab"


def test_choices_without_an_index_are_told_apart_by_their_place() -> None:
    chunk: Chunk = {"choices": [{"text": "a"}, {"text": "b"}]}
    answer = folded(Kind.COMPLETIONS, chunk, chunk)
    assert [choice["text"] for choice in answer["choices"]] == ["aa", "bb"]


@pytest.mark.parametrize("index", [0, "0", 0.0, None, True, [], {}, "x", float("nan")])
def test_an_odd_index_is_still_one_choice(index: Any) -> None:
    chunk: Chunk = {"choices": [{"index": index, "delta": {"content": "a"}}]}
    answer = folded(Kind.CHAT, chunk, delta({"content": "b"}))
    assert answer["choices"][0]["message"]["content"] == "ab"


@pytest.mark.parametrize("index", [-1, 10**6, 2**70])
def test_an_index_may_be_any_number(index: int) -> None:
    answer = folded(Kind.CHAT, delta({"content": "a"}, index))
    assert answer["choices"][0]["index"] == index


FAILING: list[dict[str, Any]] = [
    {"choices": [None]},
    {"choices": [5]},
    {"choices": ["x"]},
    {"choices": [[]]},
    {"choices": "x"},
    {"choices": {}},
    {"choices": {"index": 0}},
    {"choices": 5},
    {"choices": [{"delta": "x"}]},
    {"choices": [{"delta": ["x"]}]},
    {"choices": [{"delta": 5}]},
    {"choices": [{"message": "x"}]},
    {"choices": [{"text": ["x"]}]},
    {"choices": [{"delta": {"tool_calls": "x"}}]},
    {"choices": [{"delta": {"tool_calls": [5]}}]},
    {"choices": None},
    {},
]


@pytest.mark.parametrize("chunk", FAILING)
def test_what_is_not_an_answer_is_the_engines_failure(chunk: dict[str, Any]) -> None:
    with pytest.raises(EngineUnavailable):
        folded(Kind.CHAT, chunk)


TOLERATED: list[dict[str, Any]] = [
    {"choices": [None]},
    {"choices": None},
    {"choices": {}},
    {"choices": [{"delta": None}]},
    {"choices": [{"index": 0, "delta": {"tool_calls": [None], "function_call": None}}]},
    {"choices": [{"index": 0, "delta": {"role": None, "content": None}}]},
    {"choices": [{"index": 0, "logprobs": [], "finish_reason": None}]},
    {"usage": []},
]


@pytest.mark.parametrize("chunk", TOLERATED)
def test_an_odd_chunk_among_others_costs_nothing(chunk: dict[str, Any]) -> None:
    assert message_of(delta({"content": "a"}), chunk, delta({"content": "b"}))["content"] == "ab"


def test_odd_values_are_written_again() -> None:
    event = b'data: {"choices":[{"delta":{"content":"\\ud83d"},"logprobs":{"x":[-Infinity]}}]}\n\n'
    fold = Fold(Kind.CHAT, id="x", created=1, model="m")
    fold.add(event)
    choice = json.loads(fold.response())["choices"][0]
    assert choice["message"]["content"] == "\ud83d"


def test_an_object_too_deep_is_the_engines_failure_and_no_crash() -> None:
    deep: dict[str, Any] = {}
    for _ in range(5_000):
        deep = {"a": deep}
    with pytest.raises(EngineUnavailable):
        folded(Kind.CHAT, delta({"x": deep}))


@pytest.mark.parametrize(
    "chunk",
    [
        delta({"content": "x" * 100}),
        delta({"tool_calls": [{"function": {"arguments": "x" * 100}}]}),
        delta({"annotations": [0] * 100}),
        {"choices": [{"index": 0, "text": "x" * 100}]},
    ],
)
def test_a_folded_answer_is_bounded(chunk: dict[str, Any]) -> None:
    with pytest.raises(AnswerTooLong):
        feed(*[chunk] * 100, limit=10_000)


@pytest.mark.parametrize(
    "chunks",
    [
        [delta({}, index) for index in range(100)],
        [delta({"tool_calls": [{"index": index} for index in range(300)]})],
    ],
)
def test_choices_and_calls_without_text_are_bounded_too(chunks: list[Chunk]) -> None:
    with pytest.raises(AnswerTooLong):
        feed(*chunks, limit=100_000)


def feed(*chunks: Chunk, limit: int) -> None:
    fold = Fold(Kind.CHAT, id="x", created=1, model="m", limit=limit)
    for chunk in chunks:
        fold.add(chunk)


texts = st.text(st.characters(codec="utf-8"), max_size=20)


def call_of(name: str) -> dict[str, Any]:
    function = {"name": name, "arguments": '{"a": {"b": 1}}'}
    return {"id": f"call_{name}", "type": "function", "function": function}


@st.composite
def messages(draw: st.DrawFn) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": draw(texts)}
    if draw(st.booleans()):
        message["reasoning_content"] = draw(texts.filter(bool))
    names = draw(st.lists(st.sampled_from("abc"), unique=True))
    if names:
        message["tool_calls"] = [call_of(name) for name in names]
    return message


def split(text: str, sizes: list[int]) -> list[str]:
    pieces: list[str] = []
    for size in sizes:
        pieces, text = [*pieces, text[:size]], text[size:]
    return [*pieces, text]


@given(
    st.lists(messages(), min_size=1, max_size=3), st.lists(st.integers(0, 5), max_size=5), st.data()
)
@settings(deadline=None)
def test_a_message_that_was_split_anyhow_folds_to_itself(
    said: list[dict[str, Any]], sizes: list[int], data: st.DataObject
) -> None:
    lanes: list[list[dict[str, Any]]] = []
    for index, message in enumerate(said):
        lane = [delta({"role": "assistant"}, index)]
        for field in ("reasoning_content", "content"):
            if field in message:
                lane += [delta({field: piece}, index) for piece in split(message[field], sizes)]
        for number, call in enumerate(message.get("tool_calls", ())):
            first, *rest = split(call["function"]["arguments"], sizes)
            begun = {**call, "index": number, "function": {**call["function"], "arguments": first}}
            lane.append(delta({"tool_calls": [begun]}, index))
            for piece in rest:
                more = {"index": number, "function": {"arguments": piece}}
                lane.append(delta({"tool_calls": [more]}, index))
        lanes.append([*lane, delta({}, index, finish_reason="stop")])
    chunks: list[Chunk] = []
    while any(lanes):
        lane = data.draw(st.sampled_from([lane for lane in lanes if lane]))
        chunks.append(lane.pop(0))
    choices = folded(Kind.CHAT, *chunks)["choices"]
    assert [choice["message"] for choice in choices] == [
        {"refusal": None, **message} for message in said
    ]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["choices", "index", "delta", "message", "text", "content", "tool_calls", "function",
             "arguments", "logprobs", "usage", "error", "id", "name", "finish_reason", "x"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=20,
)  # fmt: skip
choices = st.dictionaries(
    st.sampled_from(["index", "delta", "message", "text", "logprobs", "finish_reason", "x"]), values
)
chunks = st.dictionaries(
    st.sampled_from(["choices", "id", "usage", "x"]), values
) | st.fixed_dictionaries({"choices": st.lists(choices | values, max_size=3)})


@given(st.sampled_from(GENERATING), st.lists(chunks, max_size=5), st.booleans())
@settings(deadline=None)
def test_no_events_make_folding_fail_in_any_other_way_than_an_engines_error(
    kind: Generating, told: list[dict[str, Any]], as_bytes: bool
) -> None:
    fold = Fold(kind, id="x", created=1, model="m")
    answer: dict[str, Any] = {"choices": []}
    with contextlib.suppress(EngineError):
        for chunk in told:
            fold.add(b"data: " + json.dumps(chunk).encode() + b"\n\n" if as_bytes else chunk)
        answer = json.loads(fold.response())
    assert isinstance(answer["choices"], list)


def test_what_was_pushed_is_not_changed() -> None:
    chunk = delta({"annotations": [1], "audio": {"data": "a"}}, logprobs={"content": [1]}, x=[1])
    before = orjson.dumps(chunk)
    folded(Kind.CHAT, chunk, chunk)
    assert orjson.dumps(chunk) == before
