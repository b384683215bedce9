"""OpenAI's client on responses that are stored, and on a service that stores none."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest

from actors.engines.contract import EngineRequest, Sink
from actors.engines.errors import EngineUnavailable
from http_service import HttpService, HttpServiceConfig
from http_service.api.generate import INLINE_BODY
from tests.http_service.conftest import LOCAL
from tests.http_service.dialects.chat_streams import call, chunk, reasoning, text, usage
from tests.http_service.engines import ScriptEngine
from tests.http_service.serving import Client, Running, running

STORING = replace(LOCAL, responses_store=1024 * 1024)
FUNCTION: Any = {"type": "function", "name": "ls", "parameters": {"type": "object"}, "strict": True}
KEYS = ("sk-first-client", "sk-second-client")


def answers(request: EngineRequest, sink: Sink) -> None:
    """A call if there are tools and no result yet; else how many messages there were."""
    messages: list[dict[str, Any]] = [*request.body["messages"]]
    if request.body.get("tools") and messages[-1]["role"] != "tool":
        sink.push(reasoning("hm"))
        sink.push(call(0, "{}", "ls", "call_1"))
        sink.push(chunk({}, "tool_calls"), 0)
    else:
        sink.push(text(f"{len(messages)} messages"))
        sink.push(chunk({}, "stop"), 0)
    sink.push(usage(), 0)
    sink.finish()


class Stage:
    """A running service with the model "scripted", and clients of it."""

    def __init__(self, live: Running, engine: ScriptEngine) -> None:
        self.live = live
        self.engine = engine

    @contextmanager
    def sdk(self, key: str = "none") -> Generator[openai.OpenAI]:
        url = f"{self.live.service.url}/v1"
        with openai.OpenAI(base_url=url, api_key=key, max_retries=0, timeout=10) as client:
            yield client

    def metrics(self) -> str:
        """What ``/metrics`` says."""
        return self.live.service.model_manager().metrics().render("text/plain")[0].decode()

    def messages(self) -> list[dict[str, Any]]:
        """What the model was asked last."""
        return [*self.engine.requests[-1].body["messages"]]


@contextmanager
def staged(config: HttpServiceConfig) -> Generator[Stage]:
    with HttpService(config) as service:
        engine = ScriptEngine(answers)
        service.model_manager().add_chat_completions_model("scripted", engine)
        with running(service) as live:
            yield Stage(live, engine)


@pytest.fixture
def storing() -> Iterator[Stage]:
    with staged(STORING) as stage:
        yield stage


@pytest.fixture
def sdk(storing: Stage) -> Iterator[openai.OpenAI]:
    with storing.sdk() as client:
        yield client


@pytest.mark.parametrize("stream", [False, True])
def test_a_response_goes_on_from_another(
    storing: Stage, sdk: openai.OpenAI, *, stream: bool
) -> None:
    first: Any
    if stream:
        with sdk.responses.stream(model="scripted", input="one") as events:
            first = events.get_final_response()
    else:
        first = sdk.responses.create(model="scripted", input="one", instructions="Be brief.")
    second = sdk.responses.create(model="scripted", input="two", previous_response_id=first.id)
    third = sdk.responses.create(model="scripted", input="three", previous_response_id=second.id)

    assert [message["content"] for message in storing.messages()] == [
        "one", first.output_text, "two", second.output_text, "three",
    ]  # fmt: skip
    assert third.output_text == "5 messages"
    assert third.previous_response_id == second.id
    assert third.model_dump()["store"] is True


def test_a_tool_runs_between_two_responses(storing: Stage, sdk: openai.OpenAI) -> None:
    first = sdk.responses.create(model="scripted", input="look", tools=[FUNCTION])
    output: Any = {"type": "function_call_output", "call_id": "call_1", "output": "a.txt"}
    sdk.responses.create(
        model="scripted", input=[output], previous_response_id=first.id, tools=[FUNCTION]
    )

    asked, said, told = storing.messages()
    assert asked == {"role": "user", "content": "look"}
    assert said["tool_calls"][0]["id"] == "call_1"
    assert said["reasoning_content"] == "hm"
    assert told == {"role": "tool", "tool_call_id": "call_1", "content": "a.txt"}


def test_items_are_referred_to_by_their_ids(storing: Stage, sdk: openai.OpenAI) -> None:
    first = sdk.responses.create(model="scripted", input="look", tools=[FUNCTION])
    asked: Any = {"role": "user", "content": "look"}
    said: Any = [{"type": "item_reference", "id": item.id} for item in first.output]
    output: Any = {"type": "function_call_output", "call_id": "call_1", "output": "a.txt"}
    sdk.responses.create(model="scripted", input=[asked, *said, output], tools=[FUNCTION])

    assert [message["role"] for message in storing.messages()] == ["user", "assistant", "tool"]
    unknown: Any = {"type": "item_reference", "id": "msg_none_0"}
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.responses.create(model="scripted", input=[unknown])
    assert caught.value.param == "input[0]"


def test_a_stored_response_is_what_was_sent(sdk: openai.OpenAI) -> None:
    made = sdk.responses.create(model="scripted", input="hi", metadata={"a": "b"})

    assert sdk.responses.retrieve(made.id).model_dump() == made.model_dump()


def test_the_items_of_a_conversation_are_listed_page_by_page(sdk: openai.OpenAI) -> None:
    first = sdk.responses.create(model="scripted", input="one")
    second = sdk.responses.create(model="scripted", input="two", previous_response_id=first.id)
    page = sdk.responses.input_items.list(second.id, order="asc", limit=2)
    items: list[Any] = [*page]

    assert page.has_more
    assert [item.role for item in items] == ["user", "assistant", "user"]
    assert [item.content[0].text for item in items] == ["one", "1 messages", "two"]
    assert len({item.id for item in items}) == 3
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.responses.input_items.list(second.id, limit=1000)
    assert caught.value.param == "limit"


def test_a_deleted_response_is_gone(sdk: openai.OpenAI) -> None:
    made = sdk.responses.create(model="scripted", input="hi")
    sdk.responses.delete(made.id)

    for ask in (sdk.responses.retrieve, sdk.responses.delete, sdk.responses.input_items.list):
        with pytest.raises(openai.NotFoundError, match=made.id):
            ask(made.id)
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.responses.create(model="scripted", input="hi", previous_response_id=made.id)
    assert caught.value.code == "previous_response_not_found"
    assert caught.value.param == "previous_response_id"


def test_what_the_client_does_not_want_stored_is_not(sdk: openai.OpenAI) -> None:
    kept = sdk.responses.create(model="scripted", input="one")
    made = sdk.responses.create(
        model="scripted", input="two", previous_response_id=kept.id, store=False
    )

    assert made.output_text == "3 messages"
    assert made.model_dump()["store"] is False
    with pytest.raises(openai.NotFoundError):
        sdk.responses.retrieve(made.id)


def test_what_failed_is_not_stored(storing: Stage, sdk: openai.OpenAI) -> None:
    def break_off(_request: EngineRequest, sink: Sink) -> None:
        sink.push(text("half"))
        sink.fail(EngineUnavailable("The engine died."))

    manager = storing.live.service.model_manager()
    manager.add_chat_completions_model("broken", ScriptEngine(break_off))
    with sdk.responses.create(model="broken", input="hi", stream=True) as stream:
        last: Any = [*stream][-1]

    assert last.type == "response.failed"
    with pytest.raises(openai.NotFoundError):
        sdk.responses.retrieve(last.response.id)


def test_what_there_is_no_room_for_says_so(sdk: openai.OpenAI) -> None:
    small = sdk.responses.create(model="scripted", input="hi")
    with sdk.responses.stream(model="scripted", input="x" * STORING.responses_store) as stream:
        large = stream.get_final_response()

    assert large.model_dump()["store"] is False
    with pytest.raises(openai.NotFoundError):
        sdk.responses.retrieve(large.id)
    assert sdk.responses.retrieve(small.id).id == small.id


def test_the_conversation_counts_as_a_part_of_the_body() -> None:
    with staged(replace(STORING, body_limit=4_000)) as stage, stage.sdk() as sdk:
        first = sdk.responses.create(model="scripted", input="x" * 3_000)
        with pytest.raises(openai.APIStatusError) as caught:
            sdk.responses.create(model="scripted", input="y" * 1_000, previous_response_id=first.id)
    assert caught.value.status_code == 413


def test_a_long_conversation_is_read_by_a_worker(storing: Stage, sdk: openai.OpenAI) -> None:
    first = sdk.responses.create(model="scripted", input="x" * (INLINE_BODY + 1))
    second = sdk.responses.create(model="scripted", input="hi", previous_response_id=first.id)

    assert second.output_text == "3 messages"
    assert len(storing.engine.requests) == 2
    assert len([*sdk.responses.input_items.list(second.id)]) == 3


def test_tokens_are_counted_with_the_conversation(sdk: openai.OpenAI) -> None:
    first = sdk.responses.create(model="scripted", input="x" * 400)
    count = sdk.responses.input_tokens.count
    alone = count(model="scripted", input="hi").input_tokens
    whole = count(model="scripted", input="hi", previous_response_id=first.id).input_tokens

    assert whole >= alone + 100


def test_an_id_of_the_client_is_no_id_of_a_response(storing: Stage) -> None:
    client = Client(storing.live.address)
    body = {"model": "scripted", "input": "hi"}
    ids = {
        client.call("POST", "/v1/responses", body, x_request_id="same").json()["id"]
        for _ in range(2)
    }
    client.close()

    assert len(ids) == 2
    assert not any("same" in each for each in ids)


def test_keys_do_not_see_each_others_responses(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("\n".join(KEYS))
    config = replace(STORING, api_key_file=str(file))
    with staged(config) as stage, stage.sdk(KEYS[0]) as first, stage.sdk(KEYS[1]) as second:
        made = first.responses.create(model="scripted", input="secret")
        item: Any = {"type": "item_reference", "id": made.output[0].id}
        with pytest.raises(openai.NotFoundError):
            second.responses.retrieve(made.id)
        with pytest.raises(openai.NotFoundError):
            second.responses.delete(made.id)
        with pytest.raises(openai.BadRequestError):
            second.responses.create(model="scripted", input="hi", previous_response_id=made.id)
        with pytest.raises(openai.BadRequestError):
            second.responses.create(model="scripted", input=[item])
        assert first.responses.retrieve(made.id).id == made.id


def test_a_service_that_stores_none_names_the_option() -> None:
    with staged(LOCAL) as stage, stage.sdk() as sdk:
        made = sdk.responses.create(model="scripted", input="hi", store=True)
        assert made.model_dump()["store"] is False
        for ask in (sdk.responses.retrieve, sdk.responses.delete, sdk.responses.input_items.list):
            with pytest.raises(openai.NotFoundError, match="--responses-store"):
                ask(made.id)
        with pytest.raises(openai.BadRequestError, match="--responses-store"):
            sdk.responses.create(model="scripted", input="hi", previous_response_id=made.id)


def test_a_stored_response_is_not_streamed_again(sdk: openai.OpenAI) -> None:
    made = sdk.responses.create(model="scripted", input="hi")
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.responses.retrieve(made.id, stream=True)
    assert (caught.value.param, caught.value.code) == ("stream", "unsupported_parameter")


def test_what_is_stored_is_measured() -> None:
    config = replace(LOCAL, responses_store=3000)
    with staged(config) as stage, stage.sdk() as sdk:
        for _ in range(5):
            sdk.responses.create(model="scripted", input="hi")
        metrics = stage.metrics().splitlines()
    found = {
        name.removeprefix("callboard_frontend_stored_responses"): float(value)
        for name, _, value in (line.partition(" ") for line in metrics)
        if name.startswith("callboard_frontend_stored_responses")
    }

    assert 0 < found["_bytes"] <= 3000
    assert found[""] + found["_evicted_total"] == 5
    assert found["_evicted_total"] > 0


def test_a_service_that_stores_none_measures_none() -> None:
    with staged(LOCAL) as stage:
        assert "stored_responses" not in stage.metrics()
