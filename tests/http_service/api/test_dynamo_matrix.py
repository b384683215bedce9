"""Dynamo's own test of its HTTP service, with every counter compared after every step.

Source: ``test_http_service`` of ai-dynamo's ``http-service.rs`` as inventoried in the frontend
reference, section 9. Where it answers 422 to a body of another endpoint we answer 400, as its
successor does.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

from tests.http_service.engines import CounterEngine, FailingEngine
from tests.http_service.serving import Client, Running, events, eventually

CHAT = "/v1/chat/completions"
TEXT = "/v1/completions"
MESSAGES = [{"role": "user", "content": "hi"}]

Key = tuple[str, str, str, str]

ALL: tuple[Key, ...] = tuple(
    product(
        ("foo", "bar"),
        ("chat_completions", "completions"),
        ("unary", "stream"),
        ("success", "error"),
    )
)


class Ledger:
    """What every counter ought to be; compares all of them at once."""

    def __init__(self, running: Running) -> None:
        self._registry = running.service.model_manager().metrics().registry
        self._expected: dict[Key, float] = dict.fromkeys(ALL, 0.0)

    def expect(self, model: str, endpoint: str, request_type: str, status: str) -> None:
        """One more of these, and nothing else, has been counted."""
        self._expected[model, endpoint, request_type, status] += 1
        eventually(lambda: self.actual() == self._expected, f"{self._expected}")
        self.check()

    def check(self) -> None:
        """Every counter is what it ought to be, and nothing is in flight."""
        assert self.actual() == self._expected
        for model in ("foo", "bar"):
            assert self.gauge(model) in (0, None)

    def actual(self) -> dict[Key, float]:
        """Every counter, summed over error types; any label not listed fails."""
        found = dict.fromkeys(ALL, 0.0)
        for family in self._registry.collect():
            for sample in family.samples:
                if sample.name == "callboard_frontend_requests_total":
                    labels = sample.labels
                    key = (
                        labels["model"],
                        labels["endpoint"],
                        labels["request_type"],
                        labels["status"],
                    )
                    found[key] = found.get(key, 0.0) + sample.value
        return found

    def gauge(self, model: str) -> float | None:
        """The requests of ``model`` in flight."""
        name = "callboard_frontend_inflight_requests"
        return self._registry.get_sample_value(name, {"model": model})

    def durations(self, model: str, bound: str) -> float | None:
        """The cumulative count of the duration bucket up to ``bound``."""
        name = "callboard_frontend_request_duration_seconds_bucket"
        return self._registry.get_sample_value(name, {"model": model, "le": bound})


@pytest.fixture
def counter() -> CounterEngine:
    return CounterEngine()


@pytest.fixture
def stage(live: Running, counter: CounterEngine) -> Iterator[tuple[Client, Ledger]]:
    manager = live.service.model_manager()
    manager.add_chat_completions_model("foo", counter)
    manager.add_chat_completions_model("bar", FailingEngine())
    manager.add_completions_model("bar", FailingEngine())
    client = Client(live.address)
    yield client, Ledger(live)
    client.close()


def body(model: str, **more: Any) -> dict[str, Any]:
    """A conversation for ``model``."""
    return {"model": model, "messages": MESSAGES, **more}


def test_every_counter_moves_exactly_when_it_should(
    live: Running, stage: tuple[Client, Ledger], counter: CounterEngine
) -> None:
    client, ledger = stage
    ledger.check()

    # A stream that works, seen while it runs.
    counter.gate.clear()
    answers: list[Any] = []
    other = Client(live.address)
    thread = threading.Thread(
        target=lambda: answers.append(other.post(CHAT, body("foo", stream=True)))
    )
    thread.start()
    eventually(lambda: ledger.gauge("foo") == 1, "one request of foo in flight")
    counter.gate.set()
    thread.join(10)
    other.close()
    assert answers[0].status == 200
    assert len(events(answers[0].body)) == 11
    ledger.expect("foo", "chat_completions", "stream", "success")
    assert ledger.durations("foo", "600.0") == 1
    assert ledger.durations("foo", "+Inf") == 1

    assert client.post(CHAT, body("foo")).status == 200
    ledger.expect("foo", "chat_completions", "unary", "success")

    assert client.post(CHAT, body("bar", stream=True)).status == 403
    ledger.expect("bar", "chat_completions", "stream", "error")

    assert client.post(CHAT, body("bar")).status == 403
    ledger.expect("bar", "chat_completions", "unary", "error")

    assert client.post(TEXT, {"model": "bar", "prompt": "hi"}).status == 401
    ledger.expect("bar", "completions", "unary", "error")

    assert client.post(TEXT, {"model": "bar", "prompt": "hi", "stream": True}).status == 401
    ledger.expect("bar", "completions", "stream", "error")

    assert client.post(CHAT, {"model": "foo", "prompt": "hi"}).status == 400
    ledger.check()

    metrics = client.get("/metrics")
    assert metrics.status == 200
    assert b"callboard_frontend_requests_total{" in metrics.body
    ledger.check()

    live.stop()
    assert not live.handle.running


UNCOUNTED: list[tuple[str, str, bytes, dict[str, str]]] = [
    ("malformed", CHAT, b"{", {}),
    ("a wrong content type", CHAT, b"{}", {"content_type": "text/plain"}),
    ("a missing field", CHAT, b'{"model": "foo"}', {}),
    ("a wrong type", CHAT, b'{"model": "foo", "messages": "hi"}', {}),
    ("a prompt that is a number", TEXT, b'{"model": "bar", "prompt": 1}', {}),
    ("an unknown route", "/v1/chat", b"{}", {}),
]


@pytest.mark.parametrize(
    ("path", "raw", "headers"), [row[1:] for row in UNCOUNTED], ids=[row[0] for row in UNCOUNTED]
)
def test_what_never_became_a_request_is_not_counted(
    stage: tuple[Client, Ledger], path: str, raw: bytes, headers: dict[str, str]
) -> None:
    client, ledger = stage

    assert client.call("POST", path, raw, **headers).status >= 400

    ledger.check()


def test_a_request_with_a_wrong_value_is_counted_as_such(stage: tuple[Client, Ledger]) -> None:
    client, ledger = stage

    assert client.post(CHAT, body("foo", stream_options={})).status == 400
    ledger.expect("foo", "chat_completions", "unary", "error")
    assert client.post(CHAT, body("foo", messages=[], stream=True)).status == 400
    ledger.expect("foo", "chat_completions", "stream", "error")


def test_made_up_models_share_one_label(live: Running, stage: tuple[Client, Ledger]) -> None:
    client, _ = stage
    for number in range(20):
        assert client.post(CHAT, body(f"made-up-{number}")).status == 404
        assert client.post(CHAT, body(f"made-up-{number}", messages=[])).status == 400

    text = client.get("/metrics").body.decode()

    assert "made-up" not in text
    count = live.service.model_manager().metrics().registry.get_sample_value
    labels = {
        "model": "unknown_model",
        "endpoint": "chat_completions",
        "request_type": "unary",
        "status": "error",
    }
    name = "callboard_frontend_requests_total"
    assert count(name, {**labels, "error_type": "not_found"}) == 20
    assert count(name, {**labels, "error_type": "validation"}) == 20
    assert count("callboard_frontend_inflight_requests", {"model": "unknown_model"}) == 0
