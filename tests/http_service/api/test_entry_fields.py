"""What an entry says of its model: adapters, bounds in tokens, defaults of a request."""

from __future__ import annotations

from typing import Any

import pytest
from falcon import testing

from actors.engines import Kind
from actors.engines.contract import Context, EngineRequest, Sink
from actors.engines.pool import InstanceSpec, ModelSpec
from actors.registry import DropInstance, PutInstance
from actors.supervision import Address
from tests.http_service.api.conftest import ASK
from tests.http_service.engines import token_chunk

CHAT: dict[str, Any] = {"model": "base", "messages": [{"role": "user", "content": "hello"}]}
PATH = "/v1/chat/completions"


class Noting:
    """A push engine that answers "x" and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[EngineRequest] = []

    def start(self, request: EngineRequest, sink: Sink, context: Context) -> None:
        del context
        self.asked.append(request)
        sink.push(token_chunk(request.kind, "x", finish="stop"))
        sink.finish()


class Telling:
    """A push engine that gives one document."""

    def __init__(self, document: bytes) -> None:
        self.document = document

    def start(self, request: EngineRequest, sink: Sink, context: Context) -> None:
        del request, context
        sink.answer(self.document)


@pytest.fixture
def engine() -> Noting:
    return Noting()


def put(
    registry: Address,
    engine: Noting,
    spec: ModelSpec,
    instance: str = "1",
    *,
    model: str = "base",
    draining: bool = False,
) -> None:
    said = InstanceSpec(draining=draining)
    registry.ask(PutInstance(Kind.CHAT, model, instance, engine, said, spec), timeout=ASK)


def listed(web: testing.TestClient, **headers: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = web.simulate_get("/v1/models", headers=headers).json["data"]
    return found


def ask(web: testing.TestClient, path: str = PATH, **fields: Any) -> testing.Result:
    return web.simulate_post(path, json={**CHAT, **fields})


# Adapters.


def test_an_adapters_name_reaches_the_models_instances_and_counts_as_the_model(
    web: testing.TestClient, registry: Address, engine: Noting
) -> None:
    put(registry, engine, ModelSpec(aliases=("other",), adapters=("sql", "org/law")))
    for name in ("org/law", "sql", "other", "base"):
        assert ask(web, model=name).status_code == 200
    assert [each.body["model"] for each in engine.asked] == ["org/law", "sql", "base", "base"]
    metrics = web.simulate_get("/metrics").text
    assert 'model="base"' in metrics
    assert 'model="sql"' not in metrics


def test_adapters_are_listed_after_their_parent_and_found_alone(
    web: testing.TestClient, registry: Address, engine: Noting
) -> None:
    put(registry, engine, ModelSpec(aliases=("other",), adapters=("org/law",)))
    put(registry, engine, ModelSpec(), model="next")
    assert [each["id"] for each in listed(web)] == ["base", "org/law", "next"]
    one = web.simulate_get("/v1/models/org/law").json
    assert (one["parent"], one["root"]) == ("base", "base")
    assert "parent" not in web.simulate_get("/v1/models/base").json
    assert web.simulate_get("/v1/models/other").json["id"] == "other"


def test_a_models_own_name_wins_over_an_adapter_of_that_name(
    web: testing.TestClient, registry: Address, engine: Noting
) -> None:
    own = Noting()
    put(registry, engine, ModelSpec(adapters=("law",)))
    put(registry, own, ModelSpec(), model="law")
    assert ask(web, model="law").status_code == 200
    assert (len(own.asked), len(engine.asked)) == (1, 0)
    assert [(each["id"], each.get("parent")) for each in listed(web)] == [
        ("base", None),
        ("law", None),
    ]


def test_an_adapter_goes_with_the_last_entry_that_names_it(
    web: testing.TestClient, registry: Address, engine: Noting
) -> None:
    put(registry, engine, ModelSpec(adapters=("law",)))
    put(registry, engine, ModelSpec(), "2")
    assert ask(web, model="law").status_code == 404
    registry.ask(DropInstance(Kind.CHAT, "base", "2"), timeout=ASK)
    assert ask(web, model="law").status_code == 200


# Bounds in tokens.


def test_the_bounds_are_listed_in_the_words_of_each_api(
    web: testing.TestClient, registry: Address, engine: Noting
) -> None:
    spec = ModelSpec(context_length=8192, max_output_tokens=512, adapters=("law",))
    put(registry, engine, spec)
    names = ("context_window", "max_model_len", "max_output_tokens")
    for each in listed(web):
        assert [each[name] for name in names] == [8192, 8192, 512]
    for each in listed(web, **{"anthropic-version": "2023-06-01"}):
        assert (each["max_input_tokens"], each["max_tokens"]) == (8192, 512)


def test_a_model_that_says_nothing_is_listed_as_ever(
    web: testing.TestClient, registry: Address, engine: Noting
) -> None:
    put(registry, engine, ModelSpec())
    (one,) = listed(web)
    assert set(one) == {"id", "object", "created", "owned_by"}


def test_of_several_instances_the_last_one_that_serves_is_believed(
    web: testing.TestClient, registry: Address, engine: Noting
) -> None:
    put(registry, engine, ModelSpec(context_length=1))
    put(registry, engine, ModelSpec(context_length=2), "2")
    assert listed(web)[0]["context_window"] == 2
    put(registry, engine, ModelSpec(context_length=2), "2", draining=True)
    assert listed(web)[0]["context_window"] == 1


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/chat/completions", "max_tokens"),
        ("/v1/chat/completions", "max_completion_tokens"),
        ("/v1/messages", "max_tokens"),
        ("/v1/responses", "max_output_tokens"),
    ],
)
def test_an_answer_longer_than_the_model_gives_is_refused_before_it_is_asked(
    web: testing.TestClient, registry: Address, engine: Noting, path: str, field: str
) -> None:
    put(registry, engine, ModelSpec(max_output_tokens=512))
    fields: dict[str, Any] = {"input": "hello", "max_tokens": 1} if "resp" in path else {}
    assert ask(web, path, **{**fields, field: 512}).status_code == 200
    refused = ask(web, path, **{**fields, field: 513})

    assert refused.status_code == 400
    assert f"{field} is too large: 513" in refused.json["error"]["message"]
    if path != "/v1/messages":
        assert refused.json["error"]["param"] == field
    assert len(engine.asked) == 1
    assert 'error_type="validation"' in web.simulate_get("/metrics").text


@pytest.mark.parametrize(
    ("kind", "path", "body"),
    [
        (Kind.COMPLETIONS, "/v1/completions", {"prompt": [1] * 9, "max_tokens": 4}),
        (Kind.COMPLETIONS, "/v1/completions", {"prompt": [[1], [1] * 13]}),
        (Kind.EMBEDDINGS, "/v1/embeddings", {"input": [[1] * 13, [1]]}),
    ],
)
def test_token_ids_beyond_the_context_are_refused_before_the_model_is_asked(
    web: testing.TestClient,
    registry: Address,
    engine: Noting,
    kind: Kind,
    path: str,
    body: dict[str, Any],
) -> None:
    for length in (13, 12):
        spec = ModelSpec(context_length=length)
        registry.ask(PutInstance(kind, "base", "1", engine, InstanceSpec(), spec), timeout=ASK)
        refused = web.simulate_post(path, json={"model": "base", **body})
        error = refused.json.get("error", {})
        if length == 13:
            assert len(engine.asked) == 1
        else:
            assert (refused.status_code, error["code"]) == (400, "context_length_exceeded")
            assert error["type"] == "invalid_request_error"
            assert error["param"] in body
            assert "maximum context length is 12 tokens" in error["message"]
    assert len(engine.asked) == 1


def test_what_only_the_server_can_count_is_the_servers_to_refuse(
    web: testing.TestClient, registry: Address, engine: Noting
) -> None:
    put(registry, engine, ModelSpec(context_length=1))
    assert ask(web, max_tokens=9).status_code == 200


# Defaults.


def test_defaults_are_filled_in_where_the_request_lacks_them(
    web: testing.TestClient, registry: Address, engine: Noting
) -> None:
    put(registry, engine, ModelSpec(defaults={"temperature": 0.2, "max_tokens": 9}))
    sent_fields: list[dict[str, Any]] = [
        {},
        {"temperature": None},
        {"max_completion_tokens": 5},
    ]
    for fields in sent_fields:
        assert ask(web, **fields).status_code == 200
    sent = [
        {name: each.body[name] for name in each.body.keys() - CHAT.keys()} for each in engine.asked
    ]
    assert sent == [
        {"temperature": 0.2, "max_tokens": 9},
        {"temperature": None, "max_tokens": 9},
        {"temperature": 0.2, "max_completion_tokens": 5},
    ]


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/responses"])
def test_a_translated_request_has_them_too(
    web: testing.TestClient, registry: Address, engine: Noting, path: str
) -> None:
    put(registry, engine, ModelSpec(defaults={"temperature": 0.2, "top_k": 3, "max_tokens": 9}))
    body = {"max_tokens": 4} if "messages" in path else {"max_output_tokens": 4, "input": "hello"}
    assert ask(web, path, temperature=1, **body).status_code == 200
    (asked,) = engine.asked
    assert (asked.body["temperature"], asked.body["top_k"]) == (1, 3)
    assert 9 not in asked.body.values()


def test_a_document_calls_its_model_as_the_client_did(
    web: testing.TestClient, registry: Address
) -> None:
    engine = Telling(b'{"object":"list", "model" : "own", "data":[]}')
    spec = ModelSpec(aliases=("alias",), adapters=("law",))
    registry.ask(
        PutInstance(Kind.EMBEDDINGS, "vectors", "1", engine, InstanceSpec(), spec), timeout=ASK
    )

    def told(model: str) -> str:
        return web.simulate_post("/v1/embeddings", json={"model": model, "input": "x"}).text

    assert told("alias") == '{"object":"list", "model" : "alias", "data":[]}'
    assert told("vectors") == told("law") == '{"object":"list", "model" : "own", "data":[]}'


def test_an_embedding_request_has_them_and_its_adapter_too(
    web: testing.TestClient, registry: Address, engine: Noting
) -> None:
    spec = ModelSpec(adapters=("law",), defaults={"dimensions": 3})
    registry.ask(
        PutInstance(Kind.EMBEDDINGS, "vectors", "1", engine, InstanceSpec(), spec), timeout=ASK
    )
    web.simulate_post("/v1/embeddings", json={"model": "law", "input": "x"})
    (asked,) = engine.asked
    assert asked.body == {"model": "law", "input": "x", "dimensions": 3}
    assert 'model="law"' not in web.simulate_get("/metrics").text
