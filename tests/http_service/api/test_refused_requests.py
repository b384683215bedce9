"""Whatever is refused is counted: by status and endpoint, in a bounded number of series."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from falcon import testing

from http_service import HttpService
from http_service.api.app import build_app
from http_service.api.context import AppContext
from http_service.api.routes import enabled_routes
from http_service.errors import Draining
from http_service.streaming.exchange import InflightRequests
from tests.http_service.conftest import LOCAL, add_echo
from tests.http_service.serving import RawClient, Running, eventually, post_bytes, running

CHAT = "/v1/chat/completions"
KEY = "sk-first-0123456789"
TEXT = "/v1/completions"
LOCKED = f"authorization: Bearer {KEY}"

Refused = dict[tuple[str, str], float]


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Running]:
    """A service with a key and a small body limit."""
    keys = tmp_path / "keys"
    keys.write_text(KEY)
    config = replace(LOCAL, api_key_file=str(keys), body_limit=1000)
    with HttpService(config) as service:
        add_echo(service)
        with running(service) as it:
            yield it


def refused(running: Running) -> Refused:
    """Every count, by endpoint and status."""
    registry = running.service.model_manager().metrics().registry
    return {
        (sample.labels["endpoint"], sample.labels["status"]): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "callboard_frontend_refused_requests_total"
    }


def counted(running: Running) -> float:
    """How many requests were counted as such."""
    registry = running.service.model_manager().metrics().registry
    samples = (each for family in registry.collect() for each in family.samples)
    return sum(each.value for each in samples if each.name == "callboard_frontend_requests_total")


def raw(*lines: str, body: bytes = b"") -> bytes:
    """A request of these lines to the host "x"."""
    return "\r\n".join([*lines, "Host: x"]).encode() + b"\r\n\r\n" + body


def post(path: str, body: bytes, *headers: str, media: str = "application/json") -> bytes:
    """A POST request."""
    lines = [f"POST {path} HTTP/1.1", f"Content-Type: {media}", f"Content-Length: {len(body)}"]
    return raw(*lines, *headers, body=body)


REFUSALS: dict[str, tuple[bytes, str, int]] = {
    "no JSON": (post(CHAT, b"{", LOCKED), "chat_completions", 400),
    "a missing field": (post(TEXT, b'{"prompt": "hi"}', LOCKED), "completions", 400),
    "no key": (post(CHAT, b"{}"), "chat_completions", 401),
    "no key, a made-up path": (raw("GET /a/b HTTP/1.1"), "other", 401),
    "an unknown path": (raw("GET /a/b HTTP/1.1", LOCKED), "other", 404),
    "another method": (raw(f"GET {CHAT} HTTP/1.1", LOCKED), "chat_completions", 405),
    "a probe's other method": (post("/live", b"", LOCKED), "other", 405),
    "too large": (post(CHAT, b"x" * 1001, LOCKED), "chat_completions", 413),
    "no content type of ours": (
        post(CHAT, b"{}", LOCKED, media="text/plain"),
        "chat_completions",
        415,
    ),
    "too many headers": (raw("GET /live HTTP/1.1", *["a: b"] * 200), "", 431),
    "no HTTP": (raw("GET / a b HTTP/1.1"), "", 400),
    "an unknown coding": (raw("POST / HTTP/1.1", LOCKED, "Transfer-Encoding: gzip"), "", 501),
}
"""Each with the endpoint it is counted for, "" where the request could not be read that far."""


@pytest.mark.parametrize(("request_", "endpoint", "status"), REFUSALS.values(), ids=REFUSALS.keys())
def test_each_refusal_is_counted_once_and_as_no_request(
    live: Running, request_: bytes, endpoint: str, status: int
) -> None:
    with RawClient(live.address) as client:
        client.send(request_)
        assert client.read_answer().status == status

    eventually(lambda: bool(refused(live)), "the refusal is counted")
    assert refused(live) == {(endpoint or "other", str(status)): 1.0}
    assert counted(live) == 0


def test_made_up_paths_make_no_series(live: Running) -> None:
    with RawClient(live.address) as client:
        for number in range(50):
            client.send(raw(f"GET /made/up/{number} HTTP/1.1", LOCKED))
            assert client.read_answer().status == 404

    assert refused(live) == {("other", "404"): 50.0}


@pytest.mark.parametrize(
    "body",
    [
        {"model": "nobody", "messages": [{"role": "user", "content": "hi"}]},
        {"model": "echo", "messages": [{"role": "user", "content": "hi"}], "n": 0},
        {"model": "echo", "messages": [{"role": "user", "content": "hi"}]},
    ],
    ids=["an unknown model", "a wrong value", "a good one"],
)
def test_what_is_counted_as_a_request_is_not_counted_as_refused(
    live: Running, body: dict[str, object]
) -> None:
    with RawClient(live.address) as client:
        client.send(post_bytes(CHAT, body, LOCKED))
        client.read_answer()

    eventually(lambda: counted(live) == 1, "the request is counted")
    assert refused(live) == {}


def test_what_is_refused_because_the_service_ends_is_counted(service: HttpService) -> None:
    inflight = InflightRequests()
    inflight.terminate_all(Draining())
    state, routes = service.model_manager().state(), tuple(enabled_routes(LOCAL))
    app = build_app(AppContext(config=LOCAL, state=state, routes=routes, inflight=inflight))

    answer = testing.TestClient(app).simulate_post(
        CHAT, body=b"{}", headers={"content-type": "application/json"}
    )

    labels = {"endpoint": "chat_completions", "status": "503"}
    value = state.metrics.registry.get_sample_value
    assert answer.status_code == 503
    assert value("callboard_frontend_refused_requests_total", labels) == 1
