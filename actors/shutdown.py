"""The time budget of a shutdown: after how many seconds each process has surely ended.

A front-end, from the first signal on::

    drain_grace                   it answers as before, but /ready says 503
    + drain_timeout               requests in flight finish; idle connections are closed
    + ABORT_GRACE                 requests that are left were aborted and may write their error
    + ABORT_GRACE                 connections that are left are closed
    + SERVER_MARGIN               the event loop notices, the worker threads end
    = server_stop()               the supervisor abandons the HTTP server after this
    + EMBEDDED_MARGIN             the supervisor around the server, in a program of the user's own
    = embedded_stop()

    drain_grace + drain_timeout
    + TREE_MARGIN                 the server's four seconds above, discovery, the registry
    = front_end_stop()            the process ends itself with exit code 1 after this

A worker::

    MARK_DRAINING                 etcd is told that it drains
    + drain                       front-ends that have not heard of it yet may still send requests
    + drain_timeout               its own model server, if it hosts one, finishes
    + WORKER_MARGIN               the lease is revoked (REVOKE_TIMEOUT), the model server ends
    = worker_stop()               the process ends itself with exit code 1 after this

A second signal ends either at once. Pure numbers in seconds; each part's own file waits by them.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "ABORT_GRACE",
    "EMBEDDED_MARGIN",
    "MARK_DRAINING",
    "REVOKE_TIMEOUT",
    "SERVER_MARGIN",
    "TREE_MARGIN",
    "WORKER_MARGIN",
    "embedded_stop",
    "front_end_stop",
    "server_stop",
    "worker_stop",
]

ABORT_GRACE: Final = 1.0
"""Seconds after the drain in which an aborted request may still write its error."""
SERVER_MARGIN: Final = 2.0
"""Seconds for the event loop to notice, and for the worker threads to end."""
EMBEDDED_MARGIN: Final = 1.0
"""Seconds for the supervisor around a server that a program starts itself."""
TREE_MARGIN: Final = 10.0
"""Seconds beyond the drain for every actor of a front-end, and for the processes that it started:
a process takes up to eight, three from SIGTERM to SIGKILL and five for the kernel."""
MARK_DRAINING: Final = 1.0
"""Seconds for etcd to store that a worker drains; without etcd no front-end learns of it anyway."""
REVOKE_TIMEOUT: Final = 1.0
"""Seconds for revoking a worker's lease; it expires by itself if that fails."""
WORKER_MARGIN: Final = 10.0
"""Seconds for a worker's actors; the registration needs one of them, the model server two."""


def server_stop(drain_grace: float, drain_timeout: float) -> float:
    """Seconds within which an HTTP server stops, by its two settings."""
    return drain_grace + drain_timeout + 2 * ABORT_GRACE + SERVER_MARGIN


def embedded_stop(drain_grace: float, drain_timeout: float) -> float:
    """Seconds within which an HTTP service in a program of the user's own stops."""
    return server_stop(drain_grace, drain_timeout) + EMBEDDED_MARGIN


def front_end_stop(drain_grace: float, drain_timeout: float) -> float:
    """Seconds within which a front-end's process ends."""
    return drain_grace + drain_timeout + TREE_MARGIN


def worker_stop(drain: float, drain_timeout: float) -> float:
    """Seconds within which a worker's process ends; ``drain_timeout`` is 0 without a model."""
    return MARK_DRAINING + drain + drain_timeout + WORKER_MARGIN
