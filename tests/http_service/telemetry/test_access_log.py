"""One line per request, with everything a machine may want to know in its fields."""

from __future__ import annotations

import logging

import pytest
from falcon import testing

from http_service import HttpService
from http_service.telemetry.access_log import LOGGER, MAX_LOGGED, AccessRecord, log_request
from tests.http_service.engines import ScriptEngine
from tests.http_service.serving import CHAT, Client, RawClient, Running, eventually

PATH = "/v1/chat/completions"


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, LOGGER)
    return caplog


def records(lines: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """The access log so far."""
    return [each for each in lines.records if each.name == LOGGER]


@pytest.mark.parametrize(
    ("stream", "request_type"), [(False, "unary"), (True, "stream")], ids=["unary", "stream"]
)
def test_a_generating_request_is_one_line_with_its_model_and_tokens(
    service: HttpService, lines: pytest.LogCaptureFixture, stream: bool, request_type: str
) -> None:
    web = testing.TestClient(service.app)
    web.simulate_post(PATH, json={**CHAT, "stream": stream}, headers={"x-request-id": "id-1"})

    (record,) = records(lines)

    fields = record.__dict__
    assert record.levelno == logging.INFO
    assert fields["request_id"] == "id-1"
    assert (fields["method"], fields["path"], fields["status"]) == ("POST", PATH, 200)
    assert (fields["model"], fields["request_type"]) == ("echo", request_type)
    assert fields["tokens"] == 2
    assert fields["elapsed_ms"] > 0
    assert "error_type" not in fields


def test_a_refused_request_says_why(service: HttpService, lines: pytest.LogCaptureFixture) -> None:
    testing.TestClient(service.app).simulate_post(PATH, json={**CHAT, "model": "x"})

    (record,) = records(lines)

    assert record.__dict__["status"] == 404
    assert record.__dict__["error_type"] == "not_found"
    assert record.__dict__["model"] == "unknown_model"


def test_a_failure_of_ours_is_a_warning(
    service: HttpService, lines: pytest.LogCaptureFixture
) -> None:
    engine = ScriptEngine(lambda _request, sink: sink.fail(RuntimeError("boom")))
    service.model_manager().add_chat_completions_model("broken", engine)
    testing.TestClient(service.app).simulate_post(PATH, json={**CHAT, "model": "broken"})

    (record,) = records(lines)

    assert record.levelno == logging.WARNING


def test_a_plain_request_has_no_model(
    service: HttpService, lines: pytest.LogCaptureFixture
) -> None:
    testing.TestClient(service.app).simulate_get("/live")

    (record,) = records(lines)

    assert record.getMessage().startswith("GET /live 200 in ")
    assert "model" not in record.__dict__


def test_a_request_that_never_reached_the_application_is_logged_too(
    client: Client, lines: pytest.LogCaptureFixture
) -> None:
    address = (str(client.pool.host), int(client.pool.port or 0))
    with RawClient(address) as raw:
        raw.send(b"nonsense\r\n\r\n")
        assert raw.read_answer().status == 400

    eventually(lambda: len(records(lines)) == 1, "one line")
    assert records(lines)[0].__dict__["status"] == 400


def test_a_line_stays_one_line_whatever_the_path(lines: pytest.LogCaptureFixture) -> None:
    log_request(AccessRecord("id", "GET", "/x\n2026 ERROR forged", 404, 1.0))

    (record,) = records(lines)

    assert "\n" not in record.getMessage()
    assert "forged" in record.getMessage()


@pytest.mark.parametrize("path", ["/" + "x" * 30_000, "/%0a" * 5_000, "/" + "%F0%9F%98%80" * 1_000])
def test_a_long_path_is_cut(lines: pytest.LogCaptureFixture, live: Running, path: str) -> None:
    with RawClient(live.address) as raw:
        raw.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        raw.read_answer()
    eventually(lambda: bool(lines.records), "the line comes")
    (line,) = [each for each in lines.records if each.name == LOGGER]
    assert len(line.__dict__["path"]) <= MAX_LOGGED + 1
    assert len(line.getMessage()) < 10 * MAX_LOGGED
    assert line.getMessage().isprintable()
