"""How the server ends: a literal table of what happens to a connection, and when.

Order: take what the kernel accepted already, close the listening socket, close idle connections,
serve every request that is being received or comes on a connection in use (the answer says
``Connection: close``) until the deadline, then tell every request still running that the service is
going, and close what is left.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from enum import Enum, auto
from typing import Final, Protocol

from actors.shutdown import ABORT_GRACE
from http_service.errors import Draining
from http_service.streaming.exchange import InflightRequests

__all__ = ["Drain", "Verdict", "verdict"]

_log: Final = logging.getLogger("http_service.drain")

IDLE_GRACE: Final = 0.2
"""Seconds without a request after which a connection is closed. One that was in use may have its
next request on the wire already, and no proxy repeats a POST; others are closed at once."""


class Verdict(Enum):
    """What a drain does with one connection now."""

    KEEP = auto()
    CLOSE = auto()
    """Close it once it is flushed: nothing is lost."""
    ABORT = auto()
    """Close it whatever is unsent: its time is over."""


class Connection(Protocol):
    """What a drain sees of a connection."""

    @property
    def idle_since(self) -> float | None:
        """When its last answer was sent; ``None`` while something is received, answered or sent."""
        ...

    def close_if_silent(self) -> None:
        """Close it, unless a request has come that was not read yet: that one is served."""
        ...

    def cancel(self) -> None:
        """Drop its requests, and close it at the next chance."""
        ...


def verdict(*, idle: float | None, since: float, timeout: float) -> Verdict:
    """What to do with a connection ``since`` seconds after the drain began; pure.

    ``idle`` is for how many seconds it has had nothing to do, ``None`` if it has.
    """
    if since > timeout + ABORT_GRACE:
        return Verdict.ABORT
    if idle is not None and idle > IDLE_GRACE:
        return Verdict.CLOSE
    return Verdict.KEEP


class Drain:
    """One drain of a server's connections, advanced by the loop that owns them.

    ``timeout`` is in seconds; ``clock`` is injected by tests.
    """

    def __init__(
        self,
        inflight: InflightRequests,
        timeout: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inflight = inflight
        self._timeout = timeout
        self._clock = clock
        self._began = clock()
        self._aborted = False
        self.finished = False

    def step(self, connections: list[Connection]) -> None:
        """Judge every open connection; finished once nothing is open and nothing runs."""
        now = self._clock()
        since = now - self._began
        if since > self._timeout and not self._aborted:
            self._aborted = True
            self._abort_running()
        for connection in connections:
            last = connection.idle_since
            idle = None if last is None else now - last
            judged = verdict(idle=idle, since=since, timeout=self._timeout)
            if judged is Verdict.CLOSE:
                connection.close_if_silent()
            elif judged is Verdict.ABORT:
                connection.cancel()
        over = since > self._timeout + 2 * ABORT_GRACE
        self.finished = over or not (connections or self._inflight)

    def _abort_running(self) -> None:
        cut = self._inflight.terminate_all(Draining())
        if cut:
            _log.warning(
                "drain timeout: aborted %d requests",
                len(cut),
                extra={"requests": [f"{each.request_id} ({each.model})" for each in cut]},
            )
