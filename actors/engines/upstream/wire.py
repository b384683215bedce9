"""One connected socket on the event loop: partial sends, reads as they come, pauses, its end."""

from __future__ import annotations

import socket
import ssl
from typing import Final, Protocol

from actors.eventloop import READ, WRITE, EventLoop, Watch
from actors.eventloop.outgoing import closed

__all__ = ["Wire", "WireOwner"]

# Bytes taken from a socket at once: several hundred tokens. Fewer from one whose bytes take long to
# deal with, so that no connection has the loop for itself: its share is so many seconds at a time.
_READ_BYTES: Final = 65_536
_FIRST_BYTES: Final = 16_384
_FEWEST_BYTES: Final = 4_096
_SHARE: Final = 0.002

_NOT_NOW: Final = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class WireOwner(Protocol):
    """Who is told of a wire's bytes and of its end; on the loop's thread."""

    def received(self, data: bytes) -> None:
        """``data`` arrived."""
        ...

    def lost(self, error: BaseException | None) -> None:
        """The wire is closed: the peer ended it (``None``), or it broke. Told once, if at all."""
        ...


class Wire:
    """Sends and receives on ``sock`` (connected, non-blocking, TLS or not) until it is closed.

    Belongs to the loop's thread. After :meth:`close` its owner hears nothing more.
    """

    __slots__ = ("_loop", "_owner", "_portion", "_sock", "_tls", "_unsent", "_watch", "broken")

    def __init__(self, loop: EventLoop, sock: socket.socket, owner: WireOwner) -> None:
        self._loop = loop
        self._owner = owner
        self._sock: socket.socket | None = sock
        self._tls: ssl.SSLSocket | None = sock if isinstance(sock, ssl.SSLSocket) else None
        self._unsent = memoryview(b"")
        self._portion = _FIRST_BYTES
        self.broken = False
        """Whether the peer stopped to listen; it may have answered all the same."""
        self._watch: Watch | None = loop.watch(sock.fileno(), self, READ)

    @property
    def idle(self) -> bool:
        """Whether all that was to be sent was sent."""
        return not self._unsent and not self.broken

    def send(self, data: bytes) -> None:
        """Send ``data``, now or as soon as the peer takes it."""
        if self._unsent:
            data = bytes(self._unsent) + data
        self._unsent = memoryview(data)
        self._send()

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
            self._watch = self._loop.watch(self._sock.fileno(), self, self._interest())
            if self._tls is not None:
                self._loop.call(self._read_pending)

    def close(self) -> None:
        """End the connection now. Idempotent."""
        self.pause()
        sock, self._sock, self._tls = self._sock, None, None
        if sock is not None:
            closed(sock.fileno())
            sock.close()

    # What the loop calls.

    def ready(self, events: int) -> None:
        """The socket can be read or written."""
        if events & WRITE:
            self._send()
        if events & ~WRITE and self._sock is not None:
            self._read()

    def failed(self, error: BaseException) -> None:
        """The loop ended, or whoever was told of the bytes failed."""
        self._watch = None
        self._end(error)

    def _interest(self) -> int:
        return READ | WRITE if self._unsent else READ

    def _send(self) -> None:
        sock = self._sock
        if sock is None or not self._unsent:
            return
        try:
            sent = sock.send(self._unsent)
        except _NOT_NOW:
            sent = 0
        except OSError:
            # An upstream may answer (413) and close before it read the whole body: what it said,
            # or that it said nothing, is found by reading.
            self.broken = True
            sent = len(self._unsent)
        self._unsent = self._unsent[sent:]
        if self._watch is not None:
            self._watch.want(self._interest())

    def _read(self) -> None:
        sock = self._sock
        if sock is None:
            return
        try:
            data = sock.recv(self._portion)
        except _NOT_NOW:
            return
        except OSError as error:
            self._end(error)
            return
        if not data:
            self._end(None)
            return
        if len(data) < _FEWEST_BYTES:
            self._owner.received(data)
        else:
            self._received_much(data)
        if self._tls is not None:
            self._read_pending()

    def _received_much(self, data: bytes) -> None:
        """Pass ``data`` on, and take as much again, or less, by how long that took."""
        began = self._loop.clock()
        self._owner.received(data)
        if self._loop.clock() - began > _SHARE:
            self._portion = max(self._portion // 2, _FEWEST_BYTES)
        elif self._portion < _READ_BYTES:
            self._portion *= 2

    def _read_pending(self) -> None:
        """Read what TLS has decrypted already: the kernel does not tell of it."""
        if self._watch is not None and self._tls is not None and self._tls.pending():
            self._read()

    def _end(self, error: BaseException | None) -> None:
        if self._sock is not None:
            self.close()
            self._owner.lost(error)
