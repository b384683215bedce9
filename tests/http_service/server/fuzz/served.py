"""One connection's bytes through the channel itself: what the application is asked then.

The channel serves a request in the very read that completes it where nothing else waits, and else
in a later round. Either way must come to what the parser alone reads.
"""

from __future__ import annotations

import re
from _thread import get_ident
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any, Final

from waitress.buffers import ReadOnlyFileBasedBuffer

from actors.eventloop import READ, WRITE
from http_service.connection import KEY
from http_service.server.parser import Parser
from http_service.server.timeouts import ClientTimeouts
from http_service.server.waitress_channel import Channel
from http_service.server.waitress_task import fixed_environ, replay
from tests.http_service.server.fuzz.compare import ADJUSTMENTS, Outcome, reading, run
from tests.http_service.server.fuzz.inputs import Case

__all__ = ["served", "served_differs"]

STATUS: Final = re.compile(rb"HTTP/1\.[01] ([0-9]{3}) ")
ENVIRON: Final = fixed_environ("name", 80, "http", ReadOnlyFileBasedBuffer)


class Wire:
    """A socket that was sent ``read``, and takes whatever is written."""

    def __init__(self) -> None:
        self.read = b""
        self.written: list[bytes] = []

    def setblocking(self, _blocking: int) -> None: ...

    def fileno(self) -> int:
        return 7

    def recv(self, _size: int) -> bytes:
        read, self.read = self.read, b""
        return read

    def send(self, data: bytes) -> int:
        self.written.append(data)
        return len(data)

    def shutdown(self, _how: int) -> None: ...

    def close(self) -> None: ...


class Host:
    """A server with one connection, and an application that notes what it is asked."""

    def __init__(self, parser_class: Callable[[Any], Any]) -> None:
        self.wire: Any = Wire()
        self.outcome = Outcome()
        self.at_once = 0
        self.parser_class = parser_class
        self.adj = ADJUSTMENTS
        self.limits = ClientTimeouts()
        self.linger = 5.0
        self.draining = False
        self.environ = ENVIRON
        self.active_channels: dict[int, Any] = {}
        self.now = 0.0
        self.loop = SimpleNamespace(
            thread=get_ident(),
            clock=lambda: self.now,
            now=0.0,
            call=self._call,
            call_later=self._call_later,
        )
        self.workers: list[Any] = []
        self.answer: Callable[[dict[str, Any], Any], Iterable[bytes]] = self._noted
        self._later: list[Callable[[], object]] = []
        self.channel: Any = Channel(self, self.wire, ("127.0.0.1", 1), ADJUSTMENTS, {})

    def take(self, data: bytes) -> None:
        """One read of ``data``, and the rounds after it."""
        self.wire.read = data
        self.channel.ready(READ)
        self.at_once = len(self.outcome.requests)
        while self._later or (self.channel.connected and self.channel.total_outbufs_len):
            for call in self._later[:]:
                self._later.remove(call)
                call()
            if self.channel.connected:
                self.channel.ready(WRITE)

    def app(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        return self.answer(environ, start_response)

    def _noted(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        channel = environ[KEY]
        (request, *_) = channel.requests
        told = reading(request)
        told["body"] = environ["wsgi.input"].read()
        assert channel.whole_body() == told["body"]
        self.outcome.requests.append(told)
        start_response("200 OK", [("content-length", "2")])
        return [b"ok"]

    def _call(self, call: Callable[[], object]) -> None:
        self._later.append(call)

    def _call_later(self, seconds: float, call: Callable[[], object]) -> None:
        def then() -> None:
            self.now += seconds
            call()

        self._later.append(then)

    def add_task(self, channel: Any) -> None:
        self._later.append(channel.service)

    def add_worker_task(self, channel: Any) -> None:
        self.workers.append(channel)

    def application(self, made: Any, start_response: Any) -> Iterable[bytes]:
        return replay(made, start_response)

    def pull_trigger(self) -> None: ...

    def channel_closed(self, _channel: Any) -> None: ...


def served(reads: Iterable[bytes], parser_class: Callable[[Any], Any] = Parser) -> Host:
    """Feed ``reads`` to a channel, each as one read of its socket."""
    host = Host(parser_class)
    for data in reads:
        if host.channel.connected:
            host.take(data)
    for status in map(int, STATUS.findall(b"".join(host.wire.written))):
        if status >= 400:
            host.outcome.refused = status
    return host


def served_differs(case: Case, parser_class: Callable[[Any], Any] = Parser) -> str | None:
    """What the channel makes of ``case`` otherwise than the parser alone; ``None`` if nothing."""
    alone = run(Parser, case.reads)
    expected, refused = alone.requests, alone.refused
    for number, request in enumerate(alone.requests):
        if request["connection_close"]:  # nothing behind it is answered
            expected, refused = alone.requests[: number + 1], None
            break
    found = served(case.reads, parser_class).outcome
    if found.requests != expected:
        return f"the application is asked {found.requests}, not {expected}"
    if found.refused != refused:
        return f"refused with {found.refused}, not {refused}"
    return None
