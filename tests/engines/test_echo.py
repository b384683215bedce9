"""The echo model: what it says, and how fast it lets go."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from actors.engines import Context, EchoEngine, EngineBusy, EngineRejected, Kind
from actors.engines.echo import MAX_CHOICES, MAX_TOKENS, RUN, plan
from actors.engines.errors import AnswerTooLong
from http_service.streaming.fold import Fold
from tests.engines.asking import ask, chat, complete, request
from tests.engines.recording import RecordingSink

NOW = 1_700_000_000.9


def echo(asked: Any) -> RecordingSink:
    sink = ask(EchoEngine(now=lambda: NOW), asked, Context("r7"))
    assert sink.ends == (["finish"] if asked.stream else ["answer"])
    return sink


def usage(sink: RecordingSink) -> dict[str, int]:
    found: dict[str, int] = sink.objects[-1]["usage"]
    return found


def test_chat_answers_with_the_last_user_message() -> None:
    messages = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "well"},
        {"role": "user", "content": "second one"},
        {"role": "assistant", "content": "prefilled"},
    ]
    sink = echo(request(Kind.CHAT, {"messages": messages}))
    assert sink.text() == "second one"
    assert usage(sink) == {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}


@pytest.mark.parametrize("fields", [{"n": -1}, {"n": MAX_CHOICES + 1.0}, {"n": 1e300}], ids=str)
def test_a_number_of_choices_that_it_cant_give_is_the_clients_mistake(
    fields: dict[str, Any],
) -> None:
    with pytest.raises(EngineRejected, match="choices"):
        plan(Kind.CHAT, {"messages": [{"role": "user", "content": "x"}], **fields})


def test_a_list_without_a_prompt_is_the_clients_mistake() -> None:
    with pytest.raises(EngineRejected) as caught:
        plan(Kind.COMPLETIONS, {"prompt": []})
    assert caught.value.param == "prompt"


@pytest.mark.parametrize(
    ("fields", "text", "finish"),
    [
        ({"max_tokens": -1}, "one two", "stop"),
        ({"max_completion_tokens": -1, "max_tokens": 1}, "one two", "stop"),
        ({"max_tokens": 0}, "", "length"),
        ({"max_tokens": 1.0, "n": 1.0}, "one", "length"),
        ({"max_tokens": 1e300}, "one two", "stop"),
        ({"n": 0, "temperature": 2.5, "stop": ["a", "b", "c", "d", "f"]}, "one two", "stop"),
    ],
    ids=str,
)
def test_it_copes_with_every_number_that_the_api_lets_through(
    fields: dict[str, Any], text: str, finish: str
) -> None:
    (choice,) = plan(Kind.COMPLETIONS, {"prompt": "one two", **fields}).choices

    assert ("".join(choice.tokens), choice.finish) == (text, finish)


@pytest.mark.parametrize("body", [{}, {"prompt": None}, {"prompt": ""}], ids=str)
def test_no_prompt_is_an_empty_one(body: dict[str, Any]) -> None:
    assert [choice.tokens for choice in plan(Kind.COMPLETIONS, body).choices] == [()]


def test_a_part_of_a_message_without_its_text_is_empty() -> None:
    content = [{"type": "text"}, {"type": "text", "text": None}, {"type": "text", "text": "x"}]
    (choice,) = plan(Kind.CHAT, {"messages": [{"role": "user", "content": content}]}).choices

    assert choice.tokens == ("x",)


def test_a_chat_answer_is_role_words_finish_usage() -> None:
    sink = echo(chat("one two"))
    head = {
        "id": "chatcmpl-r7",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "m",
    }

    def said(delta: dict[str, str], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return {**head, "choices": [choice]}

    numbers = {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4}
    assert sink.objects == [
        said({"role": "assistant", "content": ""}),
        said({"content": "one"}),
        said({"content": " two"}),
        said({}, "stop"),
        {**head, "choices": [], "usage": numbers},
    ]
    assert sink.tokens == [2, 0]


def test_a_completion_answers_with_the_prompt() -> None:
    sink = echo(complete("one two"))
    assert sink.text() == "one two"
    assert {chunk["object"] for chunk in sink.objects} == {"text_completion"}
    assert sink.objects[0]["id"] == "cmpl-r7"


def test_content_may_be_a_list_of_parts() -> None:
    parts = [
        {"type": "text", "text": "one"},
        {"type": "image_url", "image_url": {"url": "https://example.com"}},
        {"type": "text", "text": " two"},
    ]
    messages = [{"role": "user", "content": parts}]
    assert echo(request(Kind.CHAT, {"messages": messages})).text() == "one two"


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_a_limit_of_tokens_is_kept(field: str) -> None:
    limit: dict[str, Any] = {field: 2}
    sink = echo(chat("one two three", **limit))
    assert sink.text() == "one two"
    assert sink.finish_reasons() == {0: "length"}
    assert usage(sink)["completion_tokens"] == 2


def test_a_limit_that_is_just_enough_is_no_limit() -> None:
    assert echo(chat("one two", max_tokens=2)).finish_reasons() == {0: "stop"}


def test_the_newer_name_of_the_limit_wins() -> None:
    assert echo(chat("a b c", max_tokens=3, max_completion_tokens=1)).text() == "a"


@pytest.mark.parametrize(
    ("stop", "text"),
    [
        ("three", "one two "),
        (["four", "two"], "one "),
        (["nowhere"], "one two three four"),
        ([], "one two three four"),
        ("", "one two three four"),
        (None, "one two three four"),
        ("one", ""),
    ],
)
def test_a_stop_text_ends_the_answer_and_is_not_said(stop: Any, text: str) -> None:
    sink = echo(chat("one two three four", stop=stop))
    assert sink.text() == text
    assert sink.finish_reasons() == {0: "stop"}


def test_each_prompt_gets_n_choices_in_openais_order() -> None:
    sink = echo(complete(["one", "two words"], n=2))
    assert [sink.text(index) for index in range(4)] == ["one", "one", "two words", "two words"]
    assert set(sink.finish_reasons()) == {0, 1, 2, 3}
    assert usage(sink) == {"prompt_tokens": 3, "completion_tokens": 6, "total_tokens": 9}


def test_n_chat_choices_say_the_same() -> None:
    sink = echo(chat("one two", n=3))
    assert [sink.text(index) for index in range(3)] == ["one two"] * 3
    assert usage(sink) == {"prompt_tokens": 2, "completion_tokens": 6, "total_tokens": 8}


@pytest.mark.parametrize("prompt", [[1, 2, 3], [[1], [2]], ["a", 1]])
def test_token_ids_are_refused(prompt: Any) -> None:
    with pytest.raises(EngineRejected) as refusal:
        ask(EchoEngine(), complete(prompt))
    assert refusal.value.param == "prompt"


def test_too_many_choices_are_refused() -> None:
    with pytest.raises(EngineRejected) as refusal:
        ask(EchoEngine(), complete(["a"] * 600, n=2))
    assert refusal.value.param == "n"
    assert str(MAX_CHOICES) in refusal.value.message


def test_a_huge_prompt_is_answered_up_to_the_models_limit() -> None:
    answer = plan(Kind.COMPLETIONS, {"prompt": "w " * (MAX_TOKENS + 10)})
    assert answer.completion_tokens == MAX_TOKENS
    assert answer.choices[0].finish == "length"


def test_a_long_run_of_white_space_is_read_in_linear_time() -> None:
    assert plan(Kind.COMPLETIONS, {"prompt": "a" + " " * 200_000}).completion_tokens == 2


@given(st.text(max_size=200))
def test_the_words_joined_are_the_text(text: str) -> None:
    assert "".join(plan(Kind.COMPLETIONS, {"prompt": text}).choices[0].tokens) == text


@given(st.text(max_size=60), st.integers(0, 5), st.lists(st.text(max_size=3), max_size=3))
def test_no_answer_is_longer_than_asked_or_holds_a_stop_text(
    text: str, limit: int, stop: list[str]
) -> None:
    (choice,) = plan(Kind.COMPLETIONS, {"prompt": text, "max_tokens": limit, "stop": stop}).choices
    said = "".join(choice.tokens)
    assert len(choice.tokens) <= limit
    assert text.startswith(said)
    assert not any(each in said for each in stop if each)


@pytest.mark.parametrize("asked", [chat, complete])
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
@example(text='a", "b",  ","')
@example(text=",")
@example(text='a , b ", " c\n  d')
def test_any_text_survives_being_made_an_event(asked: Any, text: str) -> None:
    sink = echo(asked(text))
    assert sink.text() == text
    assert sum(sink.tokens) == usage(sink)["completion_tokens"]


@pytest.mark.parametrize("asked", [chat, complete])
@given(text=st.text(max_size=60), n=st.integers(1, 3), limit=st.none() | st.integers(0, 5))
def test_a_whole_answer_is_what_the_service_would_fold_byte_for_byte(
    asked: Any, text: str, n: int, limit: int | None
) -> None:
    fields = {"n": n, "max_tokens": limit}
    whole = echo(asked(text, stream=False, **fields))
    engine = EchoEngine(now=lambda: NOW)
    told = plan(asked(text).kind, asked(text, **fields).body)
    fold = Fold(asked(text).kind, id="", created=0, model="")
    events = engine.generate(asked("", **fields), Context("r7"))
    first = next(iter(events))
    assert isinstance(first, bytes)
    head = orjson.loads(first[6:])
    for index, choice in enumerate(told.choices):
        said = {"content": "".join(choice.tokens), "role": "assistant"}
        delta = {"delta": said} if asked is chat else {"text": said["content"]}
        rest = {"logprobs": None, "finish_reason": choice.finish}
        fold.add({**head, "choices": [{"index": index, **delta, **rest}]})
    spoken = told.completion_tokens
    numbers = {"prompt_tokens": told.prompt_tokens, "completion_tokens": spoken}
    numbers["total_tokens"] = told.prompt_tokens + spoken
    fold.add({**head, "choices": [], "usage": numbers})
    assert whole.body == fold.response()


def test_a_streamed_token_is_an_event_with_the_fields_of_every_chunk() -> None:
    sink = echo(complete("one two"))
    events, _ = sink.chunks
    assert isinstance(events, bytes)
    assert events.endswith(b"}]}\n\n")
    first, last = sink.objects[0], sink.objects[-2]
    assert first.keys() == last.keys()
    assert first["choices"][0].keys() == last["choices"][0].keys()


def test_an_answer_that_is_not_streamed_comes_whole() -> None:
    sink = echo(complete("one two three", n=2, stream=False))
    assert sink.chunks == []
    answer = orjson.loads(sink.body or b"")
    assert [choice["text"] for choice in answer["choices"]] == ["one two three"] * 2
    assert answer["usage"] == {"prompt_tokens": 3, "completion_tokens": 6, "total_tokens": 9}


def test_a_whole_answer_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.engines.echo.MAX_BYTES", 1_000)
    assert echo(complete("x" * 500, n=2, stream=False)).body
    with pytest.raises(AnswerTooLong):
        echo(complete("x" * 500, n=3, stream=False))


def test_a_long_stream_comes_in_runs_and_its_usage_alone() -> None:
    sink = echo(chat("w " * (2 * RUN) + "w"))
    assert sink.tokens == [RUN, RUN, 1, 0]
    assert b'"usage"' not in b"".join(each for each in sink.chunks[:-1] if isinstance(each, bytes))
    assert usage(sink)["completion_tokens"] == 2 * RUN + 1


@pytest.mark.parametrize("text", ["one two", "", "w " * (2 * RUN)])
@pytest.mark.parametrize("asked", [chat, complete])
def test_a_delayed_answer_says_the_same_token_by_token(asked: Any, text: str) -> None:
    engine = EchoEngine(delay=1e-6, now=lambda: NOW)
    sink = ask(engine, asked(text, n=2), Context("r7"))
    assert max(sink.tokens) <= 1
    assert joined(sink) == joined(echo(asked(text, n=2)))
    assert engine.close()


def joined(sink: RecordingSink) -> bytes:
    return b"".join(each for each in sink.chunks if isinstance(each, bytes))


def test_a_delayed_engine_refuses_more_than_it_can_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.engines.echo._MAX_DELAYED", 1)
    monkeypatch.setattr("actors.engines.echo._MAX_WAITING", 0)
    engine, sink, context = EchoEngine(delay=60), RecordingSink(), Context("r")
    engine.start(chat(), sink, context)
    with pytest.raises(EngineBusy):
        engine.start(chat(), RecordingSink(), Context("r"))
    context.token.cancel()
    sink.wait_for_end()
    assert engine.close()


def test_cancelling_while_it_speaks_ends_an_undelayed_answer() -> None:
    class Leaving(RecordingSink):
        def push(self, chunk: Any, tokens: int = 1) -> None:
            super().push(chunk, tokens)
            context.token.cancel()

    context, sink = Context("r"), Leaving()
    EchoEngine().start(chat(), sink, context)
    assert len(sink.chunks) == 1
    assert sink.ends == ["fail"]


def test_a_negative_delay_is_refused() -> None:
    with pytest.raises(ValueError, match="delay"):
        EchoEngine(delay=-1)
