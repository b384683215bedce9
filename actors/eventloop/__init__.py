"""One thread that waits for every socket: watches, timers, and calls from other threads.

Knows nothing of actors, models or HTTP servers. ``http_service`` has Waitress' connections and all
its streams on it, ``actors.engines.upstream`` the connections to upstreams.
"""

from actors.eventloop.loop import EventLoop, Timed, shared_loop
from actors.eventloop.poller import (
    HANGUP,
    READ,
    WRITE,
    FdHandle,
    Handler,
    LoopStopped,
    asks_others,
    outgoing_connections,
)
from actors.eventloop.timers import TimerHandle

__all__ = [
    "HANGUP",
    "READ",
    "WRITE",
    "EventLoop",
    "FdHandle",
    "Handler",
    "LoopStopped",
    "Timed",
    "TimerHandle",
    "asks_others",
    "outgoing_connections",
    "shared_loop",
]
