"""A client says how long it is willing to wait, and is not kept waiting for longer."""

from __future__ import annotations

import time

import pytest
from falcon import testing

from http_service import HttpService
from http_service.errors import InvalidValue
from http_service.headers import MAX_TIMEOUT, TIMEOUT_HEADER, request_timeout_from
from tests.http_service.engines import DEADLINE, ManualEngine
from tests.http_service.serving import CHAT, Client, Running, error_of

PATH = "/v1/chat/completions"
BODY = {**CHAT, "model": "manual"}


@pytest.mark.parametrize(("given", "seconds"), [("2", 2.0), ("0.25", 0.25)])
def test_a_number_of_seconds_is_read(given: str, seconds: float) -> None:
    assert request_timeout_from(given) == seconds


@pytest.mark.parametrize("given", ["", "soon", "0", "-1", "nan", "inf", str(MAX_TIMEOUT + 1)])
def test_anything_else_is_refused(given: str) -> None:
    with pytest.raises(InvalidValue, match=TIMEOUT_HEADER):
        request_timeout_from(given)


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_ends_in_its_time_with_504(live: Running, stream: bool) -> None:
    engine = ManualEngine()
    live.service.model_manager().add_chat_completions_model("manual", engine)
    client = Client(live.address)
    began = time.monotonic()

    answer = client.call("POST", PATH, {**BODY, "stream": stream}, **{TIMEOUT_HEADER: "0.2"})

    assert answer.status == 504
    assert answer.error["code"] == "upstream_timeout"
    assert 0.2 <= time.monotonic() - began < DEADLINE
    assert engine.cancelled.wait(DEADLINE)
    client.close()


@pytest.mark.parametrize("stream", [False, True])
def test_so_it_does_under_any_other_server(service: HttpService, stream: bool) -> None:
    service.model_manager().add_chat_completions_model("manual", ManualEngine())
    web = testing.TestClient(service.app)

    result = web.simulate_post(
        PATH, json={**BODY, "stream": stream}, headers={TIMEOUT_HEADER: "0.05"}
    )

    assert result.status_code == 504
    assert error_of(result)["code"] == "upstream_timeout"
