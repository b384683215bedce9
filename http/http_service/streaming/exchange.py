"""One generating request, from the moment it is valid to the last byte of its answer: one object.

It is what an instance's engine pushes into (a ``Sink``, by way of ``PoolRequest``), and it writes
to the client's connection (``Answering``). Its shapes are ``streamed`` and ``unary``. Invariants:

1. The head is written with the first bytes: until then a failure is an ordinary HTTP error.
2. All that is ready goes out in one chunk and one system call: a busy loop joins by itself.
3. At most ``UNSENT_LIMIT`` bytes wait for a client that does not keep up; its engine is asked to
   wait before that, and a client that takes nothing for ``STALL_SECONDS`` is given up.
4. The books are closed exactly once (:meth:`Exchange.close_books`): the guard of the metrics, the
   set of requests in flight, an engine that may still work; and the request is logged once.

The engine's side may be called from any thread and never blocks. Everything else is on the loop's
thread or, under another WSGI server, on the one thread that waits for the answer (``blocking``).
"""

from __future__ import annotations

import logging
import math
import time
from _thread import get_ident
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, Protocol

from actors.engines.contract import Context, EngineRequest
from actors.engines.errors import EngineTimeout
from actors.engines.pool import PoolRequest
from actors.eventloop import EventLoop
from http_service.connection import Connection
from http_service.errors import ClientGone, ErrorReply, ErrorType, reply_for
from http_service.headers import ID_HEADER, NO_STORE, response_head, status_line
from http_service.telemetry.access_log import MAX_LOGGED, AccessRecord, log_failure, log_request
from http_service.telemetry.metrics import InflightGuard

__all__ = [
    "LATE",
    "SILENT",
    "STALL_SECONDS",
    "UNSENT_LIMIT",
    "Exchange",
    "InflightRequests",
    "Running",
]

_log: Final = logging.getLogger("http_service.exchange")

UNSENT_LIMIT: Final = 1024 * 1024
"""Bytes of an answer that may wait for a slow reader; one that lets more wait is dropped."""

STALL_SECONDS: Final = 30.0
"""How long a client may take nothing of an answer that waits for it: a phone in a tunnel is back
by then, and a reader that never comes back holds an engine no longer."""

SILENT: Final = "The engine was silent for longer than this service waits."
LATE: Final = "The answer took longer than the request allows."


