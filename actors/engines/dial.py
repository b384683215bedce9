"""Open a socket to an upstream so that another thread can break it off at any moment."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable

__all__ = ["Hold", "dial", "hang_up"]

Hold = Callable[[socket.socket], None]


def dial(
    host: str, port: int, tls: ssl.SSLContext | None, timeout: float, hold: Hold
) -> socket.socket:
    """A connected socket to ``host``, TLS included where a context is given.

    ``hold(socket)`` is called with each socket before anything on it can block, so that its owner
    may :func:`hang_up` from another thread; it raises to stop dialling. ``timeout`` is in seconds
    for each address that the name has. Raises ``OSError`` (``TimeoutError``, ``ssl.SSLError``).

    NOTE: two moments can't be interrupted: looking up the name (the system's resolver has a
    deadline of its own), and the microseconds before the first SYN; ``timeout`` bounds the latter.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failure: OSError = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in found:
        sock = socket.socket(family, kind, protocol)
        try:
            return _connect(sock, address, host, tls, timeout, hold)
        except OSError as error:
            failure = error
    raise failure


def hang_up(sock: socket.socket) -> None:
    """Wake every thread that waits on ``sock``, and tell the peer; callable from any thread.

    Not ``close()``: that wakes nobody and tells the peer nothing while a reader waits.
    """
    # Not connected yet (the shutdown wakes the connect all the same), or gone already.
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def _connect(
    sock: socket.socket,
    address: object,
    host: str,
    tls: ssl.SSLContext | None,
    timeout: float,
    hold: Hold,
) -> socket.socket:
    try:
        hold(sock)
        sock.settimeout(timeout)
        # A token is a small packet; Nagle's algorithm would keep it for the next one.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.connect(address)  # type: ignore[arg-type]  # as getaddrinfo gave it
        # A connect that was hung up on may report success (Linux has no error left to tell).
        sock.getpeername()
        if tls is None:
            return sock
        sock = tls.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
        hold(sock)
        sock.do_handshake()
        return sock
    except BaseException:
        sock.close()
        raise
