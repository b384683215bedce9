"""Engines and registries that fail: what the client is told, and what it never learns."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
from falcon import testing

from actors.engines.errors import EngineBusy, EngineRejected
from http_service import HttpService
from tests.http_service.conftest import LOCAL
from tests.http_service.engines import ScriptEngine, token_chunk
from tests.http_service.serving import CHAT, RawClient, error_of, events, post_bytes, running


@pytest.mark.parametrize("stream", [False, True])
def test_an_engines_refusal_keeps_its_words_and_status(service: HttpService, stream: bool) -> None:
    def refuse(_request: object, _sink: object) -> None:
        raise EngineRejected("The prompt is too long.", code="context_length_exceeded")

    service.model_manager().add_chat_completions_model("picky", ScriptEngine(refuse))
    body = {**CHAT, "model": "picky", "stream": stream}

    result = testing.TestClient(service.app).simulate_post("/v1/chat/completions", json=body)

    assert result.status_code == 400
    assert error_of(result)["message"] == "The prompt is too long."
    assert error_of(result)["code"] == "context_length_exceeded"


@pytest.mark.parametrize("stream", [False, True])
def test_a_full_engine_is_a_429_with_retry_after(service: HttpService, stream: bool) -> None:
    engine = ScriptEngine(lambda _request, sink: sink.fail(EngineBusy("Full.", retry_after=3)))
    service.model_manager().add_chat_completions_model("busy", engine)
    body = {**CHAT, "model": "busy", "stream": stream}

    result = testing.TestClient(service.app).simulate_post("/v1/chat/completions", json=body)

    assert result.status_code == 429
    assert result.headers["retry-after"] == "3"


@pytest.mark.parametrize("stream", [False, True])
def test_an_engines_crash_is_a_500_without_its_words(
    service: HttpService, caplog: pytest.LogCaptureFixture, stream: bool
) -> None:
    def crash(_request: object, _sink: object) -> None:
        raise RuntimeError("/srv/models/secret.gguf")

    service.model_manager().add_chat_completions_model("broken", ScriptEngine(crash))
    body = {**CHAT, "model": "broken", "stream": stream}

    result = testing.TestClient(service.app).simulate_post("/v1/chat/completions", json=body)

    assert result.status_code == 500
    assert b"secret" not in result.content
    assert error_of(result)["type"] == "server_error"
    logged = [each for each in caplog.records if each.exc_info]
    assert len(logged) == 1, "logged once, in full"


def test_a_crash_in_mid_stream_is_one_event_and_done(
    service: HttpService, caplog: pytest.LogCaptureFixture
) -> None:
    def break_off(request: Any, sink: Any) -> None:
        sink.push(token_chunk(request.kind, "half"))
        raise RuntimeError("/srv/models/secret.gguf")

    service.model_manager().add_chat_completions_model("broken", ScriptEngine(break_off))
    body = {**CHAT, "model": "broken", "stream": True}

    result = testing.TestClient(service.app).simulate_post("/v1/chat/completions", json=body)

    assert result.status_code == 200
    told = events(result.content)
    assert told[0]["choices"][0]["delta"]["content"] == "half"
    assert told[1]["error"]["type"] == "server_error"
    assert told[2:] == ["[DONE]"]
    assert b"secret" not in result.content
    assert any("secret" in (each.exc_text or "") for each in caplog.records)


def test_a_dead_registry_is_a_503_with_retry_after() -> None:
    with HttpService(replace(LOCAL, ask_timeout=0.05)) as service:
        service.model_manager().close()
        web = testing.TestClient(service.app)

        for result in (
            web.simulate_post("/v1/chat/completions", json=CHAT),
            web.simulate_get("/v1/models"),
        ):
            assert result.status_code == 503
            assert result.headers["retry-after"] == "1"
            assert error_of(result)["code"] == "service_unavailable"


def test_requests_that_wait_for_the_registry_take_no_thread_and_keep_nobody_waiting() -> None:
    with (
        HttpService(replace(LOCAL, ask_timeout=0.5)) as service,
        running(service) as live,
        ExitStack() as stack,
    ):
        waiting = [stack.enter_context(RawClient(live.address)) for _ in range(50)]
        service.model_manager().close()
        for client in waiting:
            client.send(post_bytes("/v1/chat/completions", CHAT))
        with RawClient(live.address) as other:
            other.send(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert other.read_answer().status == 200
        for client in waiting:
            answer = client.read_answer()
            assert answer.status == 503
            assert answer.headers["retry-after"] == "1"
