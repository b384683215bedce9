"""The real openai client against the service, without retries."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest

from actors.engines.contract import EngineRequest, Kind, Sink
from actors.engines.errors import EngineBusy
from http_service.headers import ID_HEADER
from tests.http_service.engines import ScriptEngine, token_chunk
from tests.http_service.serving import Running


@pytest.fixture
def sdk(live: Running) -> Iterator[openai.OpenAI]:
    client = openai.OpenAI(
        base_url=f"{live.service.url}/v1", api_key="none", max_retries=0, timeout=10
    )
    with client:
        yield client


def test_models_are_listed_and_retrieved(sdk: openai.OpenAI) -> None:
    assert [each.id for each in sdk.models.list()] == ["echo"]
    assert sdk.models.retrieve("echo").owned_by == "callboard"


def test_a_conversation_is_answered(sdk: openai.OpenAI) -> None:
    answer = sdk.chat.completions.create(
        model="echo", messages=[{"role": "user", "content": "hello there"}]
    )

    assert answer.choices[0].message.content == "hello there"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 2


def test_a_streamed_conversation_ends_with_its_usage(sdk: openai.OpenAI) -> None:
    chunks = [
        *sdk.chat.completions.create(
            model="echo",
            messages=[{"role": "user", "content": "hello there"}],
            stream=True,
            stream_options={"include_usage": True},
        )
    ]

    texts = [each.choices[0].delta.content or "" for each in chunks if each.choices]
    assert "".join(texts) == "hello there"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 2
    assert chunks[-1].choices == []


def test_a_stream_without_the_option_has_no_usage(sdk: openai.OpenAI) -> None:
    chunks = [
        *sdk.chat.completions.create(
            model="echo", messages=[{"role": "user", "content": "x"}], stream=True
        )
    ]

    assert all(each.usage is None and each.choices for each in chunks)


def test_several_choices_are_told_apart(sdk: openai.OpenAI) -> None:
    answer = sdk.chat.completions.create(
        model="echo", messages=[{"role": "user", "content": "x"}], n=2
    )

    assert [each.index for each in answer.choices] == [0, 1]


def test_a_completion_is_answered_whole_and_streamed(sdk: openai.OpenAI) -> None:
    whole = sdk.completions.create(model="echo", prompt="a b c", max_tokens=2)
    parts = [*sdk.completions.create(model="echo", prompt=["a", "b"], stream=True)]

    assert whole.choices[0].text == "a b"
    assert whole.choices[0].finish_reason == "length"
    told = {0: "", 1: ""}
    for part in parts:
        for choice in part.choices:
            told[choice.index] += choice.text
    assert told == {0: "a", 1: "b"}


def test_a_bad_request_names_its_field(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.chat.completions.create(model="echo", messages=[], temperature=0)

    assert caught.value.param == "messages"
    assert caught.value.type == "invalid_request_error"
    assert caught.value.request_id == caught.value.response.headers[ID_HEADER]


def test_an_unknown_model_is_not_found(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        sdk.chat.completions.create(model="gpt-0", messages=[{"role": "user", "content": "x"}])

    assert caught.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError):
        sdk.models.retrieve("gpt-0")


def test_a_full_engine_is_a_rate_limit(live: Running, sdk: openai.OpenAI) -> None:
    engine = ScriptEngine(lambda _request, sink: sink.fail(EngineBusy("Full.", retry_after=2)))
    live.service.model_manager().add_chat_completions_model("busy", engine)

    with pytest.raises(openai.RateLimitError) as caught:
        sdk.chat.completions.create(model="busy", messages=[{"role": "user", "content": "x"}])

    assert caught.value.response.headers["retry-after"] == "2"


def test_a_failure_in_mid_stream_raises_an_api_error(live: Running, sdk: openai.OpenAI) -> None:
    def break_off(_request: EngineRequest, sink: Sink) -> None:
        sink.push(token_chunk(Kind.CHAT, "half"))
        raise RuntimeError("/srv/secret")

    live.service.model_manager().add_chat_completions_model("broken", ScriptEngine(break_off))
    stream = sdk.chat.completions.create(
        model="broken", messages=[{"role": "user", "content": "x"}], stream=True
    )

    assert next(iter(stream)).choices[0].delta.content == "half"
    with pytest.raises(openai.APIError) as caught:
        list(stream)
    assert "secret" not in str(caught.value)
    assert caught.value.type == "server_error"
