"""HTTP/1.1 to one upstream on blocking sockets: kept alive, with deadlines, broken off at will.

Knows nothing of OpenAI. Each exchange belongs to one thread; only :meth:`Exchange.abort` may be
called from another. Every failure leaves this module as an ``EngineError`` with a fixed message
(the reason is its ``__cause__``), or as ``Cancelled`` after an abort.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import weakref
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Final

from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError, ReadTimeoutError
from urllib3.response import HTTPResponse

from actors.engines.dial import dial, hang_up
from actors.engines.errors import EngineTimeout, EngineUnavailable
from actors.supervision.errors import Cancelled

__all__ = ["Exchange", "Place", "Transport"]

# Bytes taken from a socket at once: several hundred tokens, one page of the allocator's arena.
_READ_BYTES: Final = 65_536
# What may follow the end of an answer before its connection is kept: the last chunk's trailer.
_TAIL_BYTES: Final = 4_096
_TAIL_SECONDS: Final = 0.2
# Connections kept for the next request; more are closed when their request ends.
_MAX_IDLE: Final = 32


@dataclass(frozen=True, slots=True)
class Place:
    """Where an upstream listens, and how long it may be silent (seconds)."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    connect_timeout: float
    first_byte_timeout: float


class Transport:
    """Opens exchanges with one upstream and keeps a few connections alive between them."""

    def __init__(self, place: Place) -> None:
        self.place: Final = place
        self._lock = threading.Lock()
        self._idle: list[HTTPConnection] = []
        self._closed = False
        # An upstream that is dropped without close() must not leave sockets to the collector.
        self._finalizer = weakref.finalize(self, _close_all, self._idle)

    def exchange(self) -> Exchange:
        """A new exchange; nothing is sent yet."""
        return Exchange(self)

    def close(self) -> None:
        """Close what is idle; connections in use close when their exchange ends."""
        with self._lock:
            self._closed = True
            idle = [*self._idle]
            self._idle.clear()
        _close_all(idle)

    def take(self) -> HTTPConnection | None:
        """A connection that was kept and still looks alive."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                connection = self._idle.pop()
            if connection.is_connected:
                return connection
            connection.close()

    def keep(self, connection: HTTPConnection) -> None:
        """Keep ``connection`` for a later request, or close it."""
        with self._lock:
            if not self._closed and len(self._idle) < _MAX_IDLE and connection.sock is not None:
                self._idle.append(connection)
                return
        connection.close()


class Exchange:
    """One request and its answer: :meth:`send`, :meth:`read` to the end, :meth:`close`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._connection: HTTPConnection | None = None
        self._response: HTTPResponse | None = None
        self._lock = threading.Lock()
        # Held apart from the connection, which forgets its socket on "Connection: close".
        self._socket: socket.socket | None = None
        self._aborted = False

    @property
    def status(self) -> int:
        """The answer's status; after :meth:`send`."""
        return self._answer.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The answer's headers, names in lower case; after :meth:`send`."""
        return {name.lower(): value for name, value in self._answer.headers.items()}

    def send(self, target: str, headers: Mapping[str, str], body: bytes) -> None:
        """POST ``body`` to ``target``; return when the answer's head is here.

        A connection that the upstream closed while it was idle is replaced once: nothing of this
        request was answered, so nobody can see that it was sent twice.
        """
        kept = self._transport.take()
        with self._telling("the upstream can't be reached"):
            if kept is None:
                self._send_on(self._dial(), target, headers, body)
                return
            try:
                self._send_on(kept, target, headers, body)
            except ConnectionError:  # http.client.RemoteDisconnected is one, too
                self._drop()
                self._send_on(self._dial(), target, headers, body)

    def read(self) -> bytes:
        """What arrived next, as soon as it is here; empty at the end of the answer."""
        with self._telling("the upstream broke off the answer"):
            return self._answer.read1(_READ_BYTES)

    def allow_silence(self, seconds: float) -> None:
        """From now on give up after so many seconds without a byte."""
        if self._socket is not None:
            with self._telling("the upstream broke off the answer"):
                self._socket.settimeout(seconds)

    def abort(self) -> None:
        """Break off at once, whatever the exchange's thread is waiting for. From any thread."""
        with self._lock:
            self._aborted = True
            if self._socket is not None:
                hang_up(self._socket)

    def close(self, *, reusable: bool = False) -> None:
        """End the exchange; keep the connection if the answer was read to its end (nearly)."""
        if reusable and not self._aborted and self._at_end():
            with self._lock:
                self._socket = None
            connection, self._connection = self._connection, None
            if connection is not None:
                self._transport.keep(connection)
        self._drop()

    @property
    def _answer(self) -> HTTPResponse:
        if self._response is None:
            raise RuntimeError("nothing was sent yet: call send() first")
        return self._response

    def _dial(self) -> HTTPConnection:
        place = self._transport.place
        sock = dial(place.host, place.port, place.tls, place.connect_timeout, self._hold)
        connection = HTTPConnection(place.host, place.port, timeout=place.first_byte_timeout)
        connection.sock = sock
        return connection

    def _send_on(
        self, connection: HTTPConnection, target: str, headers: Mapping[str, str], body: bytes
    ) -> None:
        self._connection = connection
        self._hold(connection.sock)
        connection.timeout = self._transport.place.first_byte_timeout
        connection.sock.settimeout(connection.timeout)
        # An upstream may answer (413) and close before it read the whole body.
        with contextlib.suppress(BrokenPipeError):
            connection.request("POST", target, body, headers, preload_content=False)
        self._response = connection.getresponse()

    def _hold(self, sock: socket.socket) -> None:
        with self._lock:
            self._socket = sock
            if self._aborted:
                raise Cancelled("the request was cancelled")

    def _at_end(self) -> bool:
        """Read what is left, if it is little and comes soon; tell whether that was all."""
        if self._response is None or self._socket is None:
            return False
        left = _TAIL_BYTES
        try:
            self._socket.settimeout(_TAIL_SECONDS)
            while left > 0:
                data = self._response.read1(_TAIL_BYTES)
                if not data:
                    return True
                left -= len(data)
        except (HTTPError, OSError):
            pass  # then it is not reusable, which is all that was asked
        return False

    def _drop(self) -> None:
        with self._lock:
            self._socket = None
        if self._response is not None:
            self._response.close()
            self._response = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextlib.contextmanager
    def _telling(self, what: str) -> Generator[None]:
        """Turn every failure of the wire into the error that the client is told."""
        try:
            yield
        except (OSError, HTTPError, http.client.HTTPException) as error:
            if self._aborted:
                raise Cancelled("the request was cancelled") from error
            if isinstance(error, (TimeoutError, ReadTimeoutError)):
                raise EngineTimeout("the upstream did not answer in time") from error
            raise EngineUnavailable(what) from error


def _close_all(connections: list[HTTPConnection]) -> None:
    for connection in connections:
        connection.close()
