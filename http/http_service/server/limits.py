"""What one client may cost: every limit that Waitress is run with, each with its reason."""

from __future__ import annotations

import resource
from typing import Any, Final

from http_service.config import HttpServiceConfig
from http_service.server.admission import ConnectionCap
from http_service.server.deadlines import Limits
from http_service.streaming.exchange import UNSENT_LIMIT

__all__ = [
    "DRAIN_LIMITS",
    "DRAIN_LINGER",
    "LINGER_SECONDS",
    "PROBE_SECONDS",
    "body_budget",
    "connection_cap",
    "deadlines",
    "waitress_settings",
]

KIB: Final = 1024

HEADER_LIMIT: Final = 32 * KIB
"""Bytes of request line and headers; browsers and SDKs send below 8 KiB."""

CLEANUP_INTERVAL: Final = 5
"""Seconds between two looks for connections that have been idle, or lingering, for too long."""

RESERVED_FILES: Final = 64
"""File descriptors kept for everything that is neither a client nor an upstream: logs, etcd."""

SPARE: Final = 64
"""Connections above our own cap before Waitress' own sets in, which would leave clients waiting
without an answer: ours has to be met first."""

LINGER_SECONDS: Final = 5.0
"""How long a refused upload is read and dropped, so that the client can read the refusal: closing
at once would make the kernel reset the connection and discard our answer (RFC 9112, 9.6)."""

DRAIN_LIMITS: Final = Limits(head=3.0, body=3.0)
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
        "connection_limit": _connections(config) + SPARE,
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
        # No look-ahead: the poller tells of a client's leaving without reading on, and what was not
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
    relaying = min(config.connection_limit, (_file_limit() - RESERVED_FILES - SPARE) // 2)
    return ConnectionCap(_connections(config), config.connections_per_address, relaying=relaying)


def body_budget(config: HttpServiceConfig) -> int:
    """Bytes that all request bodies may hold together: at least as many as one may have."""
    return max(config.body_memory, config.body_limit)


def deadlines(config: HttpServiceConfig) -> Limits:
    """How slow a client may be."""
    return Limits(idle=config.idle_timeout)


def _connections(config: HttpServiceConfig) -> int:
    return min(config.connection_limit, _file_limit() - RESERVED_FILES - SPARE)


def _file_limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(soft, 4 * RESERVED_FILES) if soft != resource.RLIM_INFINITY else 1 << 20
