"""A request whose response is made: one object from the moment it is valid until its last byte.

It is what the engine of the first instance pushes into (a ``Sink``, by way of ``PoolRequest``), and
it writes to the client's connection (``ResponseWriter``). Its shapes are ``StreamExchange`` and
``UnaryExchange``. Invariants:

1. The head is written with the first bytes: until then a failure is an ordinary HTTP error.
2. All that is ready goes out in one chunk and one system call: a busy loop joins by itself.
3. At most ``UNSENT_LIMIT`` bytes wait for a client that does not keep up; its engine is asked to
   wait before that, and a client that takes nothing for ``STALL_SECONDS`` is dropped.
4. The books are closed exactly once (:meth:`Exchange.close_books`): the guard of the metrics, the
   set of requests in flight, an engine that may still work; and the request is logged once.

The engine's side may be called from any thread and never blocks. Everything else is on the loop's
thread or, under another WSGI server, on the one thread that waits for the response (``wsgi_body``).
"""

from __future__ import annotations

import logging
import time
from _thread import get_ident
from collections.abc import Callable, Iterable, Mapping
from email.utils import formatdate
from typing import Any, ClassVar, Final

from actors.engines.contract import Context, EngineRequest
from actors.engines.errors import EngineTimeout
from actors.engines.pool import PoolRequest
from actors.eventloop import EventLoop
from http_service.connection import Connection
from http_service.errors import ClientGone, ErrorReply, ErrorType, Headers, reply_for
from http_service.headers import ID_HEADER, NO_STORE, status_line
from http_service.telemetry.access_log import MAX_LOGGED, access_record, log_failure, log_record
from http_service.telemetry.ended_requests import NoteEnded
from http_service.telemetry.model_metrics import InflightGuard

__all__ = [
    "DEADLINE_PASSED",
    "ENGINE_SILENT",
    "STALL_SECONDS",
    "UNSENT_LIMIT",
    "Exchange",
    "InflightRequests",
    "response_head",
]

_log: Final = logging.getLogger("http_service.exchange")

UNSENT_LIMIT: Final = 1024 * 1024
"""Bytes of a response that may wait for a slow reader; one that lets more wait is dropped."""

STALL_SECONDS: Final = 30.0
"""How long a client may take nothing of a response that waits for it: a phone in a tunnel is back
by then, and a reader that never comes back holds an engine no longer."""

ENGINE_SILENT: Final = "The engine was silent for longer than this service waits."
DEADLINE_PASSED: Final = "The answer took longer than the request allows."

_SUCCESS: Final = ErrorType.NONE


