"""The connections to one upstream: dialled, used by one call at a time, kept for a while."""

from __future__ import annotations

import random
from collections.abc import Callable
from socket import socket
from typing import Final

from actors.engines.upstream.connection import Connection
from actors.engines.upstream.dial import Dial, Place
from actors.engines.upstream.names import Names
from actors.eventloop import EventLoop, TimerHandle

__all__ = ["ConnectionPool"]

IDLE_SECONDS: Final = 3.0
"""A connection that was idle for so long is not used again: servers close theirs after 5 s, and
one that they close while a request is on its way fails the request."""

MAX_AGE: Final = 300.0
"""A connection is not kept for longer than this, give or take a tenth by chance: under steady
traffic it would never be idle, and a name's new address never be looked up."""

_chance: Final = random.Random()  # noqa: S311  # spreads what would be renewed at once

_MAX_IDLE: Final = 512


class ConnectionPool:
    """The connections to ``place``; belongs to the loop's thread."""

    def __init__(self, loop: EventLoop, names: Names, place: Place) -> None:
        self._loop = loop
        self._names = names
        self._place = place
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()
        self._sweeper: TimerHandle | None = None
        self._max_idle = _MAX_IDLE
        """Connections that are kept; none once it is closed."""

    def __len__(self) -> int:
        return len(self._all)

    def take(self) -> Connection | None:
        """The connection that was used last, if one is kept and fresh; it is the caller's now."""
        if not self._idle:
            return None
        connection = self._idle.pop()
        if self._loop.now - connection.idle_since > IDLE_SECONDS:
            self._idle.append(connection)
            self._close_idle(0.0)  # those before it are older still
            return None
        return connection

    def dial(
        self,
        seconds: float,
        opened: Callable[[socket], object],
        failed: Callable[[OSError], object],
    ) -> Dial:
        """Open a new socket, for :meth:`add`; close what is returned to give up."""
        return Dial(self._loop, self._names, self._place, seconds, opened, failed)

    def add(self, sock: socket) -> Connection:
        """A new connection, the caller's, on a socket that was dialled."""
        expires = self._loop.clock() + MAX_AGE * _chance.uniform(0.9, 1.1)
        connection = Connection(self._loop, self, sock, expires)
        self._all.add(connection)
        return connection

    def give_back(self, connection: Connection) -> None:
        """Keep ``connection`` if its response was read to its end, or nearly; else close it."""
        now = self._loop.now
        idle = self._idle
        if (
            connection.reusable
            and connection.complete
            and not connection.unsent
            and not connection.broken
            and now < connection.expires
            and len(idle) < self._max_idle
        ):
            connection.user = None
            connection.begin()
            connection.used = True
            connection.idle_since = now
            idle.append(connection)
            if self._sweeper is None:
                self._sweeper = self._loop.call_later(IDLE_SECONDS, self._sweep)
        elif connection.complete or not self._max_idle or not connection.is_sound:
            connection.close()
        else:
            connection.tail()

    def forget(self, connection: Connection) -> None:
        """``connection`` is closed."""
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def close(self) -> None:
        """Close what no call uses, now and from now on."""
        self._max_idle = 0
        for connection in [*self._all]:
            if connection.user is None:
                connection.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    def _sweep(self) -> None:
        self._sweeper = None
        self._close_idle(IDLE_SECONDS)
        if self._idle:
            # NOTE: in a third of the time, so that none is idle for longer than 4 s.
            self._sweeper = self._loop.call_later(IDLE_SECONDS / 3, self._sweep)

    def _close_idle(self, seconds: float) -> None:
        """Close all that have been idle for at least ``seconds``."""
        latest = self._loop.clock() - seconds
        for connection in [each for each in self._idle if each.idle_since <= latest]:
            connection.close()
