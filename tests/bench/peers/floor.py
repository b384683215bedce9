"""Python's own floor for this job: one relay in one file, and every step that a gateway must make.

It decodes and validates the body into a typed request, sends its own request to the upstream,
reads the answer with a parser, keeps a deadline, counters, a histogram and an access record a
request. It has no registry, no pool, no failover, no back-pressure and no drain: what a gateway
written in Python spends beyond this is its own. Usage: ``floor.py PORT UPSTREAM_PORT``.
"""

from __future__ import annotations

import bisect
import select
import socket
import sys
import time
from collections import deque
from typing import Any, Final

import httptools  # type: ignore[import-untyped,unused-ignore]  # ships no types
import msgspec
import orjson

READ: Final = 64 * 1024
DEADLINE: Final = 600.0
"""Seconds for one answer."""
BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0)
STREAM_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
    b"transfer-encoding: chunked\r\nx-request-id: %d\r\n\r\n"
)
HEAD: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
    b"x-request-id: %d\r\n\r\n"
)
UPSTREAM_HEAD: Final = (
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\nx-request-id: %d\r\n\r\n"
)
BAD: Final = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Message(msgspec.Struct):
    """One message of the conversation."""

    role: str
    content: str | list[dict[str, Any]] | None = None


class Chat(msgspec.Struct):
    """What is checked of a request."""

    model: str
    messages: list[Message]
    stream: bool = False
    max_tokens: int | None = None


class Relay:
    """Everything: the listener, the clients, the kept upstream connections, the metrics."""

    def __init__(self, port: int, upstream: int) -> None:
        self.listener = socket.create_server(("127.0.0.1", port), backlog=1024)
        self.listener.setblocking(False)
        self.upstream = ("127.0.0.1", upstream)
        self.epoll = select.epoll()
        self.epoll.register(self.listener, select.EPOLLIN)
        self.ready: dict[int, Client | Upstream] = {}
        self.idle: list[Upstream] = []
        self.decode = msgspec.json.Decoder(Chat).decode
        self.requests: dict[tuple[str, bool], int] = {}
        self.tokens = 0
        self.durations = [0] * (len(BUCKETS) + 1)
        self.records: deque[tuple[int, str, bool, float]] = deque(maxlen=1000)
        self.deadlines: deque[tuple[float, Client, int]] = deque()
        self.serial = 0

    def run(self) -> None:
        """Serve until the process is ended."""
        listener, ready = self.listener.fileno(), self.ready
        while True:
            for number, _ in self.epoll.poll(1.0, 1024):
                if number == listener:
                    self.accept()
                elif (connection := ready.get(number)) is not None:
                    connection.read()
            now = time.monotonic()
            while self.deadlines and self.deadlines[0][0] <= now:
                _, client, serial = self.deadlines.popleft()
                if client.serial == serial and client.upstream is not None:
                    client.close()

    def accept(self) -> None:
        """Take one client."""
        try:
            sock, _ = self.listener.accept()
        except BlockingIOError:
            return
        self.watch(sock, Client(self, sock))

    def watch(self, sock: socket.socket, connection: Client | Upstream) -> None:
        """Have ``connection`` read when there is something to read."""
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.ready[sock.fileno()] = connection
        self.epoll.register(sock, select.EPOLLIN)

    def connect(self) -> Upstream:
        """A kept connection to the upstream, or a new one."""
        if self.idle:
            return self.idle.pop()
        sock = socket.create_connection(self.upstream, 5.0)
        upstream = Upstream(self, sock)
        self.watch(sock, upstream)
        return upstream


