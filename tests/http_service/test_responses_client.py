"""OpenAI's client on the Responses API, without retries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from actors.engines.contract import Context, EngineRequest, Sink
from actors.engines.errors import EngineUnavailable
from http_service import HttpService
from tests.http_service.dialects.chat_streams import call, chunk, reasoning, text, usage
from tests.http_service.engines import ManualEngine, ScriptEngine
from tests.http_service.serving import Client, Running

FUNCTION: Any = {"type": "function", "name": "ls", "parameters": {"type": "object"}, "strict": True}


def thinks_speaks_and_calls(request: EngineRequest, sink: Sink) -> None:
    """Reasoning, text and one tool call, in pieces."""
    del request
    for each in (reasoning("hm"), text("I "), text("look"), call(0, '{"path":', "ls", "call_1")):
        sink.push(each)
    sink.push(call(0, '"."}'))
    sink.push(chunk({}, "tool_calls"), 0)
    sink.push(usage(), 0)
    sink.finish()


class Talker(ManualEngine):
    """Says something at once, and goes on for as long as it is wanted."""

    def start(self, request: EngineRequest, sink: Sink, context: Context) -> None:
        super().start(request, sink, context)
        sink.push(text("half"))


@pytest.fixture
def scripted(service: HttpService) -> ScriptEngine:
    """The model "scripted", which thinks, speaks and calls."""
    engine = ScriptEngine(thinks_speaks_and_calls)
    service.model_manager().add_chat_completions_model("scripted", engine)
    return engine


@pytest.fixture
def sdk(live: Running) -> Iterator[openai.OpenAI]:
    client = openai.OpenAI(
        base_url=f"{live.service.url}/v1", api_key="none", max_retries=0, timeout=10
    )
    with client:
        yield client


def test_a_response_is_made(scripted: ScriptEngine, sdk: openai.OpenAI) -> None:
    response = sdk.responses.create(model="scripted", input="hi", tools=[FUNCTION])

    assert response.output_text == "I look"
    assert [item.type for item in response.output] == ["reasoning", "message", "function_call"]
    assert response.usage is not None
    assert response.usage.output_tokens == 5
    assert scripted.requests[0].body["messages"] == [{"role": "user", "content": "hi"}]


def test_the_helper_reads_the_stream(scripted: ScriptEngine, sdk: openai.OpenAI) -> None:
    del scripted
    with sdk.responses.stream(model="scripted", input="hi", tools=[FUNCTION]) as stream:
        kinds = [event.type for event in stream]
        response = stream.get_final_response()

    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    call_of = response.output[2]
    assert call_of.type == "function_call"
    assert call_of.arguments == '{"path":"."}'


def test_what_was_said_before_goes_back(scripted: ScriptEngine, sdk: openai.OpenAI) -> None:
    first = sdk.responses.create(model="scripted", input="hi", tools=[FUNCTION])
    items: Any = [item.model_dump(exclude_none=True) for item in first.output]
    output: Any = {"type": "function_call_output", "call_id": "call_1", "output": "a.txt"}
    sdk.responses.create(model="scripted", input=[*items, output], tools=[FUNCTION])

    said, told = scripted.requests[1].body["messages"]
    assert said["reasoning_content"] == "hm"
    assert said["content"] == "I look"
    assert said["tool_calls"][0]["id"] == "call_1"
    assert told == {"role": "tool", "tool_call_id": "call_1", "content": "a.txt"}


def test_a_schema_is_parsed(service: HttpService, sdk: openai.OpenAI) -> None:
    class City(BaseModel):
        name: str

    def answer(_request: EngineRequest, sink: Sink) -> None:
        sink.push(text('{"name":"Paris"}'))
        sink.push(chunk({}, "stop"), 0)
        sink.finish()

    engine = ScriptEngine(answer)
    service.model_manager().add_chat_completions_model("json", engine)
    response = sdk.responses.parse(model="json", input="where?", text_format=City)

    assert response.output_parsed == City(name="Paris")
    assert engine.requests[0].body["response_format"]["json_schema"]["name"] == "City"


def test_tokens_are_counted_without_an_engine(scripted: ScriptEngine, sdk: openai.OpenAI) -> None:
    assert sdk.responses.input_tokens.count(model="scripted", input="hi").input_tokens == 5
    assert scripted.requests == []


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"background": True}, "background", "unsupported_parameter"),
        (
            {"previous_response_id": "resp_1"},
            "previous_response_id",
            "previous_response_not_found",
        ),
        ({"input": []}, "input", "invalid_value"),
    ],
)
def test_what_can_not_be_honoured_is_named_once(
    scripted: ScriptEngine, sdk: openai.OpenAI, fields: Any, param: str, code: str
) -> None:
    create: Any = sdk.responses.create
    with pytest.raises(openai.BadRequestError) as caught:
        create(**{"model": "scripted", "input": "hi", **fields})
    assert (caught.value.param, caught.value.code) == (param, code)
    assert scripted.requests == []


def test_tools_that_only_openai_runs_are_said_to_be_dropped(
    scripted: ScriptEngine, client: Client
) -> None:
    body = {"model": "scripted", "input": "hi", "tools": [FUNCTION, {"type": "web_search"}]}
    answer = client.post("/v1/responses", body)

    assert answer.headers["x-callboard-dropped-tools"] == "web_search"
    assert len(scripted.requests[0].body["tools"]) == 1


def test_a_stream_that_breaks_off_fails(service: HttpService, sdk: openai.OpenAI) -> None:
    def break_off(_request: EngineRequest, sink: Sink) -> None:
        sink.push(text("half"))
        sink.fail(EngineUnavailable("The engine died."))

    service.model_manager().add_chat_completions_model("broken", ScriptEngine(break_off))
    with sdk.responses.create(model="broken", input="hi", stream=True) as stream:
        events = iter(stream)
        assert next(events).type == "response.created"
        last = list(events)[-1]

    assert last.type == "response.failed"
    assert last.response.error is not None
    assert "died" in last.response.error.message


def test_a_client_that_leaves_stops_the_engine(service: HttpService, sdk: openai.OpenAI) -> None:
    engine = Talker()
    service.model_manager().add_chat_completions_model("manual", engine)
    with sdk.responses.create(model="manual", input="hi", stream=True) as stream:
        next(iter(stream))
    assert engine.cancelled.wait(10)
