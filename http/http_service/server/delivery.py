"""One detached answer on its way to the client: no thread belongs to it.

Everything here runs on the event loop's thread, except :meth:`Delivery.wake`. Invariants:

1. The head is written with the first bytes: until then a failure is an ordinary HTTP error.
2. All that is ready goes out in one chunk and one system call: a busy loop joins by itself.
3. At most :data:`UNSENT_LIMIT` bytes wait for a client that does not keep up; its engine is asked
   to wait before that, and a client that takes nothing for :data:`STALL_SECONDS` is given up.
4. The call is concluded exactly once, and the connection goes on to its next request or closes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from actors.engines.errors import EngineTimeout
from actors.eventloop import Deadline, EventLoop
from http_service.call import Call
from http_service.error_types import ErrorType
from http_service.errors import ClientGone, ErrorReply, reply_for
from http_service.middleware import log_failure
from http_service.request_id import HEADER
from http_service.server.limits import STALL_SECONDS, UNSENT_LIMIT
from http_service.server.response_head import NO_STORE, response_head, status_line
from http_service.server.waiting import LATE, SILENT

__all__ = ["Answer", "Connection", "Delivery"]

_log: Final = logging.getLogger("http_service.delivery")


class Answer(Protocol):
    """The consumer's side of a sink: what there is to write.

    ``begun`` says that bytes of an answer exist; ``ended``, that no more will come; ``error``, what
    ended it badly. An error without ``begun`` is to be told as an HTTP error. ``heard`` is when the
    engine gave its last sign of life (``time.monotonic()``); ``size`` how many bytes wait. A
    ``whole`` answer has begun when it is complete, so its length is known.
    """

    whole: bool
    begun: bool
    ended: bool
    error: BaseException | None
    heard: float
    size: int

    def attach(self, wake: Callable[[], object]) -> None:
        """Have ``wake()`` called, from any thread, whenever there may be something to do."""
        ...

    def take(self) -> bytes:
        """All that is ready: the engine has room again. Once ``ended`` was seen, it is the last."""
        ...

    def fail(self, error: BaseException) -> None:
        """End the answer with ``error``, unless it has ended."""
        ...

    def abandon(self) -> None:
        """Nobody reads any more: drop what waits and whatever comes."""
        ...


class Connection(Protocol):
    """What a delivery needs of the connection it writes to; the loop's thread only."""

    @property
    def draining(self) -> bool:
        """Whether the connection is to end with the response that is being written."""
        ...

    def send_now(self, data: bytes) -> int:
        """Send what the socket takes, keep the rest; how much is unsent. Raises ``ClientGone``."""
        ...

    def resume(self, *, close: bool) -> None:
        """The response is complete: close, or go on with the next request."""
        ...

    def drop(self) -> None:
        """Close at once, whatever is unsent."""
        ...