class Exchange(PoolRequest):
    """What both shapes of an answer have in common.

    ``guard`` counts it, ``inflight`` holds it from now on, ``path`` is for the log; ``silence`` is
    how long the engine may say nothing, in seconds on ``clock``.
    """

    __slots__ = (
        "_chunked", "_close", "_congested", "_head_sent", "_headers", "_inflight",
        "_loop", "_over", "_scheduled", "_silence", "_version", "_wake",
        "begun", "clock", "connection", "due", "ended", "error", "guard", "heard", "path", "size",
    )  # fmt: skip

    whole: ClassVar[bool]
    """Whether it has begun only when it is complete, so that its length is known."""

    def __init__(
        self,
        request: EngineRequest,
        context: Context,
        guard: InflightGuard,
        inflight: InflightRequests,
        path: str,
        silence: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(request, context)
        self.guard = guard
        self.path = path
        self.clock = clock
        self.begun = False
        """Whether there are bytes of an answer."""
        self.ended = False
        """Whether no more will come."""
        self.error: BaseException | None = None
        """What ended it badly; without ``begun`` it is to be told as an HTTP error."""
        self.heard = guard.started
        """When the engine gave its last sign of life."""
        self.size = 0
        """How many bytes wait to be taken."""
        self.due = math.inf
        self.connection: Connection | None = None
        self._inflight = inflight
        self._silence = silence
        self._loop: EventLoop | None = None
        self._wake: Callable[[], object] | None = None
        self._scheduled = self._over = self._head_sent = self._congested = self._chunked = False
        inflight.running.add(self)

    @property
    def request_id(self) -> str:
        """The client's name for the request, or ours."""
        return self.context.request_id

    @property
    def model(self) -> str:
        """The name of the model that answers."""
        return self.request.model[:MAX_LOGGED]

    def cut(self, error: BaseException) -> None:
        """End the request with ``error`` and stop its engine. Any thread; returns at once."""
        self.abort(error, tell=True)

    # The client's side: who takes what is ready, and when.

    def take(self) -> bytes:
        """All that is ready: the engine has room again. Once ``ended`` was seen, it is the last."""
        raise NotImplementedError

    def attach(self, wake: Callable[[], object]) -> None:
        """Have ``wake()`` called, from any thread, whenever there may be something to take."""
        self._wake = wake

    def _stir(self) -> None:
        """There may be something to write. Any thread; many calls before the loop looks are one."""
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

    # The connection's side: see ``Answering``.

    def begin(self, version: str, headers: list[tuple[str, str]], *, close: bool) -> None:
        """Write from now on, these ``headers`` first; ``close``: the connection ends with it."""
        self._version = version
        self._headers = headers
        self._close = close
        if self.connection is not None:
            self._loop = self.connection.loop
            self._time(self.heard + self._silence)
        # NOTE: first the loop, then a look: what an engine's thread pushes in between is not lost.
        if self.begun or self.ended:
            self._flush()

    def client_left(self) -> None:
        """The connection is gone."""
        if self._over:
            return
        self.abort(ClientGone(), tell=False)
        self.guard.error_type = ErrorType.CANCELLED
        self._conclude(200 if self._head_sent else 499, close=True)

    def sent(self, unsent: int) -> None:
        """The socket took some of what was kept; ``unsent`` bytes are left."""
        if not self._congested:
            return
        if unsent:
            self._time(self.clock() + STALL_SECONDS)
            return
        self._congested = False
        self.heard = self.clock()
        self._time(self.heard + self._silence)
        self._stir()

    # Writing.

    def _flush(self) -> None:
        """Write what is ready."""
        self._scheduled = False
        if not self.begun or self._congested or self._over:
            self._write_nothing()
            return
        # NOTE: first whether it has ended, then what there is: what comes in between is not lost.
        ended = self.ended
        try:
            data = self.take()
        except Exception as error:  # noqa: BLE001  # what an engine pushed can't be told or counted
            self._break_off(error)
            return
        if not data and not ended:
            return
        if self._chunked and not ended:
            payload = b"%x\r\n%b\r\n" % (len(data), data)
        else:
            payload = self._framed(data, ended=ended)
        connection = self.connection
        try:
            unsent = 0 if connection is None else connection.send_now(payload)
        except ClientGone:
            self.client_left()
            return
        if ended:
            self._finish()
        elif unsent:
            self._congested = True
            self._time(self.clock() + STALL_SECONDS)

    def _write_nothing(self) -> None:
        """There is no answer yet, or there will be none; or the client takes nothing just now."""
        if self._over:
            return
        if not self.begun:
            if self.error is not None:
                self._refuse(self.error)
        elif self.size > UNSENT_LIMIT:
            self._drop("it does not keep up, and its engine does not wait")

    def _framed(self, data: bytes, *, ended: bool) -> bytes:
        """``data`` as it goes over the wire: with the head, if it is the first; in one chunk."""
        head = b""
        if not self._head_sent:
            self._head_sent = True
            head = self._head(len(data))
        if not self._chunked:
            return head + data
        if data:
            head = b"%b%x\r\n%b\r\n" % (head, len(data), data)
        return head + b"0\r\n\r\n" if ended else head

    def _head(self, length: int) -> bytes:
        """The head of a good answer; without a length it is chunked, or ended by the close."""
        headers = self._headers
        if self.whole:
            headers += (("content-length", str(length)), NO_STORE)
        elif self._version == "1.1":
            self._chunked = True
            headers.append(("transfer-encoding", "chunked"))
        else:
            self._close = True
        if self._close or self._version != "1.1" or self._draining():
            self._add_ending(headers)
        return response_head(self._version, "200 OK", headers)

    def _draining(self) -> bool:
        return self.connection is not None and self.connection.draining

    def _add_ending(self, headers: list[tuple[str, str]]) -> None:
        """Say where the connection ends with this answer, or goes on though it might not."""
        if self._close or self._draining():
            self._close = True
            headers.append(("connection", "close"))
        elif self._version == "1.0":
            headers.append(("connection", "keep-alive"))

    def _finish(self) -> None:
        if self.error is None:
            self.guard.error_type = ErrorType.NONE
        else:
            self.report(self.error)
        self._conclude(200, close=self._close)

    # What goes wrong.

    def _refuse(self, error: BaseException) -> None:
        """An HTTP error instead of an answer of which no byte was written."""
        reply = reply_for(error)
        if reply.status == 500:
            log_failure(error, self.context.request_id, self.path)
        self.guard.error_type = reply.error_type
        try:
            if self.connection is not None:
                self.connection.send_now(self._refusal(reply))
        except ClientGone:
            self._close = True
        self._conclude(reply.status, close=self._close)

    def _refusal(self, reply: ErrorReply) -> bytes:
        body = reply.body()
        headers = [(ID_HEADER, self.context.request_id), *reply.headers]
        if reply.retry_after is not None:
            headers.append(("retry-after", str(reply.retry_after)))
        length = ("content-length", str(len(body)))
        headers += [("content-type", "application/json"), length, NO_STORE]
        self._add_ending(headers)
        return response_head(self._version, status_line(reply.status), headers) + body

    def _break_off(self, error: Exception) -> None:
        """The rest will never come: say so, with a 500 or by closing."""
        if not self._head_sent:
            self._refuse(error)
            return
        self.report(error)
        self._conclude(200, close=None)

    def _drop(self, why: str) -> None:
        """Give up a client that does not read."""
        extra = {"request_id": self.context.request_id, "reason": why}
        _log.warning("a slow client was dropped", extra=extra)
        if self.connection is not None:
            self.connection.drop()

    # Time: see ``Timed``.

    def _time(self, due: float) -> None:
        """Be told at ``due``, or at the client's own deadline."""
        deadline = self.context.deadline
        self.due = due if deadline is None or self.ended else min(due, deadline)
        if self._loop is not None:
            self._loop.start_timeout(self)

    def timed_out(self) -> None:
        """The client's deadline, a stalled client, or a silent engine; or only a look at it.

        PERF: a sign of life is one store; that it puts the deadline off is found out here.
        """
        now = self.clock()
        deadline = self.context.deadline
        if deadline is not None and now >= deadline and not self.ended:
            self.cut(EngineTimeout(LATE))
            if self._congested:
                self._time(now + STALL_SECONDS)
        elif self._congested:
            self._drop(f"it took nothing for {STALL_SECONDS:g} seconds")
        elif now >= self.heard + self._silence:
            self.cut(EngineTimeout(SILENT))
        else:
            self._time(self.heard + self._silence)

    # The books.

    def _conclude(self, status: int, *, close: bool | None) -> None:
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
        self._over = True
        if self._loop is not None:
            self._loop.timeouts.discard(self)
        self._let_go()
        if not self.guard.close():
            return
        self._inflight.running.discard(self)
        # NOTE: not after a success: the engine may just be putting its connection back into a pool,
        # and would take the cancellation for a reason to close it.
        if self.guard.error_type is not ErrorType.NONE:
            self.abort(ClientGone(), tell=False)
        if status is not None:
            log_request(
                AccessRecord(
                    request_id=self.context.request_id,
                    method="POST",
                    path=self.path,
                    status=status,
                    elapsed_ms=round(self.guard.elapsed * 1000, 3),
                    **self.guard.summary(),
                )
            )

    def _let_go(self) -> None:
        """Nobody takes anything any more: drop what waits and whatever comes."""
        self.ended = True
        # PERF: who is woken holds the exchange, and an error's traceback may: cycles otherwise.
        self._wake = self.error = None

    def report(self, error: BaseException) -> None:
        """Count how it failed, and log what the client of a running stream was not told."""
        reply = reply_for(error)
        self.guard.error_type = reply.error_type
        if reply.status == 500:
            _log.error("an engine failed in a stream", exc_info=error, extra=dict(self.summary()))

    def summary(self) -> Mapping[str, Any]:
        """Its part of a log line."""
        return self.guard.summary()


class Running(Protocol):
    """One request that has not been answered in full; hashable by identity."""

    @property
    def request_id(self) -> str:
        """The client's name for it, or ours."""
        ...

    @property
    def model(self) -> str:
        """The name of the model that is asked."""
        ...

    def cut(self, error: BaseException) -> None:
        """End it with ``error``. Any thread; returns at once; nothing to an ended request."""
        ...


class InflightRequests:
    """The set of running requests; thread-safe, as each step is one operation of a set."""

    def __init__(self) -> None:
        self.running: Final[set[Running]] = set()
        """PERF: a request adds and discards itself."""
        self.closed = False
        """Whether :meth:`cut_all` ended it all: nothing may begin any more."""

    def __len__(self) -> int:
        return len(self.running)

    def cut_all(self, error: BaseException) -> list[Running]:
        """End every running request with ``error``, let none begin; return those cut."""
        self.closed = True
        cut = [*self.running.copy()]
        for request in cut:
            request.cut(error)
        return cut
