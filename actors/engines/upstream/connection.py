"""One connection to an upstream: the socket on the event loop, and the reader of its responses.

The grammar of HTTP/1.1 is llhttp's (node's parser, through httptools, a C library), which refuses
what is ambiguous: a bare LF, two lengths, a length beside a transfer encoding, data after the last
response. What it leaves open is decided here: how long a head may be, that 1xx heads are skipped,
that a response without a length ends with its connection, and whether the connection may be used
again.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Protocol

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from actors.eventloop import READ, WRITE, EventLoop, FdHandle
from actors.eventloop.poller import closed

__all__ = ["NO_HEADERS", "BadResponse", "Connection", "ResponseReader", "User"]

# Bytes of a head, those of skipped 1xx heads included; real ones have a few hundred.
_MAX_HEAD: Final = 65_536

# Bytes of a body's framing (sizes of chunks, their extensions, trailers) that may come without a
# byte of the body; and how many each byte of it allows for: the smallest chunk has five.
_MAX_FRAMING: Final = 65_536
_FRAMING_PER_BYTE: Final = 16
_EARNED: Final = 1 + _FRAMING_PER_BYTE

_NO_BODY: Final = frozenset({204, 304})

# PERF: so that the names of a head are read without a step of ours for each.
_LOWER: Final = bytes.lower

# Bytes taken from a socket at once: several hundred tokens. Fewer from one whose bytes take long to
# deal with, so that no connection has the loop for itself: its share is so many seconds at a time.
_READ_BYTES: Final = 65_536
_FIRST_BYTES: Final = 16_384
_FEWEST_BYTES: Final = 4_096
_SHARE: Final = 0.002

# What may follow the end of a stream before its connection is kept: the last chunk's trailer.
_TAIL_BYTES: Final = 4_096
_TAIL_SECONDS: Final = 0.2

_NOT_NOW: Final = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

_ONE_HEAD: Final = (None,)

NO_HEADERS: Final[Mapping[bytes, bytes]] = MappingProxyType({})


class BadResponse(Exception):
    """What arrived is no HTTP/1.1 response, or one that consists of framing."""


class ResponseReader:
    """The responses of one connection, one after the other; :meth:`begin` before each next one.

    Pure. ``status`` and ``headers`` (names in lower case) are valid once ``has_head`` is set.
    """

    __slots__ = (
        "_allowance", "_fields", "_head_bytes", "_heads", "_parser", "_pieces", "_until_close",
        "complete", "error", "has_head", "headers", "on_body", "on_header", "on_message_begin",
        "reusable", "status",
    )  # fmt: skip

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._fields: dict[bytes, bytes] = {}
        self._heads: list[None] = []
        """The heads that may begin: one, or none. A response that was not asked for makes the
        parser stop, with an ``IndexError``."""
        # PERF: the parser calls these three in C; it looks them up once, when it is made. Trailers
        # end up among the fields too, and are forgotten with them.
        self.on_message_begin: Callable[[], object] = self._heads.pop
        self.on_body: Callable[[bytes], object] = self._pieces.append
        self.on_header: Callable[[bytes, bytes], object] = self._fields.__setitem__
        self._parser = HttpResponseParser(self)
        self.status = 0
        self.reusable = False
        """Whether the connection may be used again; meaningful once ``complete``."""
        self.error: BadResponse | None = None
        """Why what arrived last can't be read: feed nothing more."""
        self._until_close = False
        self.headers: Mapping[bytes, bytes] = NO_HEADERS
        self.begin()

    def begin(self) -> None:
        """Expect the next response; there was no :attr:`error`.

        What is not reset here is meaningful only after it was set again.
        """
        self.has_head = False
        self.complete = False
        """Whether the whole response was read."""
        self._head_bytes = 0
        self._allowance = _MAX_FRAMING
        self._fields.clear()
        self._heads[:] = _ONE_HEAD

    def feed(self, data: bytes) -> bytes:
        """Read ``data``; what it held of the body. Never raises: see :attr:`error`."""
        in_body = self.has_head
        if self._allowance < 0:
            self.error = BadResponse("the response's body consists of framing")
            return b""
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._refuse(error)
        pieces = self._pieces
        if len(pieces) == 1:
            body = pieces.pop()
        else:
            body = b"".join(pieces)
            pieces.clear()
        if not in_body:
            if not self.has_head:
                self._count_head(len(data))
        # PERF: nothing changes while a body is mostly a body, as most are.
        elif len(data) > _EARNED * len(body) or self._allowance < _MAX_FRAMING:
            self._count_framing(len(data), len(body))
        return body

    def _count_head(self, size: int) -> None:
        """Bound the head, of which ``size`` bytes more came, and not its end."""
        self._head_bytes += size
        if self._head_bytes > _MAX_HEAD and self.error is None:
            self.error = BadResponse(f"the response's head is longer than {_MAX_HEAD} bytes")

    def _count_framing(self, size: int, body: int) -> None:
        """Bound the framing: ``body`` bytes of the ``size`` that came were the body's."""
        self._allowance = min(self._allowance - size + _EARNED * body, _MAX_FRAMING)

    def end(self) -> None:
        """The bytes ended; that completes a response without a length."""
        if self.has_head and self._until_close and self.error is None:
            self.complete = True
        self.reusable = False

    def _refuse(self, error: Exception) -> None:
        """What follows a complete response spoils the connection, not the response."""
        self.reusable = False
        if not self.complete:
            self.error = BadResponse("the response is no HTTP/1.1")
            self.error.__cause__ = error

    # What the parser calls, from within feed().

    def on_headers_complete(self) -> None:
        """The head is read; that of a 1xx is skipped."""
        status = self._parser.get_status_code()
        fields = self._fields
        if status < 200:
            fields.clear()
            self._heads[:] = _ONE_HEAD
            return
        headers = dict(zip(map(_LOWER, fields), fields.values(), strict=True))
        # PERF: a response with a length, as most have, is asked no more questions.
        self._until_close = (
            b"content-length" not in headers
            and status not in _NO_BODY
            and not _is_chunked(headers.get(b"transfer-encoding", b""))
        )
        self.status = status
        self.headers = headers
        self.has_head = True

    def on_message_complete(self) -> None:
        """The response's last byte was read (or that of a 1xx head)."""
        if self.has_head:
            self.complete = True
            self.reusable = self._parser.should_keep_alive()


