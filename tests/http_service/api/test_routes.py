"""Routing, and every way to ask wrongly, on the application itself: no sockets."""

from __future__ import annotations

import json
import logging
import threading
from typing import Any

import pytest
from falcon import testing

from actors.engines.contract import Kind
from http_service import HttpService
from http_service.api import generate
from http_service.api.generate import INLINE_BODY, KEPT_BODY
from http_service.api.routes import ROUTES
from http_service.api.validation import parse_json
from http_service.headers import ID_HEADER, request_id_from
from tests.http_service.conftest import LOCAL, add_echo
from tests.http_service.engines import ScriptEngine
from tests.http_service.serving import CHAT, error_of, events

TEXT: dict[str, Any] = {"model": "echo", "prompt": "one two"}
PATH = "/v1/chat/completions"
GENERATING = [(PATH, CHAT), ("/v1/completions", TEXT)]


@pytest.fixture
def web(service: HttpService) -> testing.TestClient:
    return testing.TestClient(service.app)


@pytest.mark.parametrize(("path", "body"), GENERATING)
def test_a_unary_request_is_answered(
    web: testing.TestClient, path: str, body: dict[str, Any]
) -> None:
    result = web.simulate_post(path, json=body)

    assert result.status_code == 200
    assert result.headers["content-type"] == "application/json"
    choice = result.json["choices"][0]
    told = choice["message"]["content"] if "message" in choice else choice["text"]
    assert told == "one two"
    assert result.json["usage"]["completion_tokens"] == 2


@pytest.mark.parametrize(("path", "body"), GENERATING)
def test_a_streamed_request_is_answered_with_events(
    web: testing.TestClient, path: str, body: dict[str, Any]
) -> None:
    result = web.simulate_post(path, json={**body, "stream": True})

    assert result.status_code == 200
    assert result.headers["content-type"] == "text/event-stream"
    assert result.headers["cache-control"] == "no-cache"
    told = events(result.content)
    assert told[-1] == "[DONE]"
    assert all("usage" not in each for each in told[:-1])
    assert len({each["id"] for each in told[:-1]}) == 1


@pytest.mark.parametrize(("path", "body"), GENERATING)
def test_usage_comes_last_where_it_was_asked_for(
    web: testing.TestClient, path: str, body: dict[str, Any]
) -> None:
    asked = {**body, "stream": True, "stream_options": {"include_usage": True}}

    told = events(web.simulate_post(path, json=asked).content)

    assert told[-2]["choices"] == []
    assert told[-2]["usage"]["completion_tokens"] == 2


@pytest.mark.parametrize(("path", "body"), GENERATING)
def test_n_choices_are_n_answers(web: testing.TestClient, path: str, body: dict[str, Any]) -> None:
    result = web.simulate_post(path, json={**body, "n": 3})

    assert [each["index"] for each in result.json["choices"]] == [0, 1, 2]


def test_stop_and_lists_of_prompts_reach_the_engine(web: testing.TestClient) -> None:
    stopped = web.simulate_post("/v1/completions", json={**TEXT, "stop": " two"})
    several = web.simulate_post("/v1/completions", json={**TEXT, "prompt": ["a", "b"]})

    assert stopped.json["choices"][0]["text"] == "one"
    assert [each["text"] for each in several.json["choices"]] == ["a", "b"]


def test_the_engine_gets_the_clients_own_bytes_and_every_field(service: HttpService) -> None:
    engine = ScriptEngine(lambda _request, sink: sink.answer(b'{"choices": []}'))
    service.model_manager().add_chat_completions_model("script", engine)
    raw = b'{ "model":"script", "messages":[{"role":"user"}],  "min_p":0.1}'

    result = testing.TestClient(service.app).simulate_post(
        "/v1/chat/completions",
        body=raw,
        headers={"content-type": "application/json", ID_HEADER: "id-1"},
    )

    assert result.content == b'{"choices": []}'
    (request,) = engine.requests
    assert request.raw == raw
    assert request.body["min_p"] == 0.1
    assert (request.kind, request.model, request.stream) == (Kind.CHAT, "script", False)


@pytest.mark.parametrize(("size", "kept"), [(KEPT_BODY, True), (KEPT_BODY + 1, False)])
def test_a_long_body_is_not_kept_decoded_while_it_is_answered(
    service: HttpService, size: int, kept: bool
) -> None:
    engine = ScriptEngine(lambda _request, sink: sink.answer(b"{}"))
    service.model_manager().add_chat_completions_model("script", engine)
    body = {"model": "script", "messages": [{"role": "user"}], "user": ""}
    body["user"] = "x" * (size - len(json.dumps(body)))
    web = testing.TestClient(service.app)

    assert web.simulate_post("/v1/chat/completions", json=body).status_code == 200
    (request,) = engine.requests
    assert (request.parsed is not None) is kept
    assert request.body == body


