"""Running services for tests, and a client that sees every byte."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import urllib3
from falcon import testing

from actors.supervision.cancellation import CancellationToken
from http_service import HttpService, ServiceHandle
from tests.http_service.engines import DEADLINE

CHAT: dict[str, Any] = {"model": "echo", "messages": [{"role": "user", "content": "one two"}]}
"""A valid conversation for the echo model."""


@dataclass
class Running:
    """A spawned service and the means to stop it."""

    service: HttpService
    token: CancellationToken
    handle: ServiceHandle

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to connect to."""
        return self.service.address

    def stop(self) -> None:
        """Cancel, and wait until the service has ended."""
        self.token.cancel()
        self.handle.join(DEADLINE)


@contextmanager
def running(service: HttpService) -> Generator[Running]:
    """Spawn ``service``; stop and close it at the end."""
    token = CancellationToken()
    with service:
        it = Running(service, token, service.spawn(token))
        try:
            yield it
        finally:
            it.stop()


@dataclass
class Answer:
    """One HTTP response, read to its end; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """OpenAI's error object; fails if the body is anything else."""
        document = self.json()
        assert set(document) == {"error"}, document
        assert set(document["error"]) == {"message", "type", "param", "code"}, document
        found: dict[str, Any] = document["error"]
        return found


class Client:
    """A plain HTTP client with a pool of one connection."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.pool = urllib3.HTTPConnectionPool(
            address[0], address[1], timeout=DEADLINE, retries=False
        )

    def call(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """Send one request; ``body`` is sent as JSON unless it is bytes."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if data is not None:
            sent.setdefault("content-type", "application/json")
        found = self.pool.urlopen(method, path, body=data, headers=sent)
        lower = {name.lower(): value for name, value in found.headers.items()}
        return Answer(found.status, lower, found.data)

    def get(self, path: str) -> Answer:
        """``GET path``."""
        return self.call("GET", path)

    def post(self, path: str, body: object) -> Answer:
        """``POST body`` as JSON."""
        return self.call("POST", path, body)

    def close(self) -> None:
        """Close the pooled connection."""
        self.pool.close()


@dataclass
class RawClient:
    """A TCP connection that speaks whatever bytes it is told to."""

    address: tuple[str, int]
    buffer: bytes = b""
    sock: socket.socket = field(init=False)

    def __post_init__(self) -> None:
        self.sock = socket.create_connection(self.address, timeout=DEADLINE)

    def send(self, data: bytes) -> None:
        """Send all of ``data``."""
        self.sock.sendall(data)

    def read_until(self, marker: bytes) -> bytes:
        """Everything up to and including ``marker``; fails at the end of the connection."""
        while marker not in self.buffer:
            data = self.sock.recv(65536)
            assert data, f"the connection ended before {marker!r}: {self.buffer!r}"
            self.buffer += data
        found, _, self.buffer = self.buffer.partition(marker)
        return found + marker

    def read_answer(self) -> Answer:
        """One response with a Content-Length."""
        head = self.read_until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value
            for name, _, value in (line.partition(": ") for line in head[1:] if line)
        }
        length = int(headers["content-length"])
        while len(self.buffer) < length:
            data = self.sock.recv(65536)
            assert data, "the connection ended inside a body"
            self.buffer += data
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return Answer(int(head[0].split(" ")[1]), headers, body)

    def read_to_end(self) -> bytes:
        """Everything until the server closes; a reset is an error."""
        while data := self.sock.recv(65536):
            self.buffer += data
        found, self.buffer = self.buffer, b""
        return found

    def close(self) -> None:
        """Close the connection."""
        self.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def post_bytes(path: str, body: object, *headers: str) -> bytes:
    """The bytes of a POST request with a JSON body."""
    data = json.dumps(body).encode()
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: test",
        "Content-Type: application/json",
        f"Content-Length: {len(data)}",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


def events(body: bytes) -> list[Any]:
    """The data of each server-sent event; ``[DONE]`` stays a string."""
    found: list[Any] = []
    for block in body.decode().split("\n\n"):
        data = "\n".join(line[6:] for line in block.split("\n") if line.startswith("data: "))
        if data:
            found.append(data if data == "[DONE]" else json.loads(data))
    return found


def error_of(result: testing.Result) -> dict[str, Any]:
    """OpenAI's error object; fails if the body is anything else."""
    document = json.loads(result.content)
    assert set(document) == {"error"}, document
    assert set(document["error"]) == {"message", "type", "param", "code"}
    assert result.headers["content-type"] == "application/json"
    found: dict[str, Any] = document["error"]
    return found


def eventually(holds: Callable[[], bool], what: str) -> None:
    """Wait, polling shortly, until ``holds()``; for state that nothing announces."""
    deadline = time.monotonic() + DEADLINE
    pause = CancellationToken()
    while not holds():
        assert time.monotonic() < deadline, f"never came true: {what}"
        pause.wait(0.002)
