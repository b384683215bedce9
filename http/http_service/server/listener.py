"""The listening socket: bound once, and kept while whatever accepts from it comes and goes."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Mapping
from typing import Final

__all__ = ["BindFailed", "Listener"]

BACKLOG: Final = 2048
"""Connections that wait for us: enough for a burst while the server restarts."""


class BindFailed(Exception):
    """The service can't listen where it should; the message names the address and the cure."""


class Listener:
    """A bound, listening TCP socket with a stable address.

    A server gets a duplicate from :meth:`share`: closing that one closes nothing else, and
    until the next one comes the kernel keeps new connections waiting instead of refusing them.
    Thread-safe apart from :meth:`close`.
    """

    def __init__(self, host: str, port: int) -> None:
        """Bind and listen; port 0 lets the system pick one. Raises :class:`BindFailed`."""
        self._socket = _bound(host, port)
        name = self._socket.getsockname()
        self.host: Final[str] = name[0]
        self.port: Final[int] = name[1]

    def share(self) -> socket.socket:
        """A duplicate to accept from. Raises ``OSError`` once the listener is closed."""
        return self._socket.dup()

    def close(self) -> None:
        """Refuse connections from now on (once every share is closed too). Idempotent."""
        self._socket.close()


def _bound(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise BindFailed(
            f"the host {host!r} can't be resolved: give an address of this machine with --host"
        ) from error
    family, kind, protocol, _, address = found[0]
    listening = socket.socket(family, kind, protocol)
    try:
        # Else a restart would have to wait until the old connections' TIME_WAIT is over.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
        listening.setblocking(False)  # noqa: FBT003  # the socket module's signature
    except OSError as error:
        listening.close()
        raise BindFailed(_explained(error, host, port)) from error
    return listening


def _explained(error: OSError, host: str, port: int) -> str:
    explain = _CURES.get(error.errno or 0)
    if explain is None:
        return f"can't listen on port {port} of {host}: {error.strerror or error}"
    return explain(host, port)


_CURES: Final[Mapping[int, Callable[[str, int], str]]] = {
    errno.EADDRINUSE: lambda host, port: (
        f"port {port} on {host} is in use: choose another with --port, or stop the other process"
    ),
    errno.EACCES: lambda host, port: (
        f"port {port} on {host} needs privileges: choose one above 1023 with --port"
    ),
    errno.EADDRNOTAVAIL: lambda host, port: (
        f"{host} is not an address of this machine, so port {port} can't be opened there: "
        "choose another with --host"
    ),
}