def test_long_bodies_are_decoded_one_at_a_time(
    service: HttpService, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []
    overlaps: list[int] = []
    pause = threading.Event()

    def slowly(raw: bytes) -> dict[str, Any]:
        begun.append(1)
        overlaps.append(len(begun))
        pause.wait(0.05)  # gives the others their chance to be wrong
        begun.pop()
        return parse_json(raw)

    monkeypatch.setattr(generate, "parse_json", slowly)
    web = testing.TestClient(service.app)
    body = {**CHAT, "user": "x" * INLINE_BODY}
    threads = [
        threading.Thread(target=web.simulate_post, args=(PATH,), kwargs={"json": body})
        for _ in range(4)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert overlaps == [1, 1, 1, 1]


JSON = {"content-type": "application/json"}

BAD_BODIES: list[tuple[str, bytes, int, str | None]] = [
    ("not json", b"{", 400, None),
    ("empty", b"", 400, None),
    ("not an object", b"[1]", 400, None),
    ("invalid utf-8", b'{"model": "\xff"}', 400, None),
    ("nested 100,000 deep", b"[" * 100_000 + b"]" * 100_000, 400, None),
    ("objects 100,000 deep", b'{"a":' * 100_000 + b"1" + b"}" * 100_000, 400, None),
    ("nested below the parser's limit", b'{"a":' * 999 + b"1" + b"}" * 999, 400, None),
    ("a million digits", b'{"model": ' + b"1" * 1_000_000 + b"}", 400, None),
    ("no model", b'{"messages": [{"role": "user"}], "prompt": "x"}', 400, "model"),
    ("model of a wrong type", b'{"model": 1, "messages": [], "prompt": ""}', 400, "model"),
    ("empty", b'{"model": "echo", "messages": [], "prompt": []}', 400, "messages|prompt"),
    ("a number", b'{"model": "echo", "messages": 1, "prompt": 1}', 400, "messages|prompt"),
    (
        "half a token",
        b'{"model": "echo", "messages": [{"role": "user"}], "prompt": "x", "max_tokens": 0.5}',
        400,
        "max_tokens",
    ),
    (
        "two models",
        b'{"model": "echo", "messages": [{"role": "user"}], "prompt": "x", "model": "other"}',
        400,
        "model",
    ),
    (
        "too many objects",
        b'{"model": "echo", "messages": [' + b"{}," * 100_000 + b"{}]}",
        400,
        None,
    ),
    (
        "usage without a stream",
        b'{"model":"echo","messages":[{"role":"user"}],"prompt":"x","stream_options":{}}',
        400,
        "stream_options",
    ),
    (
        "unknown model",
        b'{"model": "nobody", "messages": [{"role": "user"}], "prompt": "x"}',
        404,
        "model",
    ),
]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
@pytest.mark.parametrize(
    ("raw", "status", "param"), [row[1:] for row in BAD_BODIES], ids=[row[0] for row in BAD_BODIES]
)
def test_a_bad_body_is_a_4xx_that_names_the_field(
    web: testing.TestClient,
    caplog: pytest.LogCaptureFixture,
    path: str,
    raw: bytes,
    status: int,
    param: str | None,
) -> None:
    result = web.simulate_post(path, body=raw, headers=JSON)

    assert result.status_code == status
    error = error_of(result)
    assert error["type"] == "invalid_request_error"
    assert error["param"] in ([None] if param is None else param.split("|"))
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


@pytest.mark.parametrize("content_type", ["text/plain", "", "application/xml"])
@pytest.mark.parametrize(("path", "body"), GENERATING)
def test_a_body_that_is_not_declared_as_json_is_a_415(
    web: testing.TestClient, path: str, body: dict[str, Any], content_type: str
) -> None:
    raw = json.dumps(body).encode()
    result = web.simulate_post(path, body=raw, headers={"content-type": content_type})

    assert result.status_code == 415
    assert error_of(result)["code"] == "unsupported_media_type"


def test_an_unknown_model_is_told_as_openai_tells_it(web: testing.TestClient) -> None:
    result = web.simulate_post("/v1/chat/completions", json={**CHAT, "model": "gpt-0"})

    assert error_of(result) == {
        "message": "The model `gpt-0` does not exist or you do not have access to it.",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }


def test_a_model_of_the_other_endpoint_is_unknown_here(service: HttpService) -> None:
    service.model_manager().remove_completions_model("echo")
    web = testing.TestClient(service.app)

    assert web.simulate_post("/v1/completions", json=TEXT).status_code == 404
    assert web.simulate_post("/v1/chat/completions", json=CHAT).status_code == 200


def test_an_unknown_route_is_a_404_that_names_it(web: testing.TestClient) -> None:
    result = web.simulate_get("/v2/nothing")

    assert result.status_code == 404
    assert "GET /v2/nothing" in error_of(result)["message"]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_a_wrong_method_is_a_405_with_allow(web: testing.TestClient, route: Any) -> None:
    result = web.simulate_request("PUT", route.path.replace("{model:path}", "echo"))

    assert result.status_code == 405
    assert route.method in result.headers["allow"].split(", ")
    family = route.path.startswith("/v1/messages")
    kind = result.json["error"]["type" if family else "code"]
    assert kind == ("invalid_request_error" if family else "method_not_allowed")


@pytest.mark.parametrize(
    ("setting", "path"),
    [
        ("enable_chat_endpoints", "/v1/chat/completions"),
        ("enable_cmpl_endpoints", "/v1/completions"),
    ],
)
def test_a_disabled_endpoint_is_not_routed(setting: str, path: str) -> None:
    settings: dict[str, Any] = {setting: False}
    with HttpService(type(LOCAL)(**settings)) as service:
        add_echo(service)
        web = testing.TestClient(service.app)

        assert web.simulate_post(path, json=CHAT).status_code == 404
        assert path not in web.simulate_get("/openapi.json").json["paths"]
        assert web.simulate_get("/v1/models").status_code == 200


@pytest.mark.parametrize(
    ("path", "status"), [("/live", 200), ("/nothing", 404), ("/v1/completions", 405)]
)
def test_a_request_id_is_echoed_on_every_answer(
    web: testing.TestClient, path: str, status: int
) -> None:
    result = web.simulate_get(path, headers={ID_HEADER: "trace-1"})

    assert result.status_code == status
    assert result.headers[ID_HEADER] == "trace-1"


@pytest.mark.parametrize("method", ["FOO", "WEBSOCKET"])
def test_a_method_that_does_not_exist_is_a_400_with_a_request_id(
    service: HttpService, method: str
) -> None:
    environ = testing.create_environ("/live", method="GET", headers={ID_HEADER: "trace-1"})
    environ["REQUEST_METHOD"] = method
    told = testing.StartResponseMock()

    (answer,) = service.app(environ, told)

    assert (told.status or "").startswith("400")
    assert (ID_HEADER, "trace-1") in [*(told.headers or ())]
    assert json.loads(answer)["error"]["code"] == "invalid_request"


@pytest.mark.parametrize("given", [None, "", "a b", "x" * 129, "ümlaut", "tab\tinside"])
def test_an_unfit_request_id_is_replaced_by_a_fresh_one(given: str | None) -> None:
    first, second = request_id_from(given), request_id_from(given)

    assert len(first) == 32
    assert first != second


def test_a_read_only_route_answers_head_with_its_headers_alone(web: testing.TestClient) -> None:
    for route in ROUTES:
        if route.method == "GET":
            result = web.simulate_head(route.path.replace("{model:path}", "echo"))
            stored = route.path.startswith("/v1/responses/")  # there is none
            assert result.status_code == (404 if stored else 200), route.path
            assert result.content == b""


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_options_and_405_name_the_same_methods(web: testing.TestClient, route: Any) -> None:
    path = route.path.replace("{model:path}", "m")
    allowed = web.simulate_options(path).headers["allow"]
    assert {route.method, "OPTIONS"} <= set(allowed.split(", "))
    assert web.simulate_put(path).headers["allow"] == allowed


@pytest.mark.parametrize("path", ["/v1/models", "/live", "/ready", "/v1/models/echo"])
def test_a_trailing_slash_makes_no_difference_to_a_get(web: testing.TestClient, path: str) -> None:
    assert web.simulate_get(path + "/").status_code == 200


@pytest.mark.parametrize(("path", "body"), GENERATING)
def test_a_trailing_slash_makes_no_difference_to_a_request(
    web: testing.TestClient, path: str, body: dict[str, Any]
) -> None:
    assert web.simulate_post(path + "/", json=body).status_code == 200
