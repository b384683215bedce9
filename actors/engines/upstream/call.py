"""One request to an upstream and its response, on the event loop: deadlines, retry, back-pressure.

A call ends once: whole, failed, too late or cancelled; the sink hears of it before anything is
tidied up. Every failure is an ``EngineError`` with a fixed message (the reason is its
``__cause__``), or ``Cancelled``.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from socket import socket
from typing import Final, Protocol

from actors.engines.contract import Context, Sink
from actors.engines.errors import (
    ClientTooSlow,
    DeadlineExceeded,
    EngineError,
    EngineTimeout,
    EngineUnavailable,
    LocalShortage,
)
from actors.engines.upstream.connection import NO_HEADERS, Connection
from actors.engines.upstream.connection_pool import ConnectionPool
from actors.engines.upstream.dial import Dial, is_local_shortage
from actors.engines.upstream.response import Refusal, Response, checked, response_for
from actors.eventloop import EventLoop
from actors.supervision.errors import Cancelled

__all__ = ["Call", "Timeouts", "Upstream"]

_log: Final = logging.getLogger("actors.engines.upstream")

_TOO_LATE: Final = "the upstream did not answer in time"
_CUT: Final = "the upstream broke off the answer"
_MUTE: Final = "the upstream closed the connection without an answer"
_UNREACHABLE: Final = "the upstream can't be reached"
_TOO_LONG: Final = "the answer took longer than the request allows"
_LEFT_WAITING: Final = "the upstream broke off the answer, which the client did not read in time"
_SHORT: Final = "the service has no connection to spare just now; try again soon"
_UNREADABLE: Final = "the upstream's answer can't be read"

STALE_SECONDS: Final = 0.1
"""A kept connection that is lost so soon after a request was sent on it, without a byte of an
answer, was closed before the request came: it is sent once more. Whatever is lost later may have
been worked on, so it is a failure like any other (RFC 9110, 9.2.2)."""

# Seconds that a client may keep an upstream waiting before a loss is the client's doing.
_SLOW_READ: Final = 5.0


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds that an upstream may take.

    To connect (each of its addresses); until the first output (comments don't count); between two
    signs of life after that (comments do).
    """

    connect: float
    first_byte: float
    idle: float


class Upstream(Protocol):
    """Where a call is made: the engine."""

    loop: EventLoop
    connections: ConnectionPool
    url: str
    """For the log."""

    def ended(self) -> None:
        """A call of :meth:`UpstreamEngine.start` is over."""
        ...


