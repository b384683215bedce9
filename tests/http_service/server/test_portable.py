"""The application is plain WSGI: any server can host it, and clients can't tell the difference."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.http_service import hosting
from tests.http_service.engines import DEADLINE
from tests.http_service.hosting import SERVERS
from tests.http_service.serving import CHAT, Client, RawClient, events, eventually

PATH = "/v1/chat/completions"
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module", params=sorted(SERVERS))
def address(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    """Where a process with another server listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.set_inheritable(True)
        process = subprocess.Popen(
            [sys.executable, "-m", hosting.__name__, request.param, str(listening.fileno())],
            pass_fds=[listening.fileno()],
            cwd=ROOT,
        )
        where = listening.getsockname()[:2]
    try:
        yield where
    finally:
        process.terminate()
        try:
            process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(DEADLINE)


@pytest.fixture
def hosted(address: tuple[str, int]) -> Iterator[Client]:
    client = Client(address)
    yield client
    client.close()


def test_a_unary_answer(hosted: Client) -> None:
    answer = hosted.post(PATH, CHAT)

    assert answer.status == 200
    assert answer.json()["choices"][0]["message"]["content"] == "one two"


def test_a_stream_with_its_end(hosted: Client) -> None:
    answer = hosted.post(PATH, {**CHAT, "stream": True})

    assert answer.headers["content-type"] == "text/event-stream"
    told = events(answer.body)
    assert told[-1] == "[DONE]"
    text = "".join(
        event["choices"][0]["delta"].get("content") or "" for event in told[:-1] if event["choices"]
    )
    assert text == "one two"


@pytest.mark.parametrize("stream", [False, True])
def test_an_error_before_the_first_token_is_an_http_error(hosted: Client, stream: bool) -> None:
    answer = hosted.post(PATH, {**CHAT, "model": "broken", "stream": stream})

    assert answer.status == 502
    assert answer.error["message"] == "The engine is not there."


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "invalid_request"),
        ({**CHAT, "model": "ghost"}, 404, "model_not_found"),
        ({**CHAT, "messages": []}, 400, "invalid_value"),
    ],
)
def test_errors_are_in_openais_shape(hosted: Client, body: Any, status: int, code: str) -> None:
    answer = hosted.post(PATH, body)

    assert answer.status == status
    assert answer.error["code"] == code


def inflight(client: Client, model: str) -> float:
    """How many requests for ``model`` are being answered, as the metrics tell it."""
    for line in client.get("/metrics").body.decode().splitlines():
        if line.startswith("hosted_inflight_requests{") and f'model="{model}"' in line:
            return float(line.rpartition(" ")[2])
    return 0


def test_a_client_that_leaves_a_stream_ends_it(hosted: Client, address: tuple[str, int]) -> None:
    body = json.dumps({**CHAT, "model": "endless", "stream": True}).encode()
    with RawClient(address) as raw:
        raw.send(
            b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (PATH.encode(), len(body), body)
        )
        raw.read_until(b"chat.completion.chunk")
        assert inflight(hosted, "endless") == 1

    eventually(lambda: inflight(hosted, "endless") == 0, "the endless stream ended")
