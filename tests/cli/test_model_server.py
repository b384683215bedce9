"""A worker announces a server once that answers; whatever it asks, it asks directly."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager

import pytest

from actors.cli import model_server
from actors.cli.model_server import Unanswered, ask_server, is_serving, wait_until_serving
from actors.supervision import CancellationToken
from tests.support.waiting import eventually

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]"


@contextmanager
def server(reply: bytes) -> Generator[str]:
    """Answers one connection with ``reply`` and keeps it open; yields its base URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        over = threading.Event()

        def serve() -> None:
            with listener.accept()[0] as connection:
                connection.recv(4096)
                connection.sendall(reply)
                over.wait(30)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        over.set()
        thread.join(30)


@pytest.mark.parametrize(
    ("status", "is_answer"),
    [(200, True), (401, True), (404, True), (501, True), (503, False), (502, False), (500, False)],
)
def test_a_loading_server_and_a_proxy_without_one_do_not_answer(
    status: int, is_answer: bool
) -> None:
    assert is_serving(status) is is_answer


@pytest.mark.parametrize("url", ["http://h:1/v1", "http://h:1", "http://h:1/"])
def test_it_waits_through_refusals_and_says_what_for(
    url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_server, "START_POLL_SECONDS", 0.0)
    outcomes: list[Unanswered | int] = [Unanswered("Connection refused"), 503, 503, 200]
    asked: list[str] = []

    def ask(where: str, _timeout: float) -> tuple[int, bytes]:
        asked.append(where)
        outcome = outcomes.pop(0)
        if isinstance(outcome, Unanswered):
            raise outcome
        return outcome, b""

    with caplog.at_level(logging.INFO):
        wait_until_serving(url, CancellationToken(), ask)
    assert not outcomes
    assert {*asked} == {"http://h:1/v1/models"}
    said = [record.getMessage() for record in caplog.records]
    assert said == ["waiting until the server answers", "the server answers"]


def test_a_stop_ends_the_wait_although_the_server_is_silent() -> None:
    token = CancellationToken()
    asked, release = threading.Event(), threading.Event()

    def ask(_where: str, _timeout: float) -> tuple[int, bytes]:
        asked.set()
        release.wait(30)
        raise Unanswered("nothing")

    waiting = threading.Thread(target=wait_until_serving, args=("http://h/v1", token, ask))
    waiting.start()
    assert asked.wait(30)
    token.cancel()
    waiting.join(30)
    assert not waiting.is_alive()
    release.set()
    eventually(lambda: not any(t.name == "server-start" for t in threading.enumerate()))


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"])
def test_the_environments_proxy_is_not_used(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    with server(OK) as url:
        assert ask_server(f"{url}/models", 10.0) == (200, b"[]")


@pytest.mark.parametrize(
    "reply",
    [b"", b"HTTP/1.1 200 OK\r\ncontent-le", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n["],
    ids=["silent", "stuck in the head", "stuck in the body"],
)
def test_a_server_that_gets_stuck_is_left_in_time(reply: bytes) -> None:
    with server(reply) as url, pytest.raises(Unanswered):
        ask_server(f"{url}/models", 0.3)


@pytest.mark.parametrize("reply", [b"hello\r\n\r\n", b"\x16\x03\x01\x00\r\n"])
def test_what_speaks_no_http_does_not_answer(reply: bytes) -> None:
    with server(reply) as url, pytest.raises(Unanswered):
        ask_server(f"{url}/models", 5.0)


def test_a_port_where_nobody_listens_is_told_in_the_systems_words() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound and not listening: refuses
        with pytest.raises(Unanswered, match="Connection refused"):
            ask_server(f"http://127.0.0.1:{held.getsockname()[1]}/v1/models", 5.0)