class Call:
    """Belongs to the loop's thread, but for :meth:`cancel`.

    ``data`` are head and body, ready for the wire. ``stream`` tells whether the upstream is asked
    for an event stream, ``raw`` whether a stream's bytes are pushed, or its chunk objects;
    ``choices`` how many are wanted of each prompt (0 if the whole answer is one choice);
    ``prefill`` what llama.cpp is expected to leave out at the beginning (``llama_answer``). A
    ``probe`` only asks whether the upstream answers, and counts as no request.

    PERF: one object for all of a request, and the loop's timeout of it, too.
    """

    __slots__ = (
        "_begun", "_cancelled", "_choices", "_connection", "_context", "_data", "_dial", "_heard",
        "_limit", "_loop", "_over", "_paused_at", "_prefill", "_probe", "_raw", "_response",
        "_sent_at", "_sink", "_slow", "_stream", "_timeouts", "_upstream", "due",
    )  # fmt: skip

    def __init__(
        self,
        upstream: Upstream,
        data: bytes,
        sink: Sink,
        context: Context,
        timeouts: Timeouts,
        *,
        stream: bool = False,
        raw: bool = False,
        probe: bool = False,
        choices: int = 0,
        prefill: str = "",
    ) -> None:
        self._upstream = upstream
        self._loop = upstream.loop
        self._data = data
        self._sink = sink
        self._context = context
        self._timeouts = timeouts
        self._stream = stream
        self._raw = raw
        self._probe = probe
        self._choices = choices
        self._prefill = prefill
        self._over = self._cancelled = self._heard = self._begun = self._slow = False
        self._limit = math.inf if context.deadline is None else context.deadline
        self.due = self._limit
        """When it is too late: by the client's own deadline, or by the upstream's."""
        self._sent_at: float | None = None
        self._paused_at: float | None = None
        self._response: Response | None = None
        self._connection: Connection | None = None
        self._dial: Dial | None = None

    def begin(self) -> None:
        """Send the request, on a kept connection if there is one."""
        self._context.listen(self.cancel)
        if self._cancelled:
            return
        connection = self._upstream.connections.take()
        if connection is None:
            if self.due < math.inf:
                self._loop.start_timeout(self)
            self._redial()
        else:
            self._send(connection)

    def cancel(self) -> None:
        """End it soon, whatever it waits for. From any thread."""
        self._cancelled = True
        self._loop.call(self._end_cancelled)

    # What the connection tells.

    def received(self, connection: Connection, body: bytes) -> None:
        """Pass on what arrived."""
        response = self._response
        try:
            if response is None and (response := self._respond(connection, body)) is None:
                return
            if body and response.feed(body):
                self._begun = True
            if response.done or connection.complete:
                response.end()
                self._end(None)
            elif connection.error is not None:
                raise EngineUnavailable(_UNREADABLE) from connection.error
            elif body:
                if self._begun:  # PERF: _put_off() for each event; mostly it is only put off
                    due = min(self._loop.now + self._timeouts.idle, self._limit)
                    sooner, self.due = due < self.due, due
                    if sooner:
                        self._loop.start_timeout(self)
                if not self._sink.has_room(self._has_room):
                    self._paused_at = self._loop.now
                    connection.pause()
        except EngineError as error:
            self._end(error)

    def lost(self, connection: Connection, error: BaseException | None) -> None:
        """The connection is closed."""
        self._connection = None
        fresh = self._sent_at is None or self._loop.now - self._sent_at <= STALE_SECONDS
        if connection.used and not self._heard and fresh:
            self._redial()
            return
        response = self._response
        try:
            # The status of a refusal says what it is, though its words were cut off.
            if response is not None and (connection.complete or isinstance(response, Refusal)):
                response.end()
                self._end(None)
                return
            raise self._loss() from error or ConnectionError("end of file")
        except EngineError as failure:
            self._end(failure)

    def timed_out(self) -> None:
        """Too long without a byte; while nobody reads, that is not the upstream's fault."""
        now = self._loop.clock()
        if now >= self._limit:  # the client's own deadline: no word about the upstream
            self._end(DeadlineExceeded(_TOO_LONG))
        elif self._paused_at is not None:
            self._put_off(now)
        else:
            self._end(EngineTimeout(_TOO_LATE))

    # Its steps.

    def _redial(self) -> None:
        self._dial = self._upstream.connections.dial(
            self._timeouts.connect, self._opened, self._not_opened
        )

    def _opened(self, sock: socket) -> None:
        self._dial = None
        self._send(self._upstream.connections.add(sock))

    def _not_opened(self, error: OSError) -> None:
        self._dial = None
        failure: EngineError
        if is_local_shortage(error):
            failure = LocalShortage(_SHORT)
        elif isinstance(error, TimeoutError):
            failure = EngineTimeout(_TOO_LATE)
        else:
            failure = EngineUnavailable(_UNREACHABLE)
        failure.__cause__ = error
        self._end(failure)

    def _send(self, connection: Connection) -> None:
        self._connection = connection
        connection.user = self
        now = self._loop.clock()
        if self._sent_at is None:  # a request that is sent once more has no more time
            due = now + self._timeouts.first_byte
            self.due = min(due, self._limit)
            self._loop.start_timeout(self)
        self._sent_at = now
        connection.send(self._data)

    def _respond(self, connection: Connection, body: bytes) -> Response | None:
        """Who takes the response; ``None`` before its head is there, and if it is over already."""
        self._heard = True
        self._data = b""  # it will not be sent again
        if not connection.has_head:
            if connection.error is not None:
                raise EngineUnavailable(_UNREADABLE) from connection.error
            return None
        if (
            connection.complete
            and connection.status == 200
            and not (self._stream or self._probe or b"content-encoding" in connection.headers)
        ):
            self._sink.answer(checked(body))  # PERF: nearly every unary answer comes in one read
            self._end(None)
            return None
        headers, connection.headers = connection.headers, NO_HEADERS
        response = response_for(
            connection.status, headers, self._sink, stream=self._stream, raw=self._raw,
            probe=self._probe, choices=self._choices, prefill=self._prefill,
        )  # fmt: skip
        self._response = response
        return response

    def _put_off(self, now: float) -> None:
        """Give the upstream its time again, from ``now`` on."""
        self.due = min(now + self._timeouts.idle, self._limit)
        self._loop.start_timeout(self)

    def _has_room(self) -> None:
        """The client caught up, or left. From any thread."""
        self._loop.call(self._resume)

    def _resume(self) -> None:
        paused_at, self._paused_at = self._paused_at, None
        if paused_at is not None and self._connection is not None:
            now = self._loop.now
            self._slow = self._slow or now - paused_at > _SLOW_READ
            self._put_off(now)
            self._connection.resume()

    def _loss(self) -> EngineError:
        """Why there will be no answer, or no more of it."""
        if not self._heard:
            return EngineUnavailable(_MUTE)
        return ClientTooSlow(_LEFT_WAITING) if self._slow else EngineUnavailable(_CUT)

    def _end_cancelled(self) -> None:
        self._end(Cancelled("the request was cancelled"))

    def _end(self, error: BaseException | None) -> None:
        if self._over:
            return
        self._over = True
        if error is not None:
            self._fail(error)
        self._loop.timeouts.discard(self)
        self._context.unlisten()
        if self._dial is not None:
            self._dial.close()
            self._dial = None
        connection, self._connection = self._connection, None
        if connection is not None:
            if error is None or isinstance(self._response, Refusal):
                self._upstream.connections.give_back(connection)
            else:
                connection.close()
        if not self._probe:
            self._upstream.ended()

    def _fail(self, error: BaseException) -> None:
        if self._cancelled:
            error = Cancelled("the request was cancelled")
        elif (
            isinstance(error, EngineError)
            and error.status >= 500
            and not isinstance(error, DeadlineExceeded)
            and not self._probe  # the pool tells what becomes of the instance
        ):
            _log.warning(
                "an upstream failed",
                extra={
                    "upstream": self._upstream.url,
                    "request_id": self._context.request_id,
                    "error": error.message,
                    "cause": repr(error.__cause__) if error.__cause__ else None,
                },
            )
        self._sink.fail(error)
