"""One reader of the stream: writes server-sent events to its connection, one payload at a time.

While a payload is not sent, none is made for it: a slow reader gets the newest later, and what it
holds here is bounded by one payload.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from actors.eventloop import EventLoop
from http_service.connection import Connection
from http_service.errors import ClientGone
from http_service.streaming.exchange import response_head

__all__ = ["Cursor", "StreamReader"]

END: Final = b"0\r\n\r\n"
"""What ends a chunked body (RFC 9112, 7.1)."""


class Cursor:
    """Up to where one reader was told; the feed's alone."""

    __slots__ = ("events", "requests", "told_at", "versions")

    def __init__(self, events: int, requests: int) -> None:
        self.events = events
        self.requests = requests
        self.versions: dict[str, int] = {}
        """The version of each snapshot that it has."""
        self.told_at = 0.0
        """When something was sent last, on the monotonic clock."""


class StreamReader:
    """A ``ResponseWriter`` that lives until its client leaves. On the loop's thread, but ``free``.

    ``topics`` are what it asked for; ``feed`` hears when it joins and leaves, and ``log()`` is
    called when it has left.
    """

    def __init__(
        self,
        connection: Connection,
        topics: Collection[str],
        cursor: Cursor,
        feed: ReaderSet,
        log: Callable[[], object],
    ) -> None:
        self._log: Final = log
        self.topics: Final = frozenset(topics)
        self.cursor: Final = cursor
        self.free = False
        """Whether all that was written is sent: the feed may make something new. Any thread."""
        self._connection: Connection | None = connection
        self._loop: Final[EventLoop] = connection.loop
        self._feed: Final = feed
        self._chunked = True

    def write_soon(self, payload: bytes) -> None:
        """Have ``payload``, which is whole events, written. Any thread; only while ``free``."""
        self.free = False
        self._loop.call(lambda: self._write(payload))

    def end_soon(self) -> None:
        """Have the response ended. Any thread."""
        self._loop.call(self._end)

    # The connection's side: see ``ResponseWriter``.

    def begin(self, version: str, headers: list[tuple[str, str]], *, close: bool) -> None:
        """Write the head; from now on the feed may write."""
        del close
        connection = self._connection
        if connection is None:
            return
        self._chunked = version == "1.1"
        if self._chunked:
            headers.append(("transfer-encoding", "chunked"))
        else:
            headers.append(("connection", "close"))
        try:
            connection.send_now(response_head(version, "200 OK", headers))
        except ClientGone:
            self.client_left()
            return
        self.free = True
        self._feed.joined()

    def client_left(self) -> None:
        """The connection is gone."""
        if self._connection is not None:
            self._connection = None
            self._left()

    def _left(self) -> None:
        self._feed.left(self)
        self._log()

    def sent(self, unsent: int) -> None:
        """The socket took some of what was kept."""
        self.free = not unsent and self._connection is not None

    def _write(self, payload: bytes) -> None:
        connection = self._connection
        if connection is None:
            return
        data = b"%x\r\n%b\r\n" % (len(payload), payload) if self._chunked else payload
        try:
            self.free = not connection.send_now(data)
        except ClientGone:
            connection.drop()
            self.client_left()

    def _end(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        self._left()
        if not self.free:
            connection.drop()
            return
        try:
            if self._chunked:
                connection.send_now(END)
        except ClientGone:
            connection.drop()
            return
        connection.resume(close=True)


class ReaderSet:
    """Who reads; any thread."""

    def joined(self) -> None:
        """A reader may be written to from now on."""
        raise NotImplementedError

    def left(self, reader: StreamReader) -> None:
        """It reads no more."""
        raise NotImplementedError
