"""One line per request, with everything a machine may want to know in its fields.

Access lines for a busy service look like every other log line, and none is lost.
"""

from __future__ import annotations

import errno
import io
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from falcon import testing

from actors.logs import configure_logging
from http_service import HttpService
from http_service.telemetry.access_log import (
    LOGGER,
    MAX_LOGGED,
    AccessLogWriter,
    AccessRecord,
    any_text_line,
    log_request,
    set_access_log_writer,
    text_line,
)
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


DEADLINE = 20.0
RECORD = AccessRecord("id-1", "POST", "/v1/x", 200, 12.345, model="m", tokens=3)
FAILED = AccessRecord("id-2", "GET", "/x\n2026 ERROR forged", 502, 1.0)


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Leave the process's logging as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    set_access_log_writer(None)
    root.handlers[:] = handlers
    root.setLevel(level)


def by_logging(log_format: str, record: AccessRecord) -> str:
    """The line that Python's logging makes of it."""
    stream = io.StringIO()
    configure_logging(log_format, stream)
    set_access_log_writer(None)
    log_request(record)
    return stream.getvalue()


def directly(log_format: str, record: AccessRecord) -> str:
    """The line that is written directly."""
    stream = io.StringIO()
    lines = AccessLogWriter(stream, log_format)
    set_access_log_writer(lines.write)
    log_request(record)
    lines.flush()
    return stream.getvalue()


@pytest.mark.parametrize("record", [RECORD, FAILED])
def test_a_json_line_has_the_fields_of_the_other_loggers(record: AccessRecord) -> None:
    ours, theirs = (json.loads(make("json", record)) for make in (directly, by_logging))

    for line in (ours, theirs):
        assert line.pop("timestamp").endswith("Z")
    assert ours == theirs


@pytest.mark.parametrize("record", [RECORD, FAILED])
def test_a_text_line_says_what_the_other_loggers_would(record: AccessRecord) -> None:
    ours = directly("text", record)

    assert ours.count("\n") == 1
    for part in (LOGGER, "id-", str(record.status), record.message):
        assert part in ours
        assert part in by_logging("text", record)


def test_lines_are_written_soon_and_in_order() -> None:
    stream = io.StringIO()
    lines = AccessLogWriter(stream, "json")
    for number in range(100):
        lines.write(RECORD._replace(status=number))

    eventually(lambda: stream.getvalue().count("\n") == 100, "all are written")
    told = [json.loads(line)["status"] for line in stream.getvalue().splitlines()]
    assert told == [*range(100)]


class FullDisk(io.StringIO):
    """Has no room until it is made."""

    full = True
    refused = 0

    def flush(self) -> None:
        if self.full:
            self.refused += 1
            raise OSError(errno.ENOSPC, "no space left on device")


def test_lines_are_written_again_once_the_disk_has_room() -> None:
    stream = FullDisk()
    lines = AccessLogWriter(stream, "json")
    lines.write(RECORD)
    eventually(lambda: stream.refused > 0, "the disk was full")
    stream.full = False
    lines.write(RECORD._replace(status=418))

    eventually(lambda: '"status":418' in stream.getvalue(), "the next line is written")


class Stuck(io.StringIO):
    """Is read by nobody until it is told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.met = threading.Event()
        self.go_on = threading.Event()

    def flush(self) -> None:
        self.met.set()
        assert self.go_on.wait(DEADLINE)


def test_lines_that_nobody_reads_are_dropped_and_their_number_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("http_service.telemetry.access_log.MAX_RECORDS", 3)
    stream = Stuck()
    lines = AccessLogWriter(stream, "json")
    lines.write(RECORD)
    assert stream.met.wait(DEADLINE)
    for number in range(3 + 2):
        lines.write(RECORD._replace(status=number))
    stream.go_on.set()

    eventually(lambda: stream.getvalue().count("\n") == 1 + 3, "what there was room for is written")
    eventually(lambda: bool(caplog.records), "the rest is told of")
    assert [(each.name, each.__dict__["dropped"]) for each in caplog.records] == [
        ("http_service.access_lines", 2)
    ]


def test_the_end_of_the_process_waits_for_the_last_lines() -> None:
    code = """
import sys
from http_service.telemetry.access_log import AccessLogWriter
from http_service.telemetry.access_log import AccessRecord
lines = AccessLogWriter(sys.stderr, "json")
for number in range(3):
    lines.write(AccessRecord(f"id-{number}", "GET", "/x", 200, 1.0))
"""
    ended = subprocess.run(
        [sys.executable, "-c", code], check=True, timeout=60, capture_output=True, text=True
    )
    assert [json.loads(line)["request_id"] for line in ended.stderr.splitlines()] == [
        "id-0", "id-1", "id-2",
    ]  # fmt: skip


@pytest.mark.parametrize("request_id", ["id-1", "a b", 'a"b', "a'b", "a\x7fb", "aéb", "a\nb"])
@pytest.mark.parametrize("failure", [None, "internal"])
def test_the_line_of_a_good_answer_is_made_as_any_other(
    request_id: str, failure: str | None
) -> None:
    record = AccessRecord(
        request_id, "POST", PATH, 200, 1.25, "m", "chat_completions", "unary", failure, 3
    )

    assert text_line(record, 1.5) == any_text_line(record, 1.5)


def test_the_line_of_a_request_without_a_model_is_made_as_any_other() -> None:
    record = AccessRecord("id-1", "GET", "/live", 200, 0.5)

    assert text_line(record, 1.5) == any_text_line(record, 1.5)
