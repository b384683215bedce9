"""llama.cpp's dialect, in dicts that the real one said."""

from __future__ import annotations

from typing import Any

import pytest

from actors.engines import EngineError, EngineRejected, EngineUnavailable, Kind
from actors.engines.llama_dialect import (
    UsageSum,
    choices_of,
    is_llama_usage,
    llama_request,
    prefill_of,
    with_prefill,
)
from actors.engines.refusals import error_of_object
from tests.engines.asking import chat, complete, request


def usage(prompt: int, completion: int) -> dict[str, Any]:
    return {
        "completion_tokens": completion,
        "prompt_tokens": prompt,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": 0},
    }


def finish(index: int, **more: Any) -> dict[str, Any]:
    choice = {"text": "", "index": index, "logprobs": None, "finish_reason": "length"}
    return {"choices": [choice], "id": "chatcmpl-x", "model": "m", **more}


def test_every_request_becomes_a_stream_with_usage_under_the_alias() -> None:
    asked = chat(stream=False, temperature=0, stream_options={"other": 1})
    assert llama_request(asked, "alias") == {
        **asked.body,
        "model": "alias",
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_the_clients_body_is_left_alone() -> None:
    asked = chat(stream=False)
    before = dict(asked.body)
    llama_request(asked, "alias")
    assert asked.body == before


@pytest.mark.parametrize("part", [{"type": "image_url"}, {"type": "input_audio"}, {}, "text", None])
def test_content_that_is_no_text_is_refused(part: Any) -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "a"}, part]}]
    with pytest.raises(EngineRejected, match="text only") as refusal:
        llama_request(request(Kind.CHAT, {"messages": messages}), "m")
    assert refusal.value.param == "messages"


@pytest.mark.parametrize("messages", ["x", [None], [{"content": None}], [{"content": "a"}], None])
def test_what_llama_can_judge_itself_is_left_to_it(messages: Any) -> None:
    body = llama_request(request(Kind.CHAT, {"messages": messages}), "m")
    assert body["messages"] == messages


def test_a_chunk_without_usage_passes_as_it_is() -> None:
    chunk = finish(0)
    assert UsageSum(1).take(chunk) is chunk


def test_a_usage_chunk_of_its_own_is_taken_whole() -> None:
    total = UsageSum(1)
    assert total.take({"choices": [], "usage": usage(42, 8), "id": "i"}) is None
    assert total.chunk() == {
        "id": "i",
        "choices": [],
        "usage": usage(42, 8),
    }


def test_usage_that_rides_on_a_finish_is_taken_off() -> None:
    total = UsageSum(1)
    told = total.take(finish(0, usage=usage(5, 6), timings={"x": 1}))
    assert told == finish(0, timings={"x": 1})
    last = total.chunk()
    assert last is not None
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] == 11


def test_prompts_count_once_and_choices_each() -> None:
    total = UsageSum(2)
    for index, prompt in enumerate((2, 2, 5, 5)):
        total.take(finish(index, usage=usage(prompt, 3)))
    last = total.chunk()
    assert last is not None
    assert last["usage"] == usage(7, 12)


def test_without_any_usage_there_is_no_usage_chunk() -> None:
    assert UsageSum(1).chunk() is None


ERRORS: list[tuple[dict[str, Any], type[EngineError], int, str]] = [
    ({"code": 400, "message": "too long", "type": "exceed_context_size_error"},
     EngineRejected, 400, "too long"),
    ({"code": 500, "message": "secret", "type": "server_error"},
     EngineUnavailable, 502, "the model failed with status 500"),
    ({"code": 500, "message": "image input is not supported - hint: x", "type": "server_error"},
     EngineRejected, 400, "image input is not supported"),
    ({"code": 503, "message": "secret", "type": "unavailable_error"},
     EngineUnavailable, 503, "the model is not ready; try again soon"),
    ({"code": "x", "message": "secret"}, EngineUnavailable, 502, "the model reported an error"),
]  # fmt: skip


@pytest.mark.parametrize(("error", "kind", "status", "message"), ERRORS)
def test_an_error_is_told_by_whose_fault_it_is(
    error: dict[str, Any], kind: type[EngineError], status: int, message: str
) -> None:
    found = error_of_object({"error": error}, who="the model")
    assert (type(found), found.status, found.message) == (kind, status, message)


@pytest.mark.parametrize(
    ("n", "choices"), [(None, 0), (1, 0), (3, 3), (2.0, 2), (0, 0), (-1, 0), ("3", 0), (1e300, 0)]
)
def test_the_choices_of_each_prompt_are_read(n: object, choices: int) -> None:
    assert choices_of({"n": n}) == choices
    assert choices_of({"n": n, "prompt": ["a", "b"]}) == max(choices, 1)
    assert choices_of({"n": n, "prompt": [1, 2]}) == choices


PARTS = [{"type": "text", "text": "The "}, {"type": "text", "text": "capital"}, {"type": "x"}]


@pytest.mark.parametrize(
    ("last", "prefill"),
    [
        ({"role": "assistant", "content": "The capital"}, "The capital"),
        ({"role": "assistant", "content": PARTS}, "The capital"),
        ({"role": "assistant", "content": None, "tool_calls": []}, ""),
        ({"role": "user", "content": "Hi"}, ""),
        (5, ""),
    ],
)
def test_what_an_assistant_began_is_read(last: Any, prefill: str) -> None:
    messages = [{"role": "user", "content": "Hi"}, last]
    asked = request(Kind.CHAT, {"messages": messages}, stream=False)
    assert prefill_of(asked) == prefill
    assert prefill_of(request(Kind.CHAT, {"messages": messages}, stream=True)) == ""


def test_what_an_assistant_began_is_put_where_each_choice_begins() -> None:
    def chunk(content: str | None, **more: Any) -> dict[str, Any]:
        delta = {"role": "assistant", "content": content}
        return {"choices": [{"index": 1, "delta": delta}], **more}

    assert with_prefill(chunk(None), "a", sure=True) == chunk("a")
    assert with_prefill(chunk(None), "a", sure=False) == chunk(None)
    llama = {"system_fingerprint": "b0-unknown"}
    assert with_prefill(chunk(None, **llama), "a", sure=False) == chunk("a", **llama)
    assert with_prefill(chunk("x", **llama), "a", sure=False) == chunk("x", **llama)
    for odd in ({}, {"choices": None}, {"choices": [None, {"delta": 5}]}):
        assert with_prefill(odd, "a", sure=True) == odd


def test_only_llama_tells_usage_choice_by_choice() -> None:
    assert is_llama_usage(finish(0, usage=usage(1, 1), timings={}))
    assert not is_llama_usage(finish(0, usage=usage(1, 1)))
    assert not is_llama_usage(finish(0, usage=None, timings={}))


def test_completions_are_not_searched_for_messages() -> None:
    assert llama_request(complete(["a"]), "m")["prompt"] == ["a"]


@pytest.mark.parametrize("body", [{}, {"prompt": None}], ids=str)
def test_a_completion_without_a_prompt_gets_an_empty_one(body: dict[str, Any]) -> None:
    asked = request(Kind.COMPLETIONS, body)

    assert llama_request(asked, "alias")["prompt"] == ""


@pytest.mark.parametrize("part", [{"type": "text"}, {"type": "text", "text": None}], ids=str)
def test_a_text_part_without_text_is_refused(part: Any) -> None:
    with pytest.raises(EngineRejected, match="text only"):
        llama_request(request(Kind.CHAT, {"messages": [{"role": "user", "content": [part]}]}), "a")
