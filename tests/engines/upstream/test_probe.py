"""A probe asks an upstream whether it answers at all, and costs it no request."""

from __future__ import annotations

import contextlib
import socket
import threading

import pytest

from actors.engines.errors import EngineTimeout, EngineUnavailable
from actors.engines.upstream import Timeouts, UpstreamEngine
from actors.engines.upstream import engine as engine_module

DEADLINE = 10.0


class Server:
    """Answers one connection with ``reply``; keeps what it was asked."""

    def __init__(self, reply: bytes | None) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        self.asked = b""
        self._reply = reply
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            self.asked = connection.recv(65536)
            # Who has heard enough hangs up in the middle.
            with contextlib.suppress(ConnectionError):
                if self._reply is not None:
                    connection.sendall(self._reply)
                connection.recv(1)

    def close(self) -> None:
        self._listener.close()


def probe(url: str) -> BaseException | None:
    """The outcome of one probe."""
    told, found = threading.Event(), list[BaseException | None]()

    def done(error: BaseException | None) -> None:
        found.append(error)
        told.set()

    engine = UpstreamEngine(url, api_key="k")
    engine.probe(done)
    assert told.wait(DEADLINE)
    engine.close()
    assert len(found) == 1
    return found[0]


def reply(status: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    ("answer", "well"),
    [
        (reply("200 OK", b'{"object": "list", "data": []}'), True),
        (reply("404 Not Found", b'{"error": {"message": "no such path"}}'), True),
        (reply("200 OK", b'[{"id": "m", "object": "model"}]'), True),
        (reply("200 OK", b"<html>hello</html>"), True),
        (reply("200 OK", b""), True),
        (reply("200 OK", b"x" * 1_000_000), True),
        (reply("401 Unauthorized", b"{}"), True),
        (reply("403 Forbidden", b"{}"), True),
        (reply("429 Too Many Requests", b"{}"), True),
        (reply("302 Found", b""), False),
        (reply("500 Internal Server Error", b"{}"), False),
        (reply("503 Service Unavailable", b"{}"), False),
        (reply("200 OK", b"{}")[:-1], False),
        (b"garbage\r\n\r\n", False),
    ],
    ids=[
        "models",
        "no such path",
        "a bare list",
        "a page",
        "nothing in it",
        "far too much",
        "wants a key",
        "wants another key",
        "busy",
        "elsewhere",
        "500",
        "loading",
        "cut",
        "garbage",
    ],
)
def test_any_answer_but_a_failure_is_health(answer: bytes, well: bool) -> None:
    server = Server(answer)
    outcome = probe(server.url)
    server.close()

    assert (outcome is None) is well, outcome
    assert server.asked.startswith(b"GET /v1/models HTTP/1.1\r\n")
    assert b"authorization: Bearer k\r\n" in server.asked


def test_nobody_there_is_no_health() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    assert isinstance(probe(f"http://127.0.0.1:{port}/v1"), EngineUnavailable)


def test_silence_is_no_health(monkeypatch: pytest.MonkeyPatch) -> None:
    hasty = Timeouts(connect=1.0, first_byte=0.1, idle=0.1)
    monkeypatch.setattr(engine_module, "PROBE_TIMEOUTS", hasty)
    server = Server(None)
    outcome = probe(server.url)
    server.close()

    assert isinstance(outcome, EngineTimeout)
