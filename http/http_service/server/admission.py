"""How many connections are let in: altogether, and from one address.

What is beyond is answered, 503 with ``Retry-After``, and closed: a client that waits in a queue
without a word can't tell us from a dead host, while one that is told so tries the next one. Beyond
the total a few places are left in which only probes are answered: else a busy service looks dead.
"""

from __future__ import annotations

import contextlib
import socket
from ipaddress import IPv6Address
from typing import Final

from actors.eventloop import asks_others
from http_service.errors import reply_for_status

__all__ = ["FULL", "PROBES", "PROBE_RESERVE", "ConnectionCap", "network_of", "refuse", "turn_away"]

FULL: Final = "Too many connections are open here. Please retry shortly."

PROBES: Final = frozenset(("/live", "/ready"))
"""What is answered on a connection beyond the total."""

PROBE_RESERVE: Final = 32
"""Connections beyond the total at once; one more takes the place of the oldest."""

IPV6_HOST_BITS: Final = 64
"""One customer gets a /64 or more: each address of it on its own would be no limit."""


class ConnectionCap:
    """Counts open connections; at most ``total``, and ``per_address`` from one address.

    At most ``relaying`` of them in a process that asks other servers, whose connections take as
    many descriptors again. ``per_address`` of 0 means no such limit. That is the default of the
    service, because behind a proxy or a load balancer every connection comes from its address. One
    thread, the loop's.
    """

    def __init__(self, total: int, per_address: int = 0, *, relaying: int | None = None) -> None:
        self._total = total
        self._relaying = total if relaying is None else relaying
        self._per_address = per_address
        self._counts: dict[str, int] = {}
        self.open = 0
        self.refused = 0

    @property
    def full(self) -> bool:
        """Whether as many are open as may be."""
        return self.open >= (self._relaying if asks_others() else self._total)

    def admit(self, address: str) -> bool:
        """Whether one more connection from ``address`` may stay; if so, it counts as open."""
        if self.full:
            self.refused += 1
            return False
        if self._per_address:
            network = network_of(address)
            count = self._counts.get(network, 0)
            if count >= self._per_address:
                self.refused += 1
                return False
            self._counts[network] = count + 1
        self.open += 1
        return True

    def release(self, address: str) -> None:
        """A connection that was admitted is closed. Call once for each."""
        self.open -= 1
        if not self._per_address:
            return
        network = network_of(address)
        count = self._counts[network] - 1
        if count:
            self._counts[network] = count
        else:
            del self._counts[network]  # else every address ever seen would stay in memory


def network_of(address: str) -> str:
    """What counts as one client: an IPv4 address, or the /64 of an IPv6 address; pure."""
    if ":" not in address:
        return address
    try:
        parsed = IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return f"{IPv6Address(int(parsed) >> IPV6_HOST_BITS << IPV6_HOST_BITS)}/{IPV6_HOST_BITS}"


def turn_away(connection: socket.socket) -> None:
    """Answer 503 on a connection that was not admitted, and close it. Never blocks or raises."""
    refuse(connection)
    connection.close()


def refuse(connection: socket.socket) -> None:
    """As :func:`turn_away`, but leave the closing to the caller."""
    with contextlib.suppress(OSError):  # whoever left already needs no answer
        connection.setblocking(False)  # noqa: FBT003  # the socket module's signature
        connection.send(_ANSWER)
        connection.shutdown(socket.SHUT_WR)


def _answer() -> bytes:
    reply = reply_for_status(503, FULL)
    body = reply.body()
    head = (
        f"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
        f"Content-Type: application/json\r\nRetry-After: {reply.retry_after}\r\n"
        "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\r\n"
    )
    return head.encode("ascii") + body


_ANSWER: Final = _answer()
