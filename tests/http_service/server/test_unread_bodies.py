"""What the head decides is answered on the head: the body is not read, and the client can tell."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from actors.engines.contract import Kind
from http_service import HttpService
from tests.http_service.conftest import LOCAL, add_echo
from tests.http_service.engines import ManualEngine, token_chunk
from tests.http_service.serving import CHAT, Client, RawClient, Running, eventually, running

KEY = "sk-first-0123456789"
PATH = "/v1/chat/completions"
MANY = 40 * 1024 * 1024
GOOD = [f"Authorization: Bearer {KEY}", "Content-Type: application/json"]


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Running]:
    path = tmp_path / "keys.txt"
    path.write_text(f"{KEY}\n")
    with HttpService(replace(LOCAL, api_key_file=str(path))) as service:
        add_echo(service)
        with running(service) as it:
            yield it


def head(method: str, path: str, *headers: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


SIZED, CHUNKED = f"Content-Length: {MANY}", "Transfer-Encoding: chunked"

DECIDED: list[tuple[str, int, str, str, list[str]]] = [
    ("a wrong key", 401, "POST", PATH, ["Authorization: Bearer no", *GOOD[1:]]),
    ("no key", 401, "POST", PATH, GOOD[1:]),
    ("no key, no such path", 401, "POST", "/nowhere", []),
    ("an unknown path", 404, "POST", "/v1/nothing", GOOD),
    ("another method", 405, "PUT", PATH, GOOD),
    ("a method of no route", 405, "DELETE", "/v1/models/echo", GOOD),
    ("not JSON", 415, "POST", PATH, [GOOD[0], "Content-Type: text/plain"]),
    ("no type", 415, "POST", PATH, GOOD[:1]),
    ("an unknown coding", 415, "POST", PATH, [*GOOD, "Content-Encoding: zstd"]),
    ("a wrong timeout", 400, "POST", PATH, [*GOOD, "X-Request-Timeout: soon"]),
    ("a route without a body", 200, "GET", "/v1/models", GOOD),
    ("a probe", 200, "GET", "/live", []),
]


@pytest.mark.parametrize("length", [SIZED, CHUNKED])
@pytest.mark.parametrize("expect", [[], ["Expect: 100-continue"]], ids=["", "expect"])
@pytest.mark.parametrize(
    ("status", "method", "path", "headers"),
    [row[1:] for row in DECIDED],
    ids=[row[0] for row in DECIDED],
)
def test_the_head_is_enough_for_the_answer_and_the_connection_ends(
    locked: Running,
    status: int,
    method: str,
    path: str,
    headers: list[str],
    expect: list[str],
    length: str,
) -> None:
    with RawClient(locked.address) as raw:
        raw.send(head(method, path, *headers, *expect, length))
        answer = raw.read_answer()
        raw.sock.shutdown(socket.SHUT_WR)
        rest = raw.read_to_end()

    assert answer.status == status
    assert answer.headers["connection"] == "close"
    assert "x-request-id" in answer.headers
    assert rest == b""


@pytest.mark.parametrize("length", [SIZED, CHUNKED])
def test_a_client_that_goes_on_sending_can_read_why_it_was_refused(
    locked: Running, length: str
) -> None:
    smuggled = head("GET", "/live") + b"x" * 60_000
    with RawClient(locked.address) as raw:
        raw.send(head("POST", PATH, *GOOD[1:], length) + smuggled)
        for _ in range(100):
            raw.send(smuggled)
        answer = raw.read_answer()
        raw.sock.shutdown(socket.SHUT_WR)
        rest = raw.read_to_end()

    assert answer.status == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert rest == b""


def test_a_host_that_is_not_ours_is_told_so_on_the_head() -> None:
    with HttpService(replace(LOCAL, allowed_hosts=("example.org",))) as service:
        add_echo(service)
        with running(service) as it, RawClient(it.address) as raw:
            raw.send(head("POST", PATH, *GOOD, SIZED, "Expect: 100-continue"))
            answer = raw.read_answer()

    assert answer.status == 421
    assert answer.headers["connection"] == "close"


def test_a_refusal_keeps_its_turn_behind_the_requests_before_it(locked: Running) -> None:
    with RawClient(locked.address) as raw:
        raw.send(head("GET", "/live") + head("POST", PATH, *GOOD[1:], SIZED) + b"x")

        assert raw.read_answer().status == 200
        assert raw.read_answer().status == 401


def test_a_small_body_that_comes_with_its_head_leaves_the_connection_open(locked: Running) -> None:
    with RawClient(locked.address) as raw:
        for _ in range(2):
            raw.send(head("POST", PATH, *GOOD[1:], "Content-Length: 2") + b"{}")
            answer = raw.read_answer()
            assert answer.status == 401
            assert "connection" not in answer.headers


def test_a_good_request_is_asked_for_its_body_and_answered(locked: Running) -> None:
    body = json.dumps(CHAT).encode()
    with RawClient(locked.address) as raw:
        sized = f"Content-Length: {len(body)}"
        raw.send(head("POST", PATH, *GOOD, sized, "Expect: 100-continue"))
        assert raw.read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        raw.send(body[:5])
        raw.send(body[5:])
        assert raw.read_answer().status == 200


SMALL_BYTES = replace(LOCAL, body_limit=1_000_000, body_memory=1_500_000)
BIG = json.dumps({**CHAT, "model": "slow", "user": "x" * 900_000}).encode()


@pytest.fixture
def engine() -> ManualEngine:
    return ManualEngine()


@pytest.fixture
def tight(engine: ManualEngine) -> Iterator[Running]:
    """A service with room for one big body, and a model that answers when it is told to."""
    with HttpService(SMALL_BYTES) as service:
        service.model_manager().add_chat_completions_model("slow", engine)
        with running(service) as it:
            yield it


def begin(it: Running, data: bytes, *headers: str) -> RawClient:
    raw = RawClient(it.address)
    sized = f"Content-Length: {len(data)}"
    raw.send(head("POST", PATH, "Content-Type: application/json", sized, *headers))
    raw.send(data)
    return raw


def test_bodies_beyond_the_budget_are_refused_until_one_is_answered(
    tight: Running, engine: ManualEngine
) -> None:
    with begin(tight, BIG) as first:
        sink = engine.wait_started()
        with RawClient(tight.address) as second:
            second.send(head("POST", PATH, *GOOD, f"Content-Length: {len(BIG)}"))
            refused = second.read_answer()
        assert refused.status == 503
        assert refused.headers["retry-after"] == "1"
        assert refused.error["code"] == "service_unavailable"

        sink.push(token_chunk(Kind.CHAT, "a", finish="stop"))
        sink.finish()
        assert first.read_answer().status == 200
    with begin(tight, BIG) as third:
        engine.wait_started().answer(b"{}")
        assert third.read_answer().status == 200


def test_small_requests_are_served_while_the_budget_is_spent(
    tight: Running, engine: ManualEngine
) -> None:
    with begin(tight, BIG):
        engine.wait_started()
        client = Client(tight.address)
        assert client.get("/live").status == 200
        client.close()


@pytest.mark.parametrize("part", [500_000, len(BIG)])
def test_a_client_that_leaves_gives_back_what_it_held(
    tight: Running, engine: ManualEngine, part: int
) -> None:
    raw = RawClient(tight.address)
    raw.send(head("POST", PATH, *GOOD, f"Content-Length: {len(BIG)}"))
    raw.send(BIG[:part])
    eventually(lambda: tight.service.intake.held == part, "the body is held")
    raw.close()

    eventually(lambda: tight.service.intake.held == 0, "nothing is held")


def test_a_compressed_body_counts_as_what_it_comes_to(tight: Running, engine: ManualEngine) -> None:
    with begin(tight, gzip.compress(BIG), "Content-Encoding: gzip"):
        engine.wait_started()
        assert tight.service.intake.held >= len(BIG)
        with begin(tight, gzip.compress(BIG), "Content-Encoding: gzip") as second:
            refused = second.read_answer()
    assert refused.status == 503
    assert refused.headers["retry-after"] == "1"
    eventually(lambda: tight.service.intake.held == 0, "nothing is held")