class Client:
    """One client; ``serial`` names its request, ``upstream`` answers it."""

    __slots__ = (
        "begun",
        "buffer",
        "head",
        "length",
        "relay",
        "serial",
        "sock",
        "stream",
        "upstream",
    )

    def __init__(self, relay: Relay, sock: socket.socket) -> None:
        self.relay = relay
        self.sock = sock
        self.buffer = b""
        self.head: bytes = b""
        self.length = 0
        self.upstream: Upstream | None = None
        self.serial = 0
        self.stream = False
        self.begun = 0.0

    def read(self) -> None:
        """Take what came; ask the upstream once the request is whole."""
        try:
            data = self.sock.recv(READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        data = self.buffer = self.buffer + data if self.buffer else data
        end = data.find(b"\r\n\r\n") + 4
        if end < 4:
            return
        head = data[:end]
        if head != self.head:  # most clients send one and the same head each time
            self.head, self.length = head, content_length(head)
        if len(data) >= end + self.length:
            self.buffer = data[end + self.length :]
            self.ask(data[end : end + self.length])

    def ask(self, body: bytes) -> None:
        """Validate ``body`` and send it on."""
        relay = self.relay
        try:
            chat = relay.decode(body)
        except msgspec.DecodeError:
            self.sock.send(BAD)
            self.close()
            return
        self.stream = chat.stream
        self.begun = time.monotonic()
        relay.serial = self.serial = relay.serial + 1
        key = (chat.model, chat.stream)
        relay.requests[key] = relay.requests.get(key, 0) + 1
        relay.deadlines.append((self.begun + DEADLINE, self, self.serial))
        upstream = self.upstream = relay.connect()
        upstream.client = self
        upstream.sock.send(UPSTREAM_HEAD % (len(body), self.serial) + body)

    def done(self) -> None:
        """Close the books of this request."""
        relay, elapsed = self.relay, time.monotonic() - self.begun
        relay.durations[bisect.bisect_left(BUCKETS, elapsed)] += 1
        relay.records.append((self.serial, "chat", self.stream, elapsed))
        self.upstream = None

    def close(self) -> None:
        """Let go of the client, and of the upstream connection that answers it."""
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.close()
        self.relay.ready.pop(self.sock.fileno(), None)
        self.sock.close()


class Upstream:
    """One connection to the upstream, and the parser of its answers."""

    __slots__ = ("begun", "client", "complete", "parser", "parts", "relay", "sock")

    def __init__(self, relay: Relay, sock: socket.socket) -> None:
        self.relay = relay
        self.sock = sock
        self.client: Client | None = None
        self.parts: list[bytes] = []
        self.begun = self.complete = False
        self.parser: Any = httptools.HttpResponseParser(self)

    # What the parser calls.

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        self.parts.append(data)

    def on_message_complete(self) -> None:
        """The end of the answer."""
        self.complete = True

    def read(self) -> None:
        """Pass on what came."""
        try:
            data = self.sock.recv(READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        client = self.client
        if not data or client is None:
            self.close()
            return
        self.parser.feed_data(data)
        if client.stream:
            self.pass_on(client)
        elif self.complete:
            body = b"".join(self.parts)
            orjson.loads(body)
            client.sock.send(HEAD % (len(body), client.serial) + body)
            self.end(client)

    def pass_on(self, client: Client) -> None:
        """All whole events of one read as one chunk."""
        events = b"".join(self.parts)
        if not self.complete and not events.endswith(b"\n\n"):
            self.parts = [events]
            return
        self.parts = []
        self.relay.tokens += events.count(b"data:")
        chunk = b"%x\r\n%b\r\n" % (len(events), events) if events else b""
        if not self.begun:
            self.begun = True
            chunk = STREAM_HEAD % client.serial + chunk
        if self.complete:
            chunk += b"0\r\n\r\n"
        client.sock.send(chunk)
        if self.complete:
            self.end(client)

    def end(self, client: Client) -> None:
        """The answer is through: keep the connection."""
        self.parts = []
        self.begun = self.complete = False
        self.client = None
        self.parser = httptools.HttpResponseParser(self)
        self.relay.idle.append(self)
        client.done()

    def close(self) -> None:
        """The connection is lost, and with it the client that waits for it."""
        client, self.client = self.client, None
        self.relay.ready.pop(self.sock.fileno(), None)
        if self in self.relay.idle:
            self.relay.idle.remove(self)
        self.sock.close()
        if client is not None:
            client.close()


def content_length(head: bytes) -> int:
    """What ``head`` says of its body."""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


if __name__ == "__main__":
    Relay(int(sys.argv[1]), int(sys.argv[2])).run()
