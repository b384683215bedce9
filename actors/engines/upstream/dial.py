"""Open a connection on the event loop: look up the name, connect, shake hands over TLS."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from actors.engines.upstream.names import Address, Names, literal
from actors.eventloop import READ, WRITE, Deadline, EventLoop, Watch

__all__ = ["Dial", "Place"]

_UNDER_WAY: Final = frozenset({0, errno.EINPROGRESS, errno.EAGAIN})

Opened = Callable[[socket.socket], object]
Failed = Callable[[OSError], object]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an upstream listens; ``tls`` is ``None`` for plain TCP."""

    host: str
    port: int
    tls: ssl.SSLContext | None


class Dial:
    """One attempt to reach ``place``, at each of its addresses in turn; loop's thread only.

    Calls ``opened(socket)`` (non-blocking, TLS included) or ``failed(error)``, exactly once and
    unless :meth:`close` came first; never from within the constructor. ``seconds`` bound the
    look-up, and then each address; beyond them the error is a ``TimeoutError``.
    """

    def __init__(
        self,
        loop: EventLoop,
        names: Names,
        place: Place,
        seconds: float,
        opened: Opened,
        failed: Failed,
    ) -> None:
        self._loop = loop
        self._place = place
        self._seconds = seconds
        self._opened = opened
        self._failed = failed
        self._sock: socket.socket | None = None
        self._watch: Watch | None = None
        self._shaking_hands = False
        self._closed = False
        self._error: OSError = OSError(f"{place.host} has no address")
        self._left: list[Address] = []
        self._deadline: Deadline = loop.deadline(seconds, self._too_late)
        self._look_up(names)

    def __repr__(self) -> str:
        return f"<Dial {self._place.host}:{self._place.port}>"

    def close(self) -> None:
        """Give up; nobody is called. Idempotent."""
        self._closed = True
        self._deadline.cancel()
        self._drop()

    # What the loop calls.

    def ready(self, events: int) -> None:
        """The connection, or the handshake, went on."""
        del events
        if self._shaking_hands:
            self._shake_hands()
        else:
            self._connected()

    def failed(self, error: BaseException) -> None:
        """The loop ended, or this class is wrong."""
        self._watch = None
        self._give_up(OSError(str(error)))

    def _look_up(self, names: Names) -> None:
        place = self._place
        known = literal(place.host, place.port) or names.known(place.host, place.port)
        if known:
            self._loop.call(partial(self._found, known))
        else:
            loop = self._loop
            names.find(place.host, place.port, lambda found: loop.call(partial(self._found, found)))

    def _found(self, found: list[Address] | OSError) -> None:
        if self._closed:
            return
        if isinstance(found, OSError):
            self._give_up(found)
        else:
            self._left = [*reversed(found)]
            self._next()

    def _next(self) -> None:
        """Try the next address; tell of the last failure if there is none."""
        self._drop()
        if not self._left:
            self._give_up(self._error)
            return
        address = self._left.pop()
        self._deadline.extend(self._seconds)
        try:
            sock = self._sock = socket.socket(address.family, socket.SOCK_STREAM)
            sock.settimeout(0)
            # A token is a small packet; Nagle's algorithm would keep it for the next one.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            code = sock.connect_ex(address.place)
        except OSError as error:
            code, self._error = error.errno or errno.EIO, error
        else:
            self._error = _error_of(code)
        if code in _UNDER_WAY and self._sock is not None:
            self._shaking_hands = False
            self._watch = self._loop.watch(self._sock.fileno(), self, WRITE)
        else:
            self._next()  # as deep as a name has addresses

    def _connected(self) -> None:
        if self._sock is None or self._watch is None:
            return
        code = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._error = _error_of(code)
            self._next()
        elif self._place.tls is None:
            self._hand_over(self._sock)
        else:
            # NOTE: wrapping detaches the old socket object; the descriptor and its watch stay.
            self._sock = self._place.tls.wrap_socket(
                self._sock,
                server_hostname=self._place.host,
                do_handshake_on_connect=False,
                suppress_ragged_eofs=False,
            )
            self._shaking_hands = True
            self._shake_hands()

    def _shake_hands(self) -> None:
        sock, watch = self._sock, self._watch
        if not isinstance(sock, ssl.SSLSocket) or watch is None:
            return
        try:
            sock.do_handshake()
        except ssl.SSLWantReadError:
            watch.want(READ)
        except ssl.SSLWantWriteError:
            watch.want(WRITE)
        except OSError as error:
            self._error = error
            self._next()
        else:
            self._hand_over(sock)

    def _hand_over(self, sock: socket.socket) -> None:
        self._sock = None
        if self._watch is not None:
            self._watch.close()
        self.close()
        self._opened(sock)

    def _too_late(self) -> None:
        self._error = TimeoutError("no connection in time")
        if self._left:
            self._deadline = self._loop.deadline(self._seconds, self._too_late)
            self._next()
        else:
            self._give_up(self._error)

    def _give_up(self, error: OSError) -> None:
        if not self._closed:
            self.close()
            self._failed(error)

    def _drop(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        if self._sock is not None:
            self._sock.close()
            self._sock = None


def _error_of(code: int) -> OSError:
    return OSError(code, os.strerror(code))
