"""How slow a client may be: when a connection's time is over, and what it gets then.

A connection that is merely open costs a file descriptor; one that drips costs as much, without
end, unless each phase has its timeout (slowloris and similar attacks). For all of them: a head must
be complete in time, a body must come, and a response must be read, at a minimum rate.

Everything here is pure or a plain record; the clock is the caller's, in monotonic seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

__all__ = [
    "ClientTimeouts",
    "ConnectionTimes",
    "Progress",
    "RequestProgress",
    "TimeoutReason",
    "expired",
]

REQUEST_TIMEOUT: Final = 408


class TimeoutReason(Enum):
    """Why a connection's time is over; the value is for the log."""

    HEAD = "the request's head took too long"
    BODY = "the request's body came too slowly"
    IDLE = "idle for too long"
    READER = "the answer was read too slowly"

    @property
    def status(self) -> int | None:
        """What to answer before closing; ``None`` means just to close."""
        return REQUEST_TIMEOUT if self in (TimeoutReason.HEAD, TimeoutReason.BODY) else None


@dataclass(frozen=True, slots=True)
class ClientTimeouts:
    """Seconds, and bytes, that a client gets.

    ``head``: from the first byte of a head to its end. ``body``: seconds in which ``body_bytes``
    of a body (or its rest) must come, again and again: with the defaults 1 KiB/s, after a grace of
    as long. ``reader`` and ``reader_bytes``: the same for an answer that waits to be read.
    ``idle``: without a request. Heads come whole from every ordinary client; 20 s are for a lost
    packet on a bad line, as in Apache's ``RequestReadTimeout``.
    """

    head: float = 20.0
    body: float = 16.0
    body_bytes: int = 16 * 1024
    reader: float = 30.0
    reader_bytes: int = 16 * 1024
    idle: float = 75.0


class ConnectionTimes(Protocol):
    """Since when a connection waits for what; ``None`` where it does not wait for that."""

    head_since: float | None
    body_since: float | None
    unsent_since: float | None
    idle_since: float | None


class RequestProgress(Protocol):
    """What is asked of a request that is being received (``Parser`` has it)."""

    headers_finished: bool
    body_bytes_received: int


def expired(facts: ConnectionTimes, now: float, limits: ClientTimeouts) -> TimeoutReason | None:
    """Why the connection's time is over at ``now``, if it is; pure."""
    for reason, since, allowed in (
        (TimeoutReason.READER, facts.unsent_since, limits.reader),
        (TimeoutReason.HEAD, facts.head_since, limits.head),
        (TimeoutReason.BODY, facts.body_since, limits.body),
        (TimeoutReason.IDLE, facts.idle_since, limits.idle),
    ):
        if since is not None and now - since > allowed:
            return reason
    return None


class Progress:
    """The :class:`ConnectionTimes` of one connection, kept by what reads and writes it.

    Call :meth:`read` after bytes were received and after an answer began or ended, :meth:`wrote`
    after an attempt to send; both cost less than a microsecond. One thread, the loop's.
    """

    __slots__ = (
        "_body_mark",
        "_limits",
        "_sent_mark",
        "body_since",
        "head_since",
        "idle_since",
        "unsent_since",
    )

    def __init__(self, limits: ClientTimeouts, now: float) -> None:
        self._limits = limits
        self.head_since: float | None = None
        self.body_since: float | None = None
        self.unsent_since: float | None = None
        self.idle_since: float | None = now
        self._body_mark = 0
        self._sent_mark = 0

    def read(self, now: float, request: RequestProgress | None, *, busy: bool) -> None:
        """``request`` is the one being received, if one is; ``busy``: one is being answered.

        While busy, nothing is the client's fault: we may not be reading at all.
        """
        if busy:
            self.head_since = self.body_since = self.idle_since = None
        elif request is None:
            self.head_since = self.body_since = None
            self.idle_since = now
        elif request.headers_finished:
            self.head_since = self.idle_since = None
            self._read_body(now, request.body_bytes_received)
        else:
            self.body_since = self.idle_since = None
            if self.head_since is None:
                self.head_since = now

    def restart(self, now: float) -> None:
        """Count the time of what is being received from ``now``."""
        if self.head_since is not None:
            self.head_since = now
        if self.body_since is not None:
            self.body_since = now

    def wrote(self, now: float, *, unsent: int, sent: int) -> None:
        """``unsent`` bytes wait to be sent; ``sent`` is how many ever were, on this connection."""
        if not unsent:
            self.unsent_since = None
        elif self.unsent_since is None or sent - self._sent_mark >= self._limits.reader_bytes:
            self.unsent_since = now
            self._sent_mark = sent

    def _read_body(self, now: float, received: int) -> None:
        if self.body_since is None or received - self._body_mark >= self._limits.body_bytes:
            self.body_since = now
            self._body_mark = received
