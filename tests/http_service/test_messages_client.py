"""Anthropic's client against the service, without retries."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from actors.engines.contract import EngineRequest, Kind, Sink
from actors.engines.errors import EngineBusy, EngineUnavailable
from http_service import HttpService
from tests.http_service.dialects.chat_streams import call, chunk, reasoning, text, usage
from tests.http_service.engines import ScriptEngine
from tests.http_service.serving import Client, Running

ASKED: dict[str, Any] = {
    "model": "scripted",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "hi"}],
}
TOOL: Any = {"name": "ls", "description": "lists", "input_schema": {"type": "object"}}


def thinks_speaks_and_calls(request: EngineRequest, sink: Sink) -> None:
    """Reasoning, text and one tool call, in pieces."""
    del request
    for each in (reasoning("hm"), text("I "), text("look"), call(0, '{"path":', "ls", "toolu_1")):
        sink.push(each)
    sink.push(call(0, '"."}'))
    sink.push(chunk({}, "tool_calls"), 0)
    sink.push(usage(), 0)
    sink.finish()


@pytest.fixture
def scripted(service: HttpService) -> ScriptEngine:
    """The model "scripted", which thinks, speaks and calls."""
    engine = ScriptEngine(thinks_speaks_and_calls)
    service.model_manager().add_chat_completions_model("scripted", engine)
    return engine


@pytest.fixture
def sdk(live: Running) -> Iterator[anthropic.Anthropic]:
    client = anthropic.Anthropic(
        base_url=live.service.url, api_key="none", max_retries=0, timeout=10
    )
    with client:
        yield client


def ask(sdk: anthropic.Anthropic) -> Any:
    """Its call, for fields in a dict: which types they have is what the service must find out."""
    return sdk.messages.create


def ask_stream(sdk: anthropic.Anthropic) -> Any:
    """Its helper for streams, likewise."""
    return sdk.messages.stream


def test_a_message_is_answered(scripted: ScriptEngine, sdk: anthropic.Anthropic) -> None:
    message = ask(sdk)(**ASKED, tools=[TOOL])

    assert [block.type for block in message.content] == ["thinking", "text", "tool_use"]
    assert message.stop_reason == "tool_use"
    assert message.usage.output_tokens == 5
    assert message.model == "scripted"
    asked = scripted.requests[0]
    assert (asked.kind, asked.stream) == (Kind.CHAT, False)
    assert asked.body["messages"] == [{"role": "user", "content": "hi"}]
    assert asked.body["max_completion_tokens"] == 64


def test_a_message_is_streamed(scripted: ScriptEngine, sdk: anthropic.Anthropic) -> None:
    with ask_stream(sdk)(**ASKED, tools=[TOOL]) as stream:
        said = "".join(stream.text_stream)
        message = stream.get_final_message()

    assert said == "I look"
    call_of = message.content[2]
    assert call_of.type == "tool_use"
    assert call_of.input == {"path": "."}
    assert scripted.requests[0].body["stream_options"] == {"include_usage": True}
    assert message.usage.output_tokens == 5


def test_the_query_of_a_beta_changes_nothing(scripted: ScriptEngine, client: Client) -> None:
    del scripted
    answer = client.post("/v1/messages?beta=true", ASKED)

    assert answer.status == 200
    assert answer.headers["request-id"] == answer.headers["x-request-id"]


def test_tokens_are_counted_without_an_engine(
    scripted: ScriptEngine, sdk: anthropic.Anthropic, client: Client
) -> None:
    messages: Any = ASKED["messages"]

    assert sdk.messages.count_tokens(model="scripted", messages=messages).input_tokens == 5
    answer = client.post("/v1/messages/count_tokens", {"model": "scripted", "messages": messages})
    assert answer.headers["x-callboard-estimate"] == "1"
    assert scripted.requests == []


def test_models_are_listed(scripted: ScriptEngine, sdk: anthropic.Anthropic) -> None:
    del scripted
    listed = list(sdk.models.list())

    assert [model.id for model in listed] == ["echo", "scripted"]
    assert listed[0].type == "model"
    assert sdk.models.retrieve("echo").display_name == "echo"


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"model": "nope"}, anthropic.NotFoundError, "nope"),
        ({"messages": []}, anthropic.BadRequestError, "messages"),
        ({"max_tokens": 0}, anthropic.BadRequestError, "max_tokens"),
        (
            {"messages": [{"role": "user", "content": [{"type": "container_upload"}]}]},
            anthropic.BadRequestError,
            "container_upload",
        ),
    ],
)
def test_a_mistake_is_an_error_of_the_familys(
    scripted: ScriptEngine,
    sdk: anthropic.Anthropic,
    change: dict[str, Any],
    error: type[anthropic.APIStatusError],
    said: str,
) -> None:
    del scripted
    with pytest.raises(error, match=said) as caught:
        ask(sdk)(**{**ASKED, **change})
    body: Any = caught.value.body
    assert body["type"] == "error"
    assert body["request_id"] == caught.value.request_id


def test_a_full_engine_says_when_to_come_back(
    service: HttpService, sdk: anthropic.Anthropic
) -> None:
    def refuse(_request: EngineRequest, _sink: Sink) -> None:
        raise EngineBusy("full", retry_after=3)

    service.model_manager().add_chat_completions_model("busy", ScriptEngine(refuse))
    with pytest.raises(anthropic.RateLimitError) as caught:
        ask(sdk)(**{**ASKED, "model": "busy"})
    assert caught.value.response.headers["retry-after"] == "3"


def test_a_stream_that_breaks_off_never_looks_complete(
    service: HttpService, sdk: anthropic.Anthropic
) -> None:
    def break_off(_request: EngineRequest, sink: Sink) -> None:
        sink.push(text("half"))
        sink.fail(EngineUnavailable("The engine died."))

    service.model_manager().add_chat_completions_model("broken", ScriptEngine(break_off))
    with ask(sdk)(**{**ASKED, "model": "broken"}, stream=True) as stream:
        events = iter(stream)
        assert next(events).type == "message_start"
        with pytest.raises(anthropic.APIStatusError, match="died"):
            list(events)


@pytest.mark.parametrize("stream", [False, True])
def test_a_failure_before_the_first_token_is_an_http_error(
    service: HttpService, client: Client, *, stream: bool
) -> None:
    def fail(_request: EngineRequest, sink: Sink) -> None:
        sink.push(chunk({"role": "assistant"}), 0)
        sink.fail(EngineUnavailable("The engine died."))

    service.model_manager().add_chat_completions_model("dying", ScriptEngine(fail))
    answer = client.post("/v1/messages", {**ASKED, "model": "dying", "stream": stream})

    assert answer.status == 502
    assert answer.json()["error"] == {"type": "api_error", "message": "The engine died."}


def test_an_answer_of_nothing_is_an_error(service: HttpService, client: Client) -> None:
    service.model_manager().add_chat_completions_model(
        "mute", ScriptEngine(lambda _request, sink: sink.finish())
    )
    for stream in (False, True):
        answer = client.post("/v1/messages", {**ASKED, "model": "mute", "stream": stream})
        assert answer.status == 502


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/v1/messages", 405, "invalid_request_error"),
        ("POST", "/v1/messages/batches", 404, "not_found_error"),
        ("POST", "/v1/messages_beta", 404, None),
    ],
)
def test_the_familys_errors_begin_at_its_path(
    client: Client, method: str, path: str, status: int, kind: str | None
) -> None:
    answer = client.call(method, path, {} if method == "POST" else None)

    assert answer.status == status
    document = json.loads(answer.body)
    assert (document.get("type") == "error") is (kind is not None)
    if kind is not None:
        assert document["error"]["type"] == kind


def test_the_tokens_are_counted_for_the_metrics(
    scripted: ScriptEngine, sdk: anthropic.Anthropic, client: Client
) -> None:
    del scripted
    ask(sdk)(**ASKED)

    metrics = client.get("/metrics").body.decode()
    assert 'endpoint="anthropic_messages"' in metrics


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'"text"'])
def test_a_whole_answer_that_can_not_be_read_is_the_engines_failure(
    service: HttpService, client: Client, body: bytes
) -> None:
    engine = ScriptEngine(lambda _request, sink: sink.answer(body))
    service.model_manager().add_chat_completions_model("broken", engine)

    answer = client.post("/v1/messages", {**ASKED, "model": "broken"})
    assert answer.status == 502


@pytest.mark.parametrize("stream", [False, True])
def test_what_only_lenient_readers_take_is_passed_on(
    service: HttpService, client: Client, *, stream: bool
) -> None:
    def answer(_request: EngineRequest, sink: Sink) -> None:
        sink.push(b'data: {"choices":[{"index":0,"delta":{"content":"half \\ud83d"}}]}\n\n')
        sink.push(chunk({}, "stop"), 0)
        sink.finish()

    service.model_manager().add_chat_completions_model("lenient", ScriptEngine(answer))
    answered = client.post("/v1/messages", {**ASKED, "model": "lenient", "stream": stream})
    assert answered.status == 200
    assert b"half \\ud83d" in answered.body


def test_a_count_reads_compressed_bodies(scripted: ScriptEngine, client: Client) -> None:
    del scripted
    asked = {"model": "scripted", "messages": ASKED["messages"]}
    body = gzip.compress(json.dumps(asked).encode())
    answer = client.call("POST", "/v1/messages/count_tokens", body, content_encoding="gzip")
    assert answer.json() == {"input_tokens": 5}