class Exchange(PoolRequest):
    """What both shapes of a response have in common.

    ``guard`` counts it, ``inflight`` holds it from now on, ``path`` is for the log;
    ``idle_timeout`` is how long the engine may be silent, in seconds on ``clock``.
    """

    __slots__ = (
        "_close",
        "_congested",
        "_head_sent",
        "_headers",
        "_idle_timeout",
        "_inflight",
        "_loop",
        "_over",
        "_scheduled",
        "_version",
        "_wake",
        "arrived",
        "clock",
        "connection",
        "due",
        "error",
        "finished",
        "guard",
        "last_activity",
        "path",
        "started",
    )  # fmt: skip

    complete_only: ClassVar[bool]
    """Whether it has started only when it is complete, so that its length is known."""

    @property
    def breaks_off(self) -> bool:
        """Whether it ends with an error that its body can't tell."""
        return False

    due: float
    """When :meth:`timed_out` is called, once the connection has it written."""

    def __init__(
        self,
        request: EngineRequest,
        context: Context,
        guard: InflightGuard,
        inflight: InflightRequests,
        path: str,
        idle_timeout: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        PoolRequest.__init__(self, request, context)  # PERF: super() makes an object
        self.guard = guard
        self.arrived = guard.started
        """When the request was taken up, on ``clock``."""
        self.path = path
        self.clock = clock
        self.started = self.finished = False
        """Whether there are bytes of a response; whether no more will come."""
        self.error: BaseException | None = None
        """What ended it badly; unless it ``started``, the client gets an HTTP error for it."""
        self.last_activity = guard.started
        """When the engine gave its last sign of life."""
        self.connection: Connection | None = None
        self._inflight = inflight
        self._idle_timeout = idle_timeout
        self._loop: EventLoop | None = None
        self._wake: Callable[[], object] | None = None
        self._scheduled = self._over = self._head_sent = self._congested = False
        inflight.running.add(self)

    @property
    def request_id(self) -> str:
        """The client's name for the request, or ours."""
        return self.context.request_id

    @property
    def model(self) -> str:
        """The name of the model that answers."""
        return self.request.model[:MAX_LOGGED]

    def terminate(self, error: BaseException) -> None:
        """End the request with ``error`` and stop its engine. Any thread; returns at once."""
        self.abort(error, tell=True)

    def own_headers(self) -> Headers:
        """Further headers of its good response, known once there is something of it."""
        return ()

    # The client's side: what takes what is ready, and when.

    def take(self) -> bytes:
        """All that is ready: the engine has room again. Once ``finished`` was seen, the rest."""
        raise NotImplementedError

    def on_ready(self, wake: Callable[[], object]) -> None:
        """Have ``wake()`` called, from any thread, whenever there may be something to take."""
        self._wake = wake

    def _schedule_flush(self) -> None:
        """There may be something to write. Any thread; calls before the loop flushes are one."""
        loop = self._loop
        if loop is None:
            if self._wake is not None:
                self._wake()
        elif not self._scheduled:
            self._scheduled = True
            if loop.thread == get_ident():
                loop.pending.append(self._flush)
            else:
                loop.call(self._flush)

    # The connection's side: see ``ResponseWriter``.

    def begin(self, version: str, headers: list[tuple[str, str]], *, close: bool) -> None:
        """Write from now on, these ``headers`` first; ``close``: the connection ends with it."""
        self._version = version
        self._headers = headers
        self._close = close
        connection = self.connection
        if connection is not None:
            self._loop = connection.loop
        # NOTE: first the loop, then a look: what an engine's thread pushes in between is not lost.
        if not self.finished:
            # PERF: as :meth:`_start_timeout`.
            self.due = self.last_activity + self._idle_timeout
            deadline = self.context.deadline
            if deadline is not None and deadline < self.due:
                self.due = deadline
            if connection is not None:
                connection.loop.start_timeout(self)
        if self.started or self.finished:
            self._flush()

    def client_left(self) -> None:
        """The connection is gone."""
        if self._over:
            return
        self.abort(ClientGone(), tell=False)
        self.guard.error_type = ErrorType.CANCELLED
        self._end(200 if self._head_sent else 499, close=True)

    def sent(self, unsent: int) -> None:
        """The socket took some of what was kept; ``unsent`` bytes are left."""

    # Writing.

    def _flush(self) -> None:
        """Write what is ready."""
        raise NotImplementedError

    def _add_connection_header(self) -> None:
        """Say where the connection ends with this response, or goes on though it might not."""
        connection = self.connection
        if self._close or (connection is not None and connection.draining):
            self._close = True
            self._headers.append(("connection", "close"))
        elif self._version == "1.0":
            self._headers.append(("connection", "keep-alive"))

    # What goes wrong.

    def _send_error(self, error: BaseException) -> None:
        """An HTTP error instead of a response of which no byte was written."""
        reply = reply_for(error)
        if reply.status == 500:
            log_failure(error, self.context.request_id, self.path)
        self.guard.error_type = reply.error_type
        try:
            if self.connection is not None:
                self.connection.send_now(self._error_response(reply))
        except ClientGone:
            self._close = True
        self._end(reply.status, close=self._close)

    def _error_body(self, reply: ErrorReply) -> bytes:
        return reply.body()

    def _error_response(self, reply: ErrorReply) -> bytes:
        body = self._error_body(reply)
        headers = [(ID_HEADER, self.context.request_id), *reply.headers]
        if reply.retry_after is not None:
            headers.append(("retry-after", str(reply.retry_after)))
        length = ("content-length", str(len(body)))
        self._headers = [*headers, ("content-type", "application/json"), length, NO_STORE]
        self._add_connection_header()
        return response_head(self._version, status_line(reply.status), self._headers) + body

    def _abort_response(self, error: Exception) -> None:
        """The rest will never come: say so, with a 500 or by closing."""
        if not self._head_sent:
            self._send_error(error)
            return
        self.record_error(error)
        self._end(200, close=None)

    # Time: see ``Timed``.

    def _start_timeout(self, due: float) -> None:
        """Have :meth:`timed_out` called at ``due``, or at the client's own deadline."""
        deadline = self.context.deadline
        self.due = due if deadline is None or self.finished else min(due, deadline)
        if self._loop is not None:
            self._loop.start_timeout(self)

    def timed_out(self) -> None:
        """The client's deadline or a silent engine; or only a look at it.

        PERF: a sign of life is one store; that it puts the deadline off is found out here.
        """
        now = self.clock()
        deadline = self.context.deadline
        if deadline is not None and now >= deadline and not self.finished:
            self.terminate(EngineTimeout(DEADLINE_PASSED))
        elif now >= self.last_activity + self._idle_timeout:
            self.terminate(EngineTimeout(ENGINE_SILENT))
        else:
            self._start_timeout(self.last_activity + self._idle_timeout)

    # The books.

    def _end(self, status: int, *, close: bool | None) -> None:
        """It is over: close the books, then the connection or go on; ``None`` drops it."""
        connection, self.connection = self.connection, None
        self.close_books(status)
        if connection is None:
            return
        if close is None:
            connection.drop()
        else:
            connection.resume(close=close)

    def close_books(self, status: int | None = None) -> None:
        """Count the request as ended; log it, if ``status`` is given. Idempotent."""
        self._over = self.finished = True
        # PERF: what is woken holds the exchange, and an error's traceback may: cycles otherwise.
        self._wake = self.error = None
        loop, guard = self._loop, self.guard
        if loop is not None:
            loop.timeouts.discard(self)
        if not guard.close():
            return
        self._inflight.running.discard(self)
        # NOTE: not after a success: the engine may just be putting its connection back into a pool,
        # and would take the cancellation for a reason to close it.
        error_type = guard.error_type
        if error_type is not _SUCCESS:
            self.abort(ClientGone(), tell=False)
        if status is not None:
            # PERF: in the order of the fields; each name would cost.
            log_record(access_record((
                self.context.request_id, "POST", self.path, status,
                int(guard.elapsed * 1_000_000) / 1000, guard.metrics.model, guard.endpoint,
                guard.request_type, error_type or None, guard.tokens,
            )))  # fmt: skip
            note = self._inflight.note_ended
            if note is not None:
                # PERF: as above; the fields of ``EndedRequest``.
                instance, request = self.instance, self.request
                asked = self.began if instance else None
                note((
                    self.context.request_id, status, self.arrived, guard.started, guard.elapsed,
                    asked, guard.metrics.model, request.kind, guard.endpoint, guard.request_type,
                    error_type or None, guard.tokens, guard.first_token,
                    instance.id if instance else None, self.tries, guard.arrivals,
                    guard.input_tokens,
                ))  # fmt: skip

    def record_error(self, error: BaseException) -> None:
        """Count how it failed, and log what the client of a running stream did not see."""
        reply = reply_for(error)
        self.guard.error_type = reply.error_type
        if reply.status == 500:
            _log.error("an engine failed in a stream", exc_info=error, extra=dict(self.summary()))

    def summary(self) -> Mapping[str, Any]:
        """Its part of a log line."""
        return self.guard.summary()


class InflightRequests:
    """The requests that are being answered: what a drain waits for, names, and ends at last.

    Thread-safe, as each step is one operation of a set.
    """

    def __init__(self) -> None:
        self.running: Final[set[Exchange]] = set()
        """PERF: a request adds and discards itself."""
        self.note_ended: NoteEnded | None = None
        """Hears of each request that has ended, on any thread; must be quick and never raise."""
        self.closed = False
        """Whether :meth:`terminate_all` ended it all: no request may begin any more."""

    def __len__(self) -> int:
        return len(self.running)

    def terminate_all(self, error: BaseException) -> list[Exchange]:
        """End every running request with ``error``, let none begin; return those ended."""
        self.closed = True
        requests = [*self.running.copy()]
        for request in requests:
            request.terminate(error)
        return requests


def response_head(version: str, status: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """The head with ``status`` (as in ``"200 OK"``), ``headers``, and what every response has.

    ``headers`` are WSGI's, at least one: native strings of latin-1 characters without line breaks.

    PERF: status line and headers in one go. Waitress capitalises, sorts and walks them three times;
    a name's case and the order of headers mean nothing (RFC 9110, 5.1 and 5.3).
    """
    second, common = _common
    if second != int(time.time()):
        common = _renew_common()
    fields = "\r\n".join(map(": ".join, headers))
    return f"HTTP/{version} {status}\r\n{fields}\r\n{common}".encode("latin-1")


def _renew_common() -> str:
    """The end of every head, with the current second (RFC 9110, 5.6.7); made once a second."""
    global _common
    now = int(time.time())
    text = f"x-content-type-options: nosniff\r\ndate: {formatdate(now, usegmt=True)}\r\n\r\n"
    _common = (now, text)  # one store: a reader on another thread never sees half of it
    return text


_common = (0, "")