def _is_chunked(codings: bytes) -> bool:
    """Whether the last of the transfer ``codings`` says where the body ends."""
    return codings.rpartition(b",")[2].strip().lower() == b"chunked"


class User(Protocol):
    """Who is given what a connection reads, and told of its end; on the loop's thread."""

    def received(self, connection: Connection, body: bytes) -> None:
        """Something arrived: ``body`` of the response's body, the rest is in the reader's state."""
        ...

    def lost(self, connection: Connection, error: BaseException | None) -> None:
        """It is closed: the peer ended it (``None``), or it broke. Told once, if at all."""
        ...


class Pool(Protocol):
    """Who keeps connections; see ``connection_pool``."""

    def give_back(self, connection: Connection) -> None:
        """It is not used any more."""
        ...

    def forget(self, connection: Connection) -> None:
        """It is closed."""
        ...


class Connection(ResponseReader):
    """Sends and receives on ``sock`` (connected, non-blocking, TLS or not) until it is closed.

    Belongs to the loop's thread. It is used by one at a time; after :meth:`close` its user hears
    nothing more. What comes while nobody uses it ends it, unless it is the :meth:`tail`.
    """

    __slots__ = (
        "_loop", "_pool", "_portion", "_sock", "_tail", "_tls", "_watch",
        "broken", "due", "expires", "idle_since", "unsent", "used", "user",
    )  # fmt: skip

    def __init__(self, loop: EventLoop, pool: Pool, sock: socket.socket, expires: float) -> None:
        super().__init__()
        self._loop = loop
        self._pool = pool
        self.user: User | None = None
        self.expires = expires
        """When it is too old to be kept."""
        self.used = False
        """Whether it was kept after an earlier call: it may be stale."""
        self.idle_since = self.due = 0.0
        self._tail = 0
        self._sock: socket.socket | None = sock
        self._tls: ssl.SSLSocket | None = sock if isinstance(sock, ssl.SSLSocket) else None
        self.unsent = memoryview(b"")
        """What the peer did not take yet."""
        self._portion = _FIRST_BYTES
        self.broken = False
        """Whether the peer stopped to listen; it may have answered all the same."""
        self._watch: FdHandle | None = loop.watch(sock.fileno(), self, READ)

    def send(self, data: bytes) -> None:
        """Send ``data``, a whole request, now or as soon as the peer takes it."""
        if self._sock is None:
            return
        try:
            sent = self._sock.send(data)
        except _NOT_NOW:
            sent = 0
        except OSError:
            # An upstream may answer (413) and close before it read the whole body: what it said,
            # or that it said nothing, is found by reading.
            self.broken = True
            return
        if sent < len(data):
            self.unsent = memoryview(data)[sent:]
            if self._watch is not None:
                self._watch.set_interest(READ | WRITE)

    @property
    def is_sound(self) -> bool:
        """Whether everything was sent, and what came could be read."""
        return not (self.unsent or self.broken or self.error is not None)

    def pause(self) -> None:
        """Read no more until :meth:`resume`; what arrives waits in the kernel.

        NOTE: the watch goes too: a peer that left would be told of again and again.
        """
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def resume(self) -> None:
        """Read again."""
        if self._sock is not None and self._watch is None:
            interest = READ | WRITE if self.unsent else READ
            self._watch = self._loop.watch(self._sock.fileno(), self, interest)
            if self._tls is not None:
                self._loop.call(self._read_pending)

    def tail(self) -> None:
        """Read what little follows a stream's end marker, then be given back once more."""
        self.user = None
        self._tail = _TAIL_BYTES
        self.due = self._loop.clock() + _TAIL_SECONDS
        self._loop.start_timeout(self)

    def timed_out(self) -> None:
        """The tail does not end."""
        self.close()

    def close(self) -> None:
        """End the connection now. Idempotent."""
        self.user = None
        self.pause()
        sock, self._sock, self._tls = self._sock, None, None
        if sock is not None:
            closed(sock.fileno())
            sock.close()
            self._loop.timeouts.discard(self)
            self._pool.forget(self)
            del self._parser  # it refers back to this reader, which reads nothing more

    # What the loop calls.

    def ready(self, events: int) -> None:
        """The socket can be read or written."""
        if events & WRITE:
            self._send_rest()
            if events == WRITE:
                return
        sock = self._sock
        if sock is None:
            return
        try:
            data = sock.recv(self._portion)
        except _NOT_NOW:
            return
        except OSError as error:
            self._lose(error)
            return
        if not data:
            self._lose(None)
            return
        user = self.user
        if user is None:
            self._unasked(data)
        elif len(data) < _FEWEST_BYTES:
            user.received(self, self.feed(data))
        else:
            self._received_much(user, data)
        if self._tls is not None:
            self._read_pending()

    def failed(self, error: BaseException) -> None:
        """The loop ended, or the user failed."""
        self._watch = None
        self._lose(error)

    def _send_rest(self) -> None:
        if self._sock is None or not self.unsent:
            return
        try:
            sent = self._sock.send(self.unsent)
        except _NOT_NOW:
            sent = 0
        except OSError:  # see send()
            self.broken = True
            sent = len(self.unsent)
        self.unsent = self.unsent[sent:]
        if not self.unsent:
            self.unsent = memoryview(b"")  # let go of the request
            if self._watch is not None:
                self._watch.set_interest(READ)

    def _received_much(self, user: User, data: bytes) -> None:
        """Pass ``data`` on, and take as much again, or less, by how long that took."""
        began = self._loop.clock()
        user.received(self, self.feed(data))
        if self._loop.clock() - began > _SHARE:
            self._portion = max(self._portion // 2, _FEWEST_BYTES)
        elif self._portion < _READ_BYTES:
            self._portion *= 2

    def _unasked(self, data: bytes) -> None:
        """Go on to the end of the response of which this is the tail, unless it is far."""
        if not self._tail:  # nobody asked
            self.close()
            return
        self._tail = max(self._tail - len(data), 0)
        self.feed(data)
        if self.complete:
            self._tail = 0
            self._loop.timeouts.discard(self)
            self._pool.give_back(self)
        elif not self._tail or self.error is not None:
            self.close()

    def _read_pending(self) -> None:
        """Read what TLS has decrypted already: the kernel does not tell of it."""
        if self._watch is not None and self._tls is not None and self._tls.pending():
            self.ready(READ)

    def _lose(self, error: BaseException | None) -> None:
        if self._sock is None:
            return
        user = self.user
        self.close()
        if error is None:  # a reset, or TLS without its goodbye, is no end of a response
            self.end()
        if user is not None:
            user.lost(self, error)
