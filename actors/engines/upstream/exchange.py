"""One request to an upstream and its answer, on the event loop: deadlines, retry, back-pressure.

An exchange ends once: whole, failed, too late or cancelled; the sink hears of it before anything is
tidied up. Every failure is an ``EngineError`` with a fixed message (the reason is its
``__cause__``), or ``Cancelled``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from actors.engines.contract import Context, Sink
from actors.engines.errors import (
    DeadlineExceeded,
    EngineError,
    EngineTimeout,
    EngineUnavailable,
    LocalShortage,
    SlowReader,
)
from actors.engines.upstream.body import Body, Refusal, body_for
from actors.engines.upstream.dial import Dial, is_local_shortage
from actors.engines.upstream.links import Link, Links
from actors.eventloop import Deadline, EventLoop, Timer
from actors.supervision.cancellation import Registration
from actors.supervision.errors import Cancelled

__all__ = ["Ask", "Exchange", "Timeouts"]

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


@dataclass(frozen=True, slots=True)
class Ask:
    """What is sent, and how the answer is wanted."""

    data: bytes
    """Head and body, ready for the wire."""
    stream: bool
    """Whether the upstream is asked for an event stream."""
    raw: bool
    """Whether a stream's bytes are pushed, or its chunk objects."""
    url: str
    """The upstream, for the log."""
    probe: bool = False
    """Whether it is only asked whether it answers."""
    choices: int = 0
    """The choices that are wanted of each prompt; 0 if the whole answer is one choice."""
    prefill: str = ""
    """What llama.cpp is expected to leave out at the beginning; see ``llama_answer``."""


Ended = Callable[[], object]


