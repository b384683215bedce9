"""Engines of media in this process, other WSGI servers, and what is counted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from falcon import testing

from actors.engines.contract import Chunk, Context, EngineRequest, Kind
from actors.engines.media import Media
from http_service import HttpService
from tests.engines.raw_server import answer
from tests.http_service.api.media.requests import (
    FORM,
    HEARD,
    HEARD_ROW,
    TYPE,
    Worker,
    post,
    sent,
)
from tests.http_service.serving import Client

# What is counted.


def test_requests_are_counted_by_what_they_are(relay: Client, worker: Worker) -> None:
    post(relay, HEARD_ROW)
    worker.parts = [answer(200, b"data: 1\n\n", "content-type: text/event-stream")]
    post(relay, HEARD_ROW)
    post(relay, HEARD_ROW, "ghost")
    relay.call("POST", HEARD, FORM.replace(b"MODEL", b""), content_type=TYPE)

    lines = [
        line.partition("{")[2]
        for line in relay.get("/metrics").body.decode().splitlines()
        if line.startswith("callboard_frontend_requests_total{")
    ]
    counted = {tuple(sorted(line.partition("}")[0].split(","))) for line in lines}
    assert {
        tuple(word.partition("=")[2].strip('"') for word in row if not word.startswith("status"))
        for row in counted
    } == {
        ("transcriptions", "", "up", "unary"),
        ("transcriptions", "", "up", "stream"),
        ("transcriptions", "not_found", "unknown_model", "unary"),
        ("transcriptions", "validation", "unknown_model", "unary"),
    }


# Engines in this process, and other servers.


class Yields:
    """Answers with these chunks."""

    def __init__(self, *chunks: Chunk) -> None:
        self.chunks = chunks
        self.asked: list[EngineRequest] = []

    def generate(self, request: EngineRequest, context: Context) -> Iterator[Chunk]:
        del context
        self.asked.append(request)
        yield from self.chunks


OWN = [
    ((Media(b"ab", "audio/wav"), Media(b"cd")), 200, b"abcd", "audio/wav"),
    ((Media(b"", "text/plain"),), 200, b"", "text/plain"),
    (({"text": "hi"},), 200, b'{"text":"hi"}', "application/json"),
    ((), 502, None, None),
    ((b"data: 1\n\n",), 502, None, None),
    (({"error": {"message": "no", "code": 400}},), 400, None, None),
]


@pytest.mark.parametrize(("chunks", "status", "body", "content_type"), OWN)
def test_an_engine_in_this_process_answers(
    service: HttpService,
    client: Client,
    chunks: tuple[Chunk, ...],
    status: int,
    body: bytes | None,
    content_type: str | None,
) -> None:
    engine = Yields(*chunks)
    service.model_manager().add_model(Kind.TRANSCRIPTIONS, "up", engine)
    answered = post(client, HEARD_ROW)

    assert answered.status == status
    if body is not None:
        assert (answered.body, answered.headers["content-type"]) == (body, content_type)
    (asked,) = engine.asked
    assert (asked.path, asked.body, asked.raw) == (HEARD, {"model": "up"}, sent(HEARD_ROW)[0])


@pytest.mark.parametrize(("chunks", "status", "body", "content_type"), OWN)
def test_another_server_answers_likewise(
    service: HttpService,
    chunks: tuple[Chunk, ...],
    status: int,
    body: bytes | None,
    content_type: str | None,
) -> None:
    service.model_manager().add_model(Kind.TRANSCRIPTIONS, "up", Yields(*chunks))
    raw, sent_type = sent(HEARD_ROW)
    web = testing.TestClient(service.app)
    answered = web.simulate_post(HEARD, body=raw, content_type=sent_type)

    assert answered.status_code == status
    if body is not None:
        assert (answered.content, answered.headers["content-type"]) == (body, content_type)


def test_under_another_server_a_sound_breaks_off_too(service: HttpService) -> None:
    engine = Yields(Media(b"ab", "audio/wav"), {"text": "hi"})
    service.model_manager().add_model(Kind.TRANSCRIPTIONS, "up", engine)
    raw, sent_type = sent(HEARD_ROW)
    with pytest.raises(Exception, match="something else than media"):
        testing.TestClient(service.app).simulate_post(HEARD, body=raw, content_type=sent_type)
