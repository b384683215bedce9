"""The OpenAPI document against the service: neither may know anything that the other does not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from falcon import testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from http_service import HttpService
from http_service.api.api_keys import OPEN_PATHS
from http_service.api.endpoints.chat import ChatCompletion, ChatCompletionChunk
from http_service.api.endpoints.completions import Completion
from http_service.api.routes import ROUTES
from http_service.telemetry.access_log import AccessRecord
from tests.http_service.conftest import LOCAL, add_echo
from tests.http_service.documented import undocumented
from tests.http_service.engines import ScriptEngine
from tests.http_service.json_schema import ANY_JSON, fits, values
from tests.http_service.serving import CHAT, events

KEY = "sk-first-0123456789"
TEXT = {"model": "echo", "prompt": "one two"}
BODIES = {"/v1/chat/completions": "ChatRequest", "/v1/completions": "CompletionRequest"}


@pytest.fixture(scope="module")
def web() -> Iterator[testing.TestClient]:
    with HttpService(LOCAL) as service:
        add_echo(service)
        engine = ScriptEngine(
            lambda request, sink: sink.finish() if request.stream else sink.answer(b"{}")
        )
        service.model_manager().add_chat_completions_model("script", engine)
        service.model_manager().add_completions_model("script", engine)
        yield testing.TestClient(service.app)


@pytest.fixture(scope="module")
def document(web: testing.TestClient) -> dict[str, Any]:
    found: dict[str, Any] = web.simulate_get("/openapi.json").json
    return found


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[testing.TestClient]:
    path = tmp_path_factory.mktemp("keys") / "keys.txt"
    path.write_text(f"{KEY}\n")
    with HttpService(replace(LOCAL, api_key_file=str(path))) as service:
        yield testing.TestClient(service.app, headers={"authorization": f"Bearer {KEY}"})


made: dict[str, st.SearchStrategy[Any]] = {}


def allowed(name: str, schemas: dict[str, Any]) -> st.SearchStrategy[Any]:
    """The bodies that the schema ``name`` allows; made once, which takes longer than a request."""
    if name not in made:
        made[name] = values(schemas[name], schemas)
    return made[name]


@pytest.mark.parametrize(("path", "name"), BODIES.items())
@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_a_body_is_accepted_exactly_if_the_document_allows_it(
    web: testing.TestClient, document: dict[str, Any], path: str, name: str, data: st.DataObject
) -> None:
    schemas = document["components"]["schemas"]
    body = data.draw(allowed(name, schemas))
    body["model"] = "script"
    changed = data.draw(st.none() | st.sampled_from([*schemas[name]["properties"], "model"]))
    if changed is not None:
        body[changed] = data.draw(ANY_JSON)
    for dropped in data.draw(st.sets(st.sampled_from(sorted(body)), max_size=1)):
        del body[dropped]

    status = web.simulate_post(path, json=body).status_code

    # 404: the body is right, and its model is another one.
    assert (status in (200, 404)) is fits(body, schemas[name], schemas), body
    assert status in (200, 400, 404)


def test_a_stream_has_options_and_nothing_else_has(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    table: list[tuple[dict[str, Any], bool]] = [
        ({"stream_options": {}}, False),
        ({"stream_options": {}, "stream": False}, False),
        ({"stream_options": {}, "stream": True}, True),
        ({"stream_options": None}, True),
    ]
    for name, base in (("ChatRequest", CHAT), ("CompletionRequest", TEXT)):
        for more, may in table:
            assert fits({**base, **more}, schemas[name], schemas) is may


def test_what_a_prompt_may_hold_is_told(document: dict[str, Any]) -> None:
    prompt = document["components"]["schemas"]["CompletionRequest"]["properties"]["prompt"]

    assert prompt["anyOf"][1]["items"] == {
        "anyOf": [
            {"type": "string"},
            {"type": "integer"},
            {"type": "array", "items": {"type": "integer"}},
        ]
    }


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/echo", "/live", "/ready", "/health"])
def test_an_answer_fits_the_documents_schema(
    web: testing.TestClient, document: dict[str, Any], path: str
) -> None:
    schemas = document["components"]["schemas"]
    template = path.replace("/echo", "/{model}")
    told = document["paths"][template]["get"]["responses"]["200"]["content"]["application/json"]

    assert told["schema"]["$ref"]
    assert fits(web.simulate_get(path).json, told["schema"], schemas)


@pytest.mark.parametrize(
    ("path", "body"), [("/v1/chat/completions", CHAT), ("/v1/completions", TEXT)]
)
def test_completions_whole_and_streamed_fit_the_documents_schemas(
    web: testing.TestClient, document: dict[str, Any], path: str, body: dict[str, Any]
) -> None:
    schemas = document["components"]["schemas"]
    content = document["paths"][path]["post"]["responses"]["200"]["content"]
    whole = web.simulate_post(path, json=body).json
    asked = {**body, "stream": True, "stream_options": {"include_usage": True}}
    stream = events(web.simulate_post(path, json=asked).content)

    assert fits(whole, content["application/json"]["schema"], schemas)
    for each in stream[:-1]:
        assert fits(each, content["text/event-stream"]["x-event-data"], schemas), each
    assert stream[-1] == content["text/event-stream"]["x-last-event-data"]
    structs = {"chat": (ChatCompletion, ChatCompletionChunk), "text": (Completion, Completion)}
    unary, chunk = structs["chat" if "messages" in body else "text"]
    assert msgspec.convert(whole, unary).choices
    assert msgspec.convert(stream[0], chunk).choices


def test_an_error_fits_the_documents_schema(
    web: testing.TestClient, document: dict[str, Any]
) -> None:
    schemas = document["components"]["schemas"]
    for path, body in (("/v1/completions", {}), ("/v1/completions", {**TEXT, "model": "x"})):
        result = web.simulate_post(path, json=body)
        told = document["paths"][path]["post"]["responses"][str(result.status_code)]
        assert fits(result.json, told["content"]["application/json"]["schema"], schemas)


def test_every_operation_tells_what_any_request_may_be_answered(document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        for operation in operations.values():
            told = set(operation["responses"])
            assert {"200", "400", "405", "408", "413", "431", "500", "503"} <= told, path
            assert ("401" in told) is (path not in OPEN_PATHS)
            assert "x-request-id" in operation["responses"]["200"]["headers"]
    generate = document["paths"]["/v1/completions"]["post"]["responses"]
    assert {"404", "415", "429", "502", "504", "508"} <= set(generate)
    assert generate["503"]["headers"]["Retry-After"]


def test_the_scheme_of_the_keys_is_told_and_whether_one_is_needed(
    document: dict[str, Any], locked: testing.TestClient
) -> None:
    keyed = locked.simulate_get("/openapi.json").json

    (name,) = keyed["components"]["securitySchemes"]
    assert keyed["components"]["securitySchemes"][name] == {"type": "http", "scheme": "bearer"}
    assert keyed["security"] == [{name: []}]
    assert document["security"] == [{}, {name: []}]
    for path, operations in keyed["paths"].items():
        for operation in operations.values():
            assert operation.get("security") == ([] if path in OPEN_PATHS else None), path


def test_every_header_and_parameter_of_the_document_is_one_that_the_service_reads() -> None:
    root = Path(__file__).parents[3] / "http"
    sources = "".join(each.read_text() for each in root.rglob("*.py")).lower()
    for name in ("x-request-timeout", "x-priority", "x-request-id", "http_content_encoding"):
        assert name in sources


def test_every_route_has_a_schema_for_its_success() -> None:
    for route in ROUTES:
        if re.match(r"/(v1|live|ready|health)", route.path):
            assert route.result is not None, route.path


@pytest.mark.parametrize(
    ("method", "path", "status", "told"),
    [
        ("GET", "/v1/models", 200, True),
        ("HEAD", "/v1/models/a/b/instances", 404, True),
        ("GET", "/v1/models", 404, False),
        ("GET", "/live", 503, True),
        ("GET", "/live", 502, False),
        ("POST", "/v1/completions", 422, True),
        ("POST", "/v1/completions", 507, False),
        ("POST", "/v1/completions", 499, True),
        ("PUT", "/nowhere", 404, True),
    ],
)
def test_an_answer_that_the_document_does_not_know_is_noticed(
    method: str, path: str, status: int, told: bool
) -> None:
    record = AccessRecord("r", method, path, status, 0.0)

    assert (undocumented([record]) == []) is told
