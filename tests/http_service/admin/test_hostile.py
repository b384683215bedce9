"""Whatever is asked of the admin API: an answer that its document knows, and never a 5xx."""

from __future__ import annotations

import http.client
import json
import logging
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.service import Service
from actors.settings.serve import ServeSettings
from actors.supervision import CancellationToken
from http_service.admin.parts import PREFIX
from tests.http_service.admin.conftest import admin, read
from tests.http_service.json_schema import ANY_JSON, TEXT, fits, values
from tests.support.chat import chat

ENDLESS = f"{PREFIX}/stream"
"""Its good answer has no end."""

KNOWN_NAMES = ("chat", "echo", "#static", "a/b", "registry", "serving/http", "..", "\0", "م" * 256)
SPOILT = st.binary(max_size=20) | ANY_JSON.map(lambda value: json.dumps(value).encode())


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    token = CancellationToken()
    where = ServeSettings(
        host="127.0.0.1", port=0, console="127.0.0.1:0", engine=("echo=echo", "echo=a/b")
    )
    level = logging.getLogger().level
    started = Service.start(where, token)
    yield started
    token.cancel()
    started.stop()
    logging.getLogger().setLevel(level)  # one of the requests may have set it


@pytest.fixture(scope="module")
def document(service: Service) -> dict[str, Any]:
    found: dict[str, Any] = read(f"{admin(service)}/openapi.json")[1]
    return found


def asked(
    service: Service, method: str, target: str, body: bytes | None, media: str
) -> tuple[int, bytes]:
    assert service.admin is not None
    connection = http.client.HTTPConnection(service.admin.url.partition("//")[2], timeout=10)
    try:
        headers = {} if body is None else {"content-type": media}
        connection.request(method, target, body, headers)
        answer = connection.getresponse()
        endless = answer.headers.get_content_type() == "text/event-stream"
        return answer.status, b"" if endless else answer.read()
    finally:
        connection.close()


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if path.startswith(PREFIX)
    ]


def target_of(data: st.DataObject, path: str, operation: dict[str, Any]) -> str:
    """``path`` with names for its fields, and a query of any kind."""
    query: dict[str, str] = {}
    for parameter in operation["parameters"]:
        name = parameter["name"]
        if parameter["in"] == "path":
            value = data.draw(st.sampled_from(KNOWN_NAMES) | TEXT.filter(bool), label=name)
            path = path.replace(f"{{{name}}}", quote(value, safe=""))
        elif parameter["in"] == "query" and data.draw(st.booleans()):
            query[name] = data.draw(st.integers(-2, 10**20).map(str) | TEXT, label=name)
    if data.draw(st.integers(0, 9)) == 0:
        query["made_up"] = "1"
    asks = "&".join(f"{quote(name)}={quote(value)}" for name, value in query.items())
    return f"{path}?{asks}" if asks else path


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_answer_is_documented_and_none_is_our_fault(
    service: Service, document: dict[str, Any], data: st.DataObject
) -> None:
    schemas = document["components"]["schemas"]
    method, path, operation = data.draw(st.sampled_from(operations(document)))
    body = None
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        good = values(schema, schemas).map(lambda value: json.dumps(value).encode())
        body = data.draw(good | SPOILT, label="body")
    media = data.draw(st.sampled_from(("application/json", "application/json", "text/plain")))
    target = target_of(data, path, operation)
    status, answer = asked(service, method, target, body, media)
    assert status < 500, (method, target, body, answer)
    assert str(status) in operation["responses"], (method, target, body, answer)
    if answer and method != "HEAD":
        content = operation["responses"][str(status)]["content"]["application/json"]["schema"]
        assert fits(json.loads(answer), content, schemas), (method, target, answer)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=TEXT, method=st.sampled_from(("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD")))
def test_made_up_paths_and_methods_are_no_one_s_fault(
    service: Service, path: str, method: str
) -> None:
    target = f"{PREFIX}/{quote(path)}"
    assert asked(service, method, target, b"{}", "application/json")[0] < 500


def test_it_still_serves_afterwards(service: Service) -> None:
    assert chat(service.url, "a/b")[0] in {200, 503}  # its only instance may be drained by now
    assert read(f"{admin(service)}/overview")[0] == 200
