"""One request to an upstream and its response, on the event loop: deadlines, retry, back-pressure.

A call ends once: whole, failed, too late or cancelled; the sink hears of it before anything is
tidied up. Every failure is an ``EngineError`` with a fixed message (the reason is its
``__cause__``), or ``Cancelled``.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
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
from actors.engines.upstream.media_relay import media_relay
from actors.engines.upstream.native_relay import NativeRelay
from actors.engines.upstream.response import (
    UNARY,
    Document,
    Expected,
    NativeWhole,
    Refusal,
    Response,
    SignOfLife,
    Whole,
    checked,
)
from actors.engines.upstream.stream_relay import StreamRelay
from actors.eventloop import EventLoop
from actors.supervision.errors import Cancelled

__all__ = [
    "Call",
    "Timeouts",
    "Upstream",
    "response_for",
]

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


def response_for(
    status: int, headers: Mapping[bytes, bytes], sink: Sink, expected: Expected
) -> Response:
    """What handles the body after this head.

    Raises ``EngineUnavailable`` for a compressed one: the request refused compression.
    """
    if expected.probe and status // 100 in (2, 4):
        return SignOfLife(sink)
    if status != 200:
        return Refusal(status, headers)
    if b"content-encoding" in headers and _compressed(headers[b"content-encoding"]):
        raise EngineUnavailable("the upstream's answer is compressed, which it was asked not to be")
    if expected.media:
        return media_relay(headers, sink) or Document(sink)
    if expected.document:
        return Document(sink)
    if not expected.stream:
        return Whole(sink) if expected.dialect is None else NativeWhole(sink)
    if headers.get(b"content-type", b"").lower().startswith(b"application/json"):
        return Refusal(status, headers)
    if expected.dialect is not None:
        return NativeRelay(sink, expected.dialect)
    return StreamRelay(sink, raw=expected.raw, choices=expected.choices, prefill=expected.prefill)


def _compressed(codings: bytes) -> bool:
    """Whether any coding was applied; the header may be empty, or a list (RFC 9110, 8.4)."""
    return any(each.strip().lower() not in (b"", b"identity") for each in codings.split(b","))


class Upstream(Protocol):
    """Where a call is made: the engine."""

    loop: EventLoop
    connections: ConnectionPool
    url: str
    """For the log."""

    closing: bool

    @property
    def running(self) -> set[Call]:
        """The calls of :meth:`UpstreamEngine.start` that are not over."""
        ...

    def ended(self) -> None:
        """A call is over, while it is ``closing``."""
        ...


class Call:
    """Belongs to the loop's thread, but for :meth:`cancel`.

    ``data`` are head and body, ready to be sent; ``expected`` is the response that they ask for.

    PERF: one object for all of a request, and the loop's timeout of it, too.
    """

    __slots__ = (
        "_begun", "_cancelled", "_connection", "_context", "_data", "_dial", "_expected",
        "_heard_at", "_limit", "_loop", "_over", "_paused_at", "_response", "_sent_at", "_sink",
        "_slow", "_timeouts", "_upstream", "due",
    )  # fmt: skip

    def __init__(
        self,
        upstream: Upstream,
        data: bytes,
        sink: Sink,
        context: Context,
        timeouts: Timeouts,
        expected: Expected,
    ) -> None:
        self._upstream = upstream
        self._loop = upstream.loop
        self._data = data
        self._sink = sink
        self._context = context
        self._timeouts = timeouts
        self._expected = expected
        self._over = self._cancelled = self._begun = self._slow = False
        self.due = self._limit = math.inf if context.deadline is None else context.deadline
        """When to see whether it is too late: by the client's own deadline, or the upstream's.

        PERF: output that puts it off is noted, and found by :meth:`timed_out`.
        """
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
            if response is None:
                if (
                    self._expected is UNARY
                    and connection.complete
                    and connection.status == 200
                    and b"content-encoding" not in connection.headers
                ):
                    # PERF: nearly every unary answer comes in one read.
                    self._sink.answer(checked(body))
                    self._end(None)
                    return
                if (response := self._respond(connection)) is None:
                    return
            if body:
                self._heard_at = self._loop.now
                if response.feed(body) and not self._begun:
                    self._begun = True
                    self._put_off(self._heard_at)
            if response.done or connection.complete:
                response.end()
                self._end(None)
            elif connection.error is not None:
                raise EngineUnavailable(_UNREADABLE) from connection.error
            elif body and not self._sink.has_room(self._has_room):
                self._paused_at = self._heard_at
                connection.pause()
        except EngineError as error:
            self._end(error)

    def lost(self, connection: Connection, error: BaseException | None) -> None:
        """The connection is closed."""
        self._connection = None
        fresh = self._sent_at is None or self._loop.now - self._sent_at <= STALE_SECONDS
        if connection.used and self._data and fresh:
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
        """Too long without a byte, or only time to see; a pause is not the upstream's fault."""
        now = self._loop.clock()
        if now >= self._limit:  # the client's own deadline: no word about the upstream
            self._end(DeadlineExceeded(_TOO_LONG))
        elif self._paused_at is not None:
            self._put_off(now)
        elif self._begun and now < self._heard_at + self._timeouts.idle:
            self._put_off(self._heard_at)
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
        now = self._loop.now
        if self._sent_at is None:  # a request that is sent once more has no more time
            due = now + self._timeouts.first_byte
            self.due = due if due < self._limit else self._limit  # noqa: FURB136  # PERF: no call
            self._loop.start_timeout(self)
        self._sent_at = now
        connection.send(self._data)

    def _respond(self, connection: Connection) -> Response | None:
        """Who takes the response; ``None`` before its head is there."""
        self._data = b""  # something was heard: it will not be sent again
        if not connection.has_head:
            if connection.error is not None:
                raise EngineUnavailable(_UNREADABLE) from connection.error
            return None
        headers, connection.headers = connection.headers, NO_HEADERS
        response = response_for(connection.status, headers, self._sink, self._expected)
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
        if self._data:
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
        upstream = self._upstream
        connection = self._connection
        self._loop.timeouts.discard(self)
        self._context.unlisten()
        if connection is None:
            if self._dial is not None:
                self._dial.close()
                self._dial = None
        else:
            self._connection = None
            if error is None or isinstance(self._response, Refusal):
                upstream.connections.give_back(connection)
            else:
                connection.close()
        upstream.running.discard(self)
        if upstream.closing:
            upstream.ended()

    def _fail(self, error: BaseException) -> None:
        if self._cancelled:
            error = Cancelled("the request was cancelled")
        elif (
            isinstance(error, EngineError)
            and error.status >= 500
            and not isinstance(error, DeadlineExceeded)
            and not self._expected.probe  # the pool tells what becomes of the instance
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
