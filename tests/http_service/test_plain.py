"""Stock Waitress as the fallback: the same answers, the same end, where its inside is another."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from actors.engines.contract import Kind
from http_service import HttpService
from http_service.server import choosing
from http_service.server.plain import PlainServing
from http_service.server.serving import Serving
from tests.http_service.conftest import LOCAL, add_echo
from tests.http_service.engines import DEADLINE, ManualEngine, token_chunk
from tests.http_service.serving import (
    CHAT,
    Client,
    RawClient,
    Running,
    events,
    post_bytes,
    running,
)

PATH = "/v1/chat/completions"


def serving_of(service: HttpService) -> object:
    """What serves it."""
    return service._serving  # pyright: ignore[reportPrivateUsage]  # nobody else asks


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[Running]:
    """A service on a Waitress whose inside it does not know."""
    monkeypatch.setattr(choosing, "mismatches", lambda: ["channel.service is missing"])
    with caplog.at_level(logging.WARNING), HttpService(LOCAL) as service:
        add_echo(service)
        with running(service) as it:
            assert isinstance(serving_of(service), PlainServing)
            yield it


def test_this_waitress_is_the_one_we_know(live: Running) -> None:
    assert isinstance(serving_of(live.service), Serving)


@pytest.mark.usefixtures("plain")
def test_the_fallback_says_why(caplog: pytest.LogCaptureFixture) -> None:
    records = caplog.get_records("setup")
    (record,) = [each for each in records if "waitress" in each.getMessage()]
    assert record.__dict__["mismatches"] == ["channel.service is missing"]


def test_it_answers_unary_streamed_and_wrong_requests(plain: Running) -> None:
    client = Client(plain.address)
    unary = client.post(PATH, CHAT)
    stream = client.post(PATH, {**CHAT, "stream": True})
    unknown = client.post(PATH, {**CHAT, "model": "ghost"})
    client.close()

    assert unary.json()["choices"][0]["message"]["content"] == "one two"
    assert events(stream.body)[-1] == "[DONE]"
    assert unknown.status == 404
    assert unknown.error["code"] == "model_not_found"


def test_a_running_stream_finishes_before_it_ends(plain: Running) -> None:
    engine = ManualEngine()
    plain.service.model_manager().add_chat_completions_model("manual", engine)
    with RawClient(plain.address) as raw:
        raw.send(post_bytes(PATH, {**CHAT, "model": "manual", "stream": True}))
        sink = engine.wait_started()
        sink.push(token_chunk(Kind.CHAT, "before"))
        raw.read_until(b"before")
        plain.token.cancel()
        sink.push(token_chunk(Kind.CHAT, "after"))
        sink.finish()
        assert b"[DONE]" in raw.read_to_end()
    plain.handle.join(DEADLINE)
