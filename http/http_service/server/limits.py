"""What clients may cost: connections, bodies, and every limit that Waitress is run with.

A connection beyond the limit is answered, 503 with ``Retry-After``, and closed: a client that waits
in a queue without a response can't tell us from a dead host, while one that gets a 503 tries the
next one. A few places beyond the total are left for probes: else a busy service looks dead.

Bodies have a limit altogether: each within its own limit, twenty uploads are a gigabyte. A body
that came in one piece with its head is not counted: it is no longer than one read.
"""

from __future__ import annotations

import contextlib
import resource
import socket
import threading
from collections.abc import Callable, Mapping
from ipaddress import IPv6Address
from typing import Any, Final, Protocol

from actors.eventloop import asks_others
from http_service.config import HttpServiceConfig
from http_service.errors import reply_for_status
from http_service.server.timeouts import ClientTimeouts
from http_service.streaming.exchange import UNSENT_LIMIT

__all__ = [
    "DRAIN_LINGER",
    "DRAIN_TIMEOUTS",
    "FULL",
    "LINGER_SECONDS",
    "PROBES",
    "PROBE_RESERVE",
    "PROBE_SECONDS",
    "BodyAdmission",
    "BodyHolder",
    "ConnectionCap",
    "body_budget",
    "client_timeouts",
    "connection_cap",
    "network_of",
    "reject",
    "send_rejection",
    "waitress_settings",
]  # fmt: skip

KIB: Final = 1024

HEADER_LIMIT: Final = 32 * KIB
"""Bytes of request line and headers; browsers and SDKs send below 8 KiB."""

CLEANUP_INTERVAL: Final = 5
"""Seconds between two looks for connections that have been idle, or lingering, for too long."""

RESERVED_FILES: Final = 64
"""File descriptors kept for everything that is neither a client nor an upstream: logs, etcd."""

SPARE_CONNECTIONS: Final = 64
"""Connections above our own cap before Waitress' own sets in, which would leave clients waiting
without an answer: ours has to be met first."""

LINGER_SECONDS: Final = 5.0
"""How long a refused upload is read and dropped, so that the client can read the refusal: closing
at once would make the kernel reset the connection and discard our answer (RFC 9112, 9.6)."""

DRAIN_TIMEOUTS: Final = ClientTimeouts(head=3.0, body=3.0)
"""How slow a client may be in a drain: who stalls in a request must not hold the exit."""

PROBE_SECONDS: Final = 1.0
"""What a connection beyond the limit has to ask for a probe; then it is told that there is no room.
A probe asks with its first packet."""

DRAIN_LINGER: Final = 1.0
"""As ``LINGER_SECONDS``, in a drain."""


def waitress_settings(config: HttpServiceConfig) -> dict[str, Any]:
    """Waitress' adjustments for ``config``."""
    return {
        "threads": config.threads,
        "connection_limit": _connections(config) + SPARE_CONNECTIONS,
        "channel_timeout": config.idle_timeout,
        "cleanup_interval": CLEANUP_INTERVAL,
        "max_request_header_size": HEADER_LIMIT,
        # Waitress refuses what *reaches* its limit; ours is the largest size that is accepted.
        "max_request_body_size": config.body_limit + 1,
        # SECURITY: never a temporary file: many large uploads must not fill a disk.
        "inbuf_overflow": 2 * config.body_limit + 1,
        "outbuf_high_watermark": UNSENT_LIMIT,
        "outbuf_overflow": 64 * UNSENT_LIMIT,
        # select() can't see a file descriptor from 1024 on.
        "asyncore_use_poll": True,
        # No look-ahead: the poller reports that a client left without reading on, and what was not
        # read can't be half a request when the connection closes.
        "channel_request_lookahead": 0,
        # SECURITY: no product name, no tracebacks, no trust in forwarded headers.
        "ident": None,
        "expose_tracebacks": False,
        "clear_untrusted_proxy_headers": True,
        "log_socket_errors": False,
    }


def connection_cap(config: HttpServiceConfig) -> ConnectionCap:
    """What counts the connections, and says which is one too many."""
    # Half of the descriptors: each request may need a connection to another server, too.
    relaying = min(
        config.connection_limit, (_file_limit() - RESERVED_FILES - SPARE_CONNECTIONS) // 2
    )
    return ConnectionCap(_connections(config), config.connections_per_address, relaying=relaying)


def body_budget(config: HttpServiceConfig) -> int:
    """Bytes that all request bodies may hold together: at least as many as one may have."""
    return max(config.body_memory, config.body_limit)


def client_timeouts(config: HttpServiceConfig) -> ClientTimeouts:
    """How slow a client may be."""
    return ClientTimeouts(idle=config.idle_timeout)


def _connections(config: HttpServiceConfig) -> int:
    return min(config.connection_limit, _file_limit() - RESERVED_FILES - SPARE_CONNECTIONS)


def _file_limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(soft, 4 * RESERVED_FILES) if soft != resource.RLIM_INFINITY else 1 << 20


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


def reject(connection: socket.socket) -> None:
    """Answer 503 on a connection that was not admitted, and close it. Never blocks or raises."""
    send_rejection(connection)
    connection.close()


def send_rejection(connection: socket.socket) -> None:
    """As :func:`reject`, but leave the closing to the caller."""
    with contextlib.suppress(OSError):  # a client that left needs no response
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


class BodyHolder(Protocol):
    """A request; ``reserved`` is what it holds of the budget, in bytes, and only written here."""

    reserved: int


class BodyAdmission:
    """Takes bodies in while all that are held stay within ``limit`` bytes; any thread.

    ``reads_body(method, path, headers)`` is whether the application reads a request's body, and
    ``None`` while that is not known; headers are named as in WSGI's environment.

    What counts is what came, not what was announced: else a few heads would keep everybody out.
    """

    def __init__(
        self, reads_body: Callable[[str, str, Mapping[str, str]], bool | None], limit: int
    ) -> None:
        self.reads_body: Final = reads_body
        self._limit = limit
        self._lock = threading.Lock()
        self.held = 0

    def has_room(self, size: int) -> bool:
        """Whether a body of ``size`` bytes could be held now."""
        return self.held + size <= self._limit

    def reserve(self, holder: BodyHolder, size: int) -> bool:
        """Whether ``holder`` may hold ``size`` bytes more; if so, they count until released."""
        with self._lock:
            if self.held + size > self._limit:
                return False
            self.held += size
            holder.reserved += size
            return True

    def release(self, holder: BodyHolder) -> None:
        """``holder`` holds nothing any more. Idempotent."""
        with self._lock:
            self.held -= holder.reserved
            holder.reserved = 0
