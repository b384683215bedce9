"""What comes out passes as it comes, and what goes wrong says so or breaks off."""

from __future__ import annotations

import json

import pytest

from http_service.api.endpoints import ApiEndpoint
from tests.engines.raw_server import LAST_CHUNK, answer, chunked
from tests.http_service.api.media.requests import (
    HEAD,
    HEARD_ROW,
    SAID_ROW,
    SOUND,
    Worker,
    each,
    post,
    speech_request,
)
from tests.http_service.engines import DEADLINE
from tests.http_service.serving import Client, RawClient

# What comes out.

PASSED = [
    (b"audio/mpeg", SOUND),
    (b"audio/wav; rate=8000", b""),
    (b"text/plain; charset=utf-8", b"1\n00:00 --> 00:01\nhello\n"),
    (b"text/event-stream", b': hi\n\ndata: {"delta":"an error"}\n\nevent: x\ndata: raw\n\n'),
    (b"text/event-stream", b'data: {"a":1}\r\n\r\ndata: [DONE]\r\n\r\ndata: "cut'),
    (b"application/json", b'{"text":NaN}'),
    (b"application/json", b"[1]"),
]


@pytest.mark.parametrize(("content_type", "body"), PASSED)
@pytest.mark.parametrize("framing", ["length", "chunks", "close"])
def test_an_answer_passes_as_it_came(
    relay: Client, worker: Worker, content_type: bytes, body: bytes, framing: str
) -> None:
    header = f"content-type: {content_type.decode()}"
    if framing == "length":
        worker.parts = [answer(200, body, header)]
    elif framing == "chunks":
        pieces = [body[at : at + 1_000] for at in range(0, len(body), 1_000)]
        worker.parts = [HEAD % content_type, *map(chunked, pieces), LAST_CHUNK]
    else:
        worker.parts = [f"HTTP/1.1 200 OK\r\n{header}\r\n\r\n".encode(), body]
        worker.keeps = False
    answered = post(relay, HEARD_ROW)

    dropped = b": hi\n\n"  # which says nothing, so that another instance may still answer
    assert (answered.status, answered.body) == (200, body.removeprefix(dropped))
    assert answered.headers["content-type"] == content_type.decode()
    assert answered.headers["cache-control"] == "no-store"
    assert answered.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "header", ["x: y", "content-type: ", "content-type: \xe9", "content-type: x"]
)
def test_what_is_no_type_is_passed_as_bytes(relay: Client, worker: Worker, header: str) -> None:
    worker.parts = [answer(200, b"abc", header)]
    answered = post(relay, SAID_ROW)
    assert (answered.body, answered.headers["content-type"]) == (b"abc", "application/octet-stream")


def test_a_whole_answer_has_a_length(relay: Client, worker: Worker) -> None:
    worker.parts = [answer(200, b"abc", "content-type: audio/mpeg")]
    answered = post(relay, SAID_ROW)
    assert answered.headers["content-length"] == "3"


def test_the_first_piece_is_passed_on_before_the_last_one_comes(
    relay: Client, worker: Worker
) -> None:
    worker.parts = [HEAD % b"audio/mpeg" + chunked(b"abc")]
    with RawClient((relay.pool.host, relay.pool.port or 0)) as client:
        client.send(speech_request(b"1.1"))
        assert client.read_until(b"3\r\nabc\r\n").lower().count(b"content-type: audio/mpeg") == 1
    assert worker.hung_up.wait(DEADLINE)  # the client left, and its worker is free


def test_a_client_of_http_1_0_reads_to_the_end(relay: Client, worker: Worker) -> None:
    worker.parts = [HEAD % b"audio/mpeg", chunked(b"abc"), chunked(b"def"), LAST_CHUNK]
    with RawClient((relay.pool.host, relay.pool.port or 0)) as client:
        client.send(speech_request(b"1.0"))
        assert client.read_to_end().endswith(b"\r\n\r\nabcdef")


# What goes wrong.


@each
def test_a_refusal_of_the_worker_is_passed_on(
    relay: Client, worker: Worker, endpoint: ApiEndpoint
) -> None:
    told = b'{"error":{"message":"no voice","param":"voice","code":"bad_voice"}}'
    for status in (400, 200):
        worker.parts = [answer(status, told, "content-type: application/json")]
        refused = post(relay, endpoint)
        assert refused.status == (400 if status == 400 else 502)
    worker.parts = [answer(400, told, "content-type: application/json")]
    assert post(relay, endpoint).error["param"] == "voice"


BAD = [
    answer(500, b"Traceback: /srv/secret", "content-type: text/plain"),
    answer(200, b"<html>secret</html>", "content-type: text/html"),
    answer(200, b"<html>secret</html>", "content-type: application/xhtml+xml; charset=utf-8"),
    answer(200, b"{secret", "content-type: application/json"),
    answer(200, b'{"error":{"message":"secret"}}', "content-type: application/problem+json"),
    answer(200, b'data: {"error":{"message":"secret"}}\n\n', "content-type: text/event-stream"),
    answer(200, b": secret\n\n", "content-type: text/event-stream"),
    answer(200, b'{"error":"secret"}', "content-type: text/event-stream"),
    answer(200, b"abc", "content-type: audio/mpeg", "content-encoding: gzip"),
]


@pytest.mark.parametrize("said", BAD)
def test_what_is_no_answer_is_a_502_and_its_words_stay_here(
    relay: Client, worker: Worker, said: bytes
) -> None:
    worker.parts = [said]
    refused = post(relay, HEARD_ROW)
    assert (refused.status, refused.error["code"]) == (502, "upstream_unavailable")
    assert b"secret" not in refused.body


@pytest.mark.parametrize("said", BAD)
def test_another_instance_answers_instead(
    relay: Client, worker: Worker, other: Worker, said: bytes
) -> None:
    worker.parts = [said]
    for _ in range(4):
        assert post(relay, HEARD_ROW, "two").body == b' {"text": "hi"}'
    assert worker.received
    assert other.received


def test_a_sound_that_breaks_off_breaks_off_here(relay: Client, worker: Worker) -> None:
    worker.parts = [HEAD % b"audio/mpeg", chunked(b"abc")]
    worker.keeps = False
    with RawClient((relay.pool.host, relay.pool.port or 0)) as client:
        client.send(speech_request(b"1.1"))
        received = client.read_to_end()
    assert received.endswith(b"3\r\nabc\r\n")


@pytest.mark.parametrize(
    "end", [b"", chunked(b"data: half"), chunked(b'data: {"error":{"message":"secret"}}\n\n')]
)
def test_events_that_break_off_end_with_one_that_says_so(
    relay: Client, worker: Worker, end: bytes
) -> None:
    worker.parts = [HEAD % b"text/event-stream", chunked(b'data: {"a":1}\n\n'), end]
    worker.keeps = False
    answered = post(relay, HEARD_ROW)

    assert answered.status == 200
    first, last, rest = answered.body.split(b"\n\n")
    assert (first, rest) == (b'data: {"a":1}', b"")
    assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "upstream_unavailable"
    assert b"secret" not in answered.body
