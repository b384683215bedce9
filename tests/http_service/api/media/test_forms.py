"""What goes in passes byte for byte, and what is refused never reaches a worker."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from urllib3 import encode_multipart_formdata

from http_service import HttpService
from http_service.api.endpoints import ApiEndpoint
from tests.engines.raw_server import answer
from tests.http_service.api.media.requests import (
    FILE,
    FORM,
    HEARD,
    HEARD_ROW,
    TYPE,
    Worker,
    each,
    each_form,
    post,
    sent,
)
from tests.http_service.engines import DEADLINE
from tests.http_service.media_upstream import fields_of
from tests.http_service.serving import Client, RawClient


@each
def test_a_body_passes_as_it_came(relay: Client, worker: Worker, endpoint: ApiEndpoint) -> None:
    assert post(relay, endpoint).status == 200

    raw, content_type = sent(endpoint)
    assert worker.received[-1].body == raw
    assert worker.received[-1].headers["content-type"] == content_type
    assert worker.received[-1].headers["accept"] == "*/*"
    assert worker.received[-1].line == f"POST {endpoint.path} HTTP/1.1"


@each
@pytest.mark.parametrize(
    ("model", "asked"), [("alias", "up"), ("theirs", "in there"), ("law", "law")]
)
def test_a_model_that_is_called_otherwise_there_is_renamed_and_no_other_byte_changes(
    relay: Client, worker: Worker, endpoint: ApiEndpoint, model: str, asked: str
) -> None:
    assert post(relay, endpoint, model).status == 200
    assert worker.received[-1].body == sent(endpoint, asked)[0]


@each_form
def test_what_a_model_has_as_defaults_stands_before_a_forms_own_fields(
    relay: Client, worker: Worker, endpoint: ApiEndpoint
) -> None:
    assert post(relay, endpoint, "set").status == 200
    assert worker.received[-1].body.endswith(sent(endpoint, "set")[0])
    assert fields_of(worker.received[-1]) == {
        "file": [FILE], "model": [b"set"], "language": [b"en"], "n": [b"2"],
    }  # fmt: skip


def test_a_compressed_form_is_relayed_as_it_was_before(relay: Client, worker: Worker) -> None:
    raw, content_type = sent(HEARD_ROW)
    answered = relay.call(
        "POST", HEARD, gzip.compress(raw), content_type=content_type, content_encoding="gzip"
    )
    assert answered.status == 200
    assert worker.received[-1].body == raw


def test_a_large_form_is_relayed(relay: Client, worker: Worker) -> None:
    raw = FORM.replace(FILE, bytes(5_000_000)).replace(b"MODEL", b"up")
    assert relay.call("POST", HEARD, raw, content_type=TYPE).status == 200
    assert worker.received[-1].body == raw


def test_a_form_of_urllib3_is_relayed(relay: Client, worker: Worker) -> None:
    fields: dict[str, Any] = {
        "file": ('mö"del.wav', FILE, "audio/wav"),
        "model": "up",
        "language": "en",
    }
    raw, content_type = encode_multipart_formdata(fields)
    assert relay.call("POST", HEARD, raw, content_type=content_type).status == 200
    assert fields_of(worker.received[-1])["file"] == [FILE]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_a_form_of_curl_is_relayed(relay: Client, worker: Worker, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(FILE * 50)  # so long that curl asks before it sends
    url = f"http://{relay.pool.host}:{relay.pool.port}{HEARD}"
    asked = ["curl", "-sS", "--fail", url, "-F", f"file=@{tmp_path}/a.wav", "-F", "model=up"]
    told = subprocess.run(asked, capture_output=True, check=True, timeout=DEADLINE)
    assert told.stdout == b' {"text": "hi"}'
    assert fields_of(worker.received[-1])["file"] == [FILE * 50]


def test_another_instance_gets_the_same_form(relay: Client, worker: Worker, other: Worker) -> None:
    refusal = answer(503, b'{"error":{"message":"loading"}}', "content-type: application/json")
    worker.parts = [refusal]
    for _ in range(3):
        assert post(relay, HEARD_ROW, "two").status == 200
    assert other.received
    assert {each.body for each in worker.received + other.received} == {sent(HEARD_ROW, "two")[0]}


# What is refused.


@each
def test_an_unknown_model_is_a_404(relay: Client, endpoint: ApiEndpoint) -> None:
    refused = post(relay, endpoint, "ghost")
    assert (refused.status, refused.error["code"]) == (404, "model_not_found")
    assert refused.error["param"] == "model"


@each
def test_another_type_of_body_is_a_415(
    relay: Client, worker: Worker, endpoint: ApiEndpoint
) -> None:
    raw, _ = sent(endpoint)
    other_type = "application/json" if endpoint.form else "multipart/form-data; boundary=x"
    expected = "multipart/form-data" if endpoint.form else "application/json"
    for content_type in (other_type, "text/plain"):
        refused = relay.call("POST", endpoint.path, raw, content_type=content_type)
        assert (refused.status, refused.error["code"]) == (415, "unsupported_media_type")
        assert refused.error["message"].endswith(expected)
    assert worker.received == []


@each
def test_another_method_is_a_405(relay: Client, endpoint: ApiEndpoint) -> None:
    refused = relay.get(endpoint.path)
    assert (refused.status, refused.headers["allow"]) == (405, "OPTIONS, POST")


@each_form
@pytest.mark.parametrize(
    ("raw", "param"),
    [
        (b"", "content-type"),
        (FORM[:-12], "model"),
        (FORM[:1000], "file"),
        (FORM.replace(b'"model"', b'"Model"'), "model"),
        (FORM.replace(b'"model"', b'"prompt"'), "model"),
        (FORM.replace(b"MODEL", b""), "model"),
    ],
)
def test_a_malformed_form_is_a_400(
    relay: Client, worker: Worker, endpoint: ApiEndpoint, raw: bytes, param: str
) -> None:
    refused = relay.call("POST", endpoint.path, raw, content_type=TYPE)
    assert (refused.status, refused.error["type"]) == (400, "invalid_request_error")
    assert refused.error["param"] == param
    assert worker.received == []


def test_too_large_a_form_is_a_413(relay: Client, served: HttpService) -> None:
    with RawClient((relay.pool.host, relay.pool.port or 0)) as raw:
        length = served.config.body_limit + 1
        head = f"POST {HEARD} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {TYPE}\r\n"
        raw.send(f"{head}Content-Length: {length}\r\n\r\n".encode())
        refused = raw.read_answer()
    assert (refused.status, refused.error["code"]) == (413, "request_too_large")


def test_a_time_that_is_over_is_a_504(relay: Client, worker: Worker) -> None:
    worker.parts = []
    refused = post(relay, HEARD_ROW, x_request_timeout="0.2")
    assert (refused.status, refused.error["code"]) == (504, "upstream_timeout")