class Exchange:
    """Belongs to the loop's thread, but for :meth:`cancel`. Calls ``ended`` once, at its end."""

    __slots__ = (
        "_ask", "_begun", "_body", "_context", "_deadline", "_dial", "_ended", "_heard", "_limit",
        "_link", "_links", "_loop", "_over", "_paused", "_paused_at", "_registration", "_sent_at",
        "_sink", "_slow", "_timeouts",
    )  # fmt: skip

    def __init__(
        self,
        loop: EventLoop,
        links: Links,
        ask: Ask,
        timeouts: Timeouts,
        sink: Sink,
        context: Context,
        ended: Ended,
    ) -> None:
        self._loop = loop
        self._links = links
        self._ask = ask
        self._timeouts = timeouts
        self._sink = sink
        self._context = context
        self._ended = ended
        self._over = False
        self._heard = False
        self._begun = False
        self._paused = False
        self._slow = False
        self._body: Body | None = None
        self._link: Link | None = None
        self._dial: Dial | None = None
        self._deadline: Deadline | None = None
        self._limit: Timer | None = None
        self._registration: Registration | None = None

    def begin(self) -> None:
        """Send the request, on a kept connection if there is one."""
        token = self._context.token
        self._registration = token.on_cancel(self.cancel)
        until = self._context.deadline
        if until is not None:
            self._limit = self._loop.call_later(until - self._loop.clock(), self._too_long)
        link = self._links.take(self)
        if link is None:
            self._redial()
        else:
            self._send(link)

    def cancel(self) -> None:
        """End it soon, whatever it waits for. From any thread."""
        self._loop.call(self._cancelled)

    # What the connection tells.

    def received(self, data: bytes) -> None:
        """Read what arrived and pass it on."""
        link = self._link
        if link is None:
            return
        self._heard = True
        reader = link.reader
        reader.feed(data)
        try:
            if reader.has_head and self._take(link):
                return
            if reader.error is not None:
                raise EngineUnavailable(_UNREADABLE) from reader.error
            if reader.complete and self._body is not None:
                self._complete(self._body)
        except EngineError as error:
            self._end(error)

    def lost(self, error: BaseException | None) -> None:
        """The connection is closed."""
        link = self._link
        if link is None:
            return
        self._link = None
        if link.used and not self._heard and self._loop.now - self._sent_at <= STALE_SECONDS:
            self._redial()
            return
        if error is None:  # a reset, or TLS without its goodbye, is no end of an answer
            link.reader.end()
        try:
            # The status of a refusal says what it is, though its words were cut off.
            whole = link.reader.complete or isinstance(self._body, Refusal)
            if whole and self._body is not None:
                self._complete(self._body)
                return
            raise self._loss() from error or ConnectionError("end of file")
        except EngineError as failure:
            self._end(failure)

    # Its steps.

    def _redial(self) -> None:
        self._dial = self._links.dial(self, self._timeouts.connect, self._opened, self._not_opened)

    def _opened(self, link: Link) -> None:
        self._dial = None
        self._send(link)

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

    def _send(self, link: Link) -> None:
        self._link = link
        self._sent_at = self._loop.clock()
        if self._deadline is None:
            self._deadline = self._loop.deadline(self._timeouts.first_byte, self._silent)
        link.wire.send(self._ask.data)

    def _take(self, link: Link) -> bool:
        """Pass on what was read of the body; tell whether that ended the exchange."""
        reader, body = link.reader, self._body
        if body is None:
            body = self._body = body_for(
                reader.status, reader.headers, self._sink,
                stream=self._ask.stream, raw=self._ask.raw, probe=self._ask.probe,
                choices=self._ask.choices, prefill=self._ask.prefill,
            )  # fmt: skip
        data = reader.take()
        if not data:
            return False
        if body.feed(data):
            self._begun = True
        if body.done:
            self._complete(body)
            return True
        if self._begun and self._deadline is not None:
            self._deadline.extend(self._timeouts.idle)
        if not reader.complete and not self._sink.has_room(self._has_room):
            self._paused = True
            self._paused_at = self._loop.now
            link.wire.pause()
        return False

    def _complete(self, body: Body) -> None:
        body.end()
        self._end(None)

    def _has_room(self) -> None:
        """The client caught up, or left. From any thread."""
        self._loop.call(self._resume)

    def _resume(self) -> None:
        link = self._link
        if self._paused and link is not None and self._deadline is not None:
            self._paused = False
            self._slow = self._slow or self._loop.now - self._paused_at > _SLOW_READ
            self._deadline.extend(self._timeouts.idle)
            link.wire.resume()

    def _silent(self) -> None:
        """Too long without a byte; while nobody reads, that is not the upstream's fault."""
        if self._paused:
            self._deadline = self._loop.deadline(self._timeouts.idle, self._silent)
        else:
            self._too_late()

    def _too_late(self) -> None:
        self._end(EngineTimeout(_TOO_LATE))

    def _too_long(self) -> None:
        """The client's own deadline: no word about the upstream."""
        self._end(DeadlineExceeded(_TOO_LONG))

    def _loss(self) -> EngineError:
        """Why there will be no answer, or no more of it."""
        if not self._heard:
            return EngineUnavailable(_MUTE)
        return SlowReader(_LEFT_WAITING) if self._slow else EngineUnavailable(_CUT)

    def _cancelled(self) -> None:
        self._end(Cancelled("the request was cancelled"))

    def _end(self, error: BaseException | None) -> None:
        if self._over:
            return
        self._over = True
        if error is not None:
            self._fail(error)
        for timer in (self._deadline, self._limit):
            if timer is not None:
                timer.cancel()
        if self._registration is not None:
            self._registration.unregister()
        dial, self._dial = self._dial, None
        if dial is not None:
            dial.close()
        link, self._link = self._link, None
        if link is not None:
            if error is None or isinstance(self._body, Refusal):
                self._links.give_back(link)
            else:
                link.close()
        self._ended()

    def _fail(self, error: BaseException) -> None:
        if self._context.token.cancelled:
            error = Cancelled("the request was cancelled")
        elif (
            isinstance(error, EngineError)
            and error.status >= 500
            and not isinstance(error, DeadlineExceeded)
            and not self._ask.probe  # the pool tells what becomes of the instance
        ):
            _log.warning(
                "an upstream failed",
                extra={
                    "upstream": self._ask.url,
                    "request_id": self._context.request_id,
                    "error": error.message,
                    "cause": repr(error.__cause__) if error.__cause__ else None,
                },
            )
        self._sink.fail(error)