class Delivery:
    """Writes ``answer`` to ``connection`` as it comes.

    ``version`` is the client's HTTP version; ``silence`` how long the engine may say nothing, in
    seconds. :meth:`begin` starts it, once the application has given its headers.
    """

    __slots__ = (
        "_answer",
        "_call",
        "_chunked",
        "_close",
        "_congested",
        "_connection",
        "_head_sent",
        "_headers",
        "_loop",
        "_over",
        "_patience",
        "_scheduled",
        "_silence",
        "_stall",
        "_total",
        "_version",
    )

    def __init__(
        self, loop: EventLoop, connection: Connection, answer: Answer, call: Call, silence: float
    ) -> None:
        self._loop = loop
        self._connection = connection
        self._answer = answer
        self._call = call
        self._silence = silence
        self._scheduled = False
        self._over = False
        self._head_sent = False
        self._congested = False
        self._patience: Deadline | None = None
        self._stall: Deadline | None = None
        self._total: Deadline | None = None

    def wake(self) -> None:
        """There may be something to write. Any thread; many calls before the loop looks are one."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call(self._deliver)

    def begin(self, version: str, headers: list[tuple[str, str]], *, close: bool) -> None:
        """Write from now on; ``close`` says that the connection ends with this response."""
        self._version = version
        self._headers = headers
        self._close = close
        self._chunked = False
        self._patience = self._loop.deadline(self._silence, self._on_silence)
        deadline = self._call.context.deadline
        if deadline is not None:
            self._total = self._loop.deadline(deadline - self._loop.clock(), self._on_late)
        self._answer.attach(self.wake)
        if self._answer.begun or self._answer.ended:
            self._deliver()

    def client_left(self) -> None:
        """The connection is gone."""
        if self._over:
            return
        self._call.cut(ClientGone())
        self._call.guard.mark(ErrorType.CANCELLED)
        self._conclude(200 if self._head_sent else 499)
        self._connection.resume(close=True)

    def sent(self, unsent: int) -> None:
        """The socket took some of what was kept; ``unsent`` bytes are left."""
        if self._stall is not None:
            self._stall.extend(STALL_SECONDS)
        if unsent or not self._congested:
            return
        self._congested = False
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        self.wake()

    def _deliver(self) -> None:
        self._scheduled = False
        answer = self._answer
        if self._over:
            return
        if self._congested:
            if answer.size > UNSENT_LIMIT:
                self._drop("it does not keep up, and its engine does not wait")
            return
        if not answer.begun:
            if answer.error is not None:
                self._refuse(answer.error)
            return
        # NOTE: first whether it has ended, then what there is: what comes in between is not lost.
        ended = answer.ended
        try:
            data = answer.take()
        except Exception as error:  # noqa: BLE001  # what an engine pushed can't be told or counted
            self._break_off(error)
            return
        if data or ended:
            self._write(data, ended=ended)

    def _break_off(self, error: Exception) -> None:
        """Nobody will ever get the rest: say so, with a 500 or by closing, and close the books."""
        if not self._head_sent:
            self._refuse(error)
            return
        self._call.report(error)
        self._conclude(200)
        self._connection.drop()

    def _write(self, data: bytes, *, ended: bool) -> None:
        payload = self._framed(data, ended=ended)
        try:
            unsent = self._connection.send_now(payload)
        except ClientGone:
            self.client_left()
            return
        if ended:
            self._finish()
        elif unsent:
            self._congested = True
            self._stall = self._loop.deadline(STALL_SECONDS, self._on_stall)

    def _framed(self, data: bytes, *, ended: bool) -> bytes:
        """``data`` as it goes over the wire: with the head, if it is the first; in one chunk."""
        parts: list[bytes] = []
        if not self._head_sent:
            self._head_sent = True
            parts.append(self._head(len(data) if self._answer.whole else None))
        if not self._chunked:
            parts.append(data)
        else:
            if data:
                parts += (b"%x\r\n" % len(data), data, b"\r\n")
            if ended:
                parts.append(b"0\r\n\r\n")
        return b"".join(parts)

    def _head(self, length: int | None) -> bytes:
        """The head of a good answer; without a length it is chunked, or ended by the close."""
        headers = self._headers
        if length is not None:
            headers += (("content-length", str(length)), NO_STORE)
        elif self._version == "1.1":
            self._chunked = True
            headers.append(("transfer-encoding", "chunked"))
        else:
            self._close = True
        return response_head(self._version, "200 OK", self._ending(headers))

    def _ending(self, headers: list[tuple[str, str]]) -> Iterable[tuple[str, str]]:
        if self._close or self._connection.draining:
            self._close = True
            headers.append(("connection", "close"))
        elif self._version == "1.0":
            headers.append(("connection", "keep-alive"))
        return headers

    def _refuse(self, error: BaseException) -> None:
        """An HTTP error instead of an answer of which no byte was written."""
        reply = reply_for(error)
        if reply.status == 500:
            log_failure(error, self._call.context.request_id, self._call.path)
        self._call.mark(error)
        try:
            self._connection.send_now(self._refusal(reply))
        except ClientGone:
            self._close = True
        self._conclude(reply.status)
        self._connection.resume(close=self._close)

    def _refusal(self, reply: ErrorReply) -> bytes:
        body = reply.body()
        headers = [(HEADER, self._call.context.request_id), *reply.headers]
        if reply.retry_after is not None:
            headers.append(("retry-after", str(reply.retry_after)))
        length = ("content-length", str(len(body)))
        headers += [("content-type", "application/json"), length, NO_STORE]
        status = status_line(reply.status)
        return response_head(self._version, status, self._ending(headers)) + body

    def _finish(self) -> None:
        error = self._answer.error
        if error is None:
            self._call.guard.mark_ok()
        else:
            self._call.report(error)
        self._conclude(200)
        self._connection.resume(close=self._close)

    def _drop(self, why: str) -> None:
        """Give up a client that does not read."""
        _log.warning(
            "a slow client was dropped",
            extra={"request_id": self._call.context.request_id, "reason": why},
        )
        self._connection.drop()

    def _on_stall(self) -> None:
        self._stall = None
        self._drop(f"it took nothing for {STALL_SECONDS:g} seconds")

    def _on_silence(self) -> None:
        """The deadline of an engine: put off by its signs of life, and while nobody reads."""
        self._patience = None
        left = self._silence
        if not self._congested:
            left += self._answer.heard - self._loop.clock()
        if left > 0:
            self._patience = self._loop.deadline(left, self._on_silence)
        else:
            self._answer.fail(EngineTimeout(SILENT))

    def _on_late(self) -> None:
        self._total = None
        self._call.cut(EngineTimeout(LATE))

    def _conclude(self, status: int) -> None:
        self._over = True
        for deadline in (self._patience, self._stall, self._total):
            if deadline is not None:
                deadline.cancel()
        self._answer.abandon()
        self._call.conclude(status)
