"""Open a connection on the event loop: look up the name, connect, shake hands over TLS."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from actors.engines.upstream.names import Address, Names, literal
from actors.engines.upstream.reach import Reach
from actors.eventloop import READ, WRITE, EventLoop, FdHandle
from actors.eventloop.poller import closed, opened

__all__ = ["Dial", "Place", "Wrapper", "is_local_shortage"]

_UNDER_WAY: Final = frozenset({0, errno.EINPROGRESS, errno.EAGAIN})
# What this process, or this machine, ran out of: descriptors, buffers, memory, threads, watches.
_SHORTAGES: Final = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN, errno.ENOSPC}
)
# A resolver that could not open its own socket or file, or had no memory.
_NAME_SHORTAGES: Final = frozenset({socket.EAI_SYSTEM, socket.EAI_MEMORY})

Opened = Callable[[socket.socket], object]
Failed = Callable[[OSError], object]


class Wrapper(Protocol):
    """Puts TLS around a socket: an ``ssl.SSLContext``, or whoever has the one that is valid now."""

    def wrap_socket(
        self,
        sock: socket.socket,
        *,
        do_handshake_on_connect: bool,
        suppress_ragged_eofs: bool,
        server_hostname: str | None,
    ) -> ssl.SSLSocket:
        """See ``ssl.SSLContext``."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where an upstream listens; ``tls`` is ``None`` for plain TCP, ``reach`` for anywhere."""

    host: str
    port: int
    tls: Wrapper | None
    reach: Reach | None = None


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
        self._watch: FdHandle | None = None
        self._shaking_hands = False
        self._closed = False
        self._error: OSError = OSError(f"{place.host} has no address")
        self._left: list[Address] = []
        self._timer = loop.call_later(seconds, self._too_late)
        self._look_up(names)

    def __repr__(self) -> str:
        return f"<Dial {self._place.host}:{self._place.port}>"

    def close(self) -> None:
        """Give up; nobody is called. Idempotent."""
        self._closed = True
        self._timer.cancel()
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
        known: list[Address] | OSError | None
        try:
            known = literal(place.host, place.port) or names.known(place.host, place.port)
        except (OSError, ValueError) as error:
            known = _as_os_error(error)
        if known:
            self._loop.call(partial(self._found, known))
        else:
            names.find(place.host, place.port, self._seconds, self._tell)

    def _tell(self, found: list[Address] | OSError) -> None:
        self._loop.call(partial(self._found, found))

    def _found(self, found: list[Address] | OSError) -> None:
        if self._closed:
            return
        try:
            if isinstance(found, OSError):
                raise found
            reach = self._place.reach
            self._left = [*reversed(found if reach is None else reach.permitted(found))]
        except OSError as error:
            self._give_up(error)
        else:
            self._next()

    def _next(self) -> None:
        """Try the next address that can be tried; tell of the last failure if there is none."""
        while self._left:
            self._drop()
            if self._try(self._left.pop()):
                return
        self._drop()
        self._give_up(self._error)

    def _try(self, address: Address) -> bool:
        """Begin to connect to ``address``; False if that failed at once."""
        self._timer.cancel()
        self._timer = self._loop.call_later(self._seconds, self._too_late)
        try:
            sock = self._sock = socket.socket(address.family, socket.SOCK_STREAM)
            opened(sock.fileno())
            sock.settimeout(0)
            # A token is a small packet; Nagle's algorithm would keep it for the next one.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            code = sock.connect_ex(address.place)
            self._error = _error_of(code)
            if code not in _UNDER_WAY:
                return False
            self._shaking_hands = False
            self._watch = self._loop.watch(sock.fileno(), self, WRITE)
        except (OSError, ValueError, OverflowError) as error:
            self._error = _as_os_error(error)
            return False
        return True

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
            self._wrap(self._sock, self._place.tls)

    def _wrap(self, sock: socket.socket, tls: Wrapper) -> None:
        try:
            self._place.host.encode("idna")  # wrapping fails for it too, but loses the descriptor
            # NOTE: wrapping detaches the old socket object; the descriptor and its watch stay.
            self._sock = tls.wrap_socket(
                sock,
                server_hostname=self._place.host,
                do_handshake_on_connect=False,
                suppress_ragged_eofs=False,
            )
        except (OSError, ValueError) as error:  # as for a host that can be no name of a certificate
            self._error = _as_os_error(error)
            self._next()
            return
        self._shaking_hands = True
        self._shake_hands()

    def _shake_hands(self) -> None:
        sock, watch = self._sock, self._watch
        if not isinstance(sock, ssl.SSLSocket) or watch is None:
            return
        try:
            sock.do_handshake()
        except ssl.SSLWantReadError:
            watch.set_interest(READ)
        except ssl.SSLWantWriteError:
            watch.set_interest(WRITE)
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
            closed(self._sock.fileno())
            self._sock.close()
            self._sock = None


def is_local_shortage(error: OSError) -> bool:
    """Whether this machine, and not the upstream, is why there is no connection."""
    if isinstance(error, socket.gaierror):
        return error.errno in _NAME_SHORTAGES
    return error.errno in _SHORTAGES


def _error_of(code: int) -> OSError:
    return OSError(code, os.strerror(code))


def _as_os_error(error: Exception) -> OSError:
    return error if isinstance(error, OSError) else OSError(errno.EINVAL, str(error))
