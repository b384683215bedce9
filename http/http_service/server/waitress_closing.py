"""How a connection's last bytes are sent, and how it ends.

A refused upload gets its response first; then we say that no more comes, read the rest and drop it,
and close: closing at once would have the kernel discard the response (RFC 9112, 9.6).

Written against waitress 3.0.x (pinned); the internals in use are ``HTTPChannel.{handle_close,
handle_write, cancel, send, recv, del_channel}``, its buffers, and ``_flush_some``,
``_flush_exception`` and ``_flush_outbufs_below_high_watermark``.
"""

# pyright: basic, reportArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportIncompatibleMethodOverride=false, reportIncompatibleVariableOverride=false
# pyright: reportOperatorIssue=false, reportOptionalMemberAccess=false
# The reason: see ``waitress_task``.

from __future__ import annotations

import socket
import threading
from _thread import get_ident
from functools import cached_property
from typing import Any, Final

from waitress.buffers import OverflowableBuffer
from waitress.channel import HTTPChannel

from actors.eventloop import READ, EventLoop
from http_service.connection import ResponseWriter
from http_service.server.timeouts import Progress, TimeoutReason

__all__ = ["WRITE_QUANTUM", "ClosingChannel"]

DISCARD_BYTES: Final = 64 * 1024
"""How much of a refused upload is read and dropped at a time."""

WRITE_QUANTUM: Final = 64 * 1024
"""Bytes sent to one client until the others have their turn: a fast reader takes a large response
as quickly as it is written, and everybody would wait for its end."""


class ClosingChannel(HTTPChannel):  # type: ignore[misc]  # waitress ships no types
    """What :class:`~http_service.server.waitress_channel.Channel` sends late, and how it closes.

    On the loop's thread, but for :meth:`send`, which a worker calls, too.
    """

    loop: EventLoop
    progress: Progress
    writer: ResponseWriter | None
    sendbuf_len: int = WRITE_QUANTUM
    lingers = False
    """Whether the client still sends what it was refused for."""
    linger_until = 0.0
    request: Any
    """What is being received."""
    requests: list[Any]
    """What is being answered, and what waits behind it."""
    _sent = 0
    _quantum_left = 0

    def ready(self, events: int) -> None:
        """Read, write, or notice that the client has left."""
        raise NotImplementedError

    @cached_property
    def outbufs(self) -> list[Any]:
        """What is unsent."""
        return [OverflowableBuffer(self.adj.outbuf_overflow)]

    @cached_property
    def outbuf_lock(self) -> threading.Condition:
        """Guards what is unsent while a worker may write; made on the loop's thread."""
        return threading.Condition()

    def send(self, data: bytes, do_close: bool = True) -> int:  # noqa: FBT001, FBT002  # Waitress'
        """Send what the socket takes; how much. Nothing more once it had its turn."""
        if self._quantum_left <= 0:
            return 0
        sent: int = super().send(data, do_close)
        self._sent += sent
        self._quantum_left -= sent
        return sent

    def handle_write(self) -> None:
        """Send what is ready; after a refusal, linger instead of closing."""
        self._quantum_left = WRITE_QUANTUM
        if self.linger_until:
            if self.will_close:
                self.handle_close()
            return
        # A request behind the last answer of a drain would have the kernel reset what was sent.
        lingers = self.lingers or self.server.draining
        if lingers and self.close_when_flushed and not self.will_close:
            self._flush_exception(self._flush_some)
            if not self.total_outbufs_len and not self.will_close and self.connected:
                self._linger()
            return
        super().handle_write()
        if self.writer is not None:
            self.writer.sent(self.total_outbufs_len)

    def _flush_outbufs_below_high_watermark(self) -> None:
        # The loop's thread is the one that flushes: it can't wait for itself.
        if self.loop.thread != get_ident():
            super()._flush_outbufs_below_high_watermark()

    def _linger(self) -> None:
        self.close_when_flushed = False
        self.linger_until = self.loop.clock() + self.server.linger
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:  # the client has left already
            self.handle_close()

    def _discard(self) -> None:
        if self.loop.clock() > self.linger_until:
            self.handle_close()
        else:
            self.recv(DISCARD_BYTES)  # closes the channel itself at the end of the upload

    def time_out(self, reason: TimeoutReason) -> None:
        """The client was too slow: answer where there is something to answer, and close."""
        if reason.status is None or self.request is None:
            self.handle_close()
            return
        with self.requests_lock:
            late, self.request = self.request, None
            late.refuse_late()
            self.requests.append(late)
        self.server.add_task(self)

    def close_if_silent(self) -> None:
        """Close, unless a request has come that was not read yet: that one is served."""
        try:
            heard = self.socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except OSError:  # nothing has come, or the client is gone
            heard = b""
        if heard:
            self.ready(READ)
        else:
            self.handle_close()

    @property
    def idle_since(self) -> float | None:
        """When its last answer was sent; ``None`` while something is received, answered or sent."""
        busy = self.requests or self.request is not None or self.total_outbufs_len
        return None if busy or self.linger_until else self.progress.idle_since

    def drop(self) -> None:
        """Close at once, whatever is unsent."""
        self.handle_close()

    def cancel(self) -> None:
        """Drop the requests and close at once: nothing is written to a channel that is gone."""
        super().cancel()
        self.handle_close()

    def handle_close(self) -> None:
        """Close the connection; an answer on its way is told."""
        super().handle_close()
        writer, self.writer = self.writer, None
        if writer is not None:
            writer.client_left()

    def del_channel(self, map: Any = None) -> None:  # noqa: A002  # waitress' name
        """The connection is gone: there is room for another."""
        first = self._fileno is not None  # a connection that was being answered is closed twice
        super().del_channel(map)
        if first:
            for request in (*self.requests, self.request):
                if request is not None:
                    request.release()
            self.server.channel_closed(self)

    def failed(self, error: BaseException) -> None:
        """A handler raised ``error``: this connection is lost, no other."""
        del error
        self.handle_close()

    def _end(self, *, close: bool) -> None:
        """What Waitress does at the end of a request."""
        with self.requests_lock:
            ended = [*self.requests] if close else self.requests[:1]
            del self.requests[: len(ended)]
            for request in ended:
                request.close()
            if close:
                self.close_when_flushed = True
            elif self.requests:
                self.server.add_task(self)
            elif self.request.expect_continue and not self.sent_continue:
                self.send_continue()
