"""A streamed answer between the engine that pushes it and the server that writes it.

Rules of this file: :class:`ResponseStream` is the only thing both sides touch. The producer's side
(the ``Sink``) never blocks and knows nothing of sockets; the consumer's side (the ``Answer``) is
woken and takes what is ready, so that who writes it can change without an engine noticing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from actors.engines.contract import COMMENTS_AFTER, Chunk
from actors.engines.errors import EngineUnavailable
from http_service.errors import reply_for
from http_service.metrics import InflightGuard
from http_service.sse import COMMENT, DONE, EVENT_ENDS, USAGE, encode, error_event, event_of

__all__ = ["ROOM_BYTES", "ResponseStream"]

ROOM_BYTES: Final = 64 * 1024
"""Bytes that may wait for a client, beyond the kernel's buffers, before its engine is told to wait:
several hundred tokens, so that no engine is paused for a hiccup."""


class ResponseStream:
    """The sink of one streamed request: chunks in, server-sent events out, in order.

    An answer has *begun* with its first token, or with its second event that is no comment: one
    event that only tells the role is held back. A failure before that leaves no byte behind, so it
    can still be an ordinary HTTP error; a failure after it becomes one error event and ``[DONE]``.
    A comment that comes ``COMMENTS_AFTER`` seconds after the request, or later, begins it too.
    """

    whole = False

    def __init__(
        self,
        guard: InflightGuard,
        *,
        include_usage: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.begun = False
        self.ended = False
        self.error: BaseException | None = None
        self.heard = self._since = clock()
        self._clock = clock
        self.size = 0
        self._guard = guard
        self._include_usage = include_usage
        self._lock: Final = threading.Lock()
        self._frames: list[bytes] = []
        self._tokens = 0
        self._usage: int | None = None
        self._held_back = False
        self._waiting: Callable[[], object] | None = None
        self._wake: Callable[[], object] = _nobody

    # The producer's side: any thread, never blocks.

    def push(self, chunk: Chunk, tokens: int = 1) -> None:
        """Take one chunk; ignored once the stream has ended."""
        # PERF: most chunks of a relay are tokens, ready and without usage; they are told from the
        # others right here. They are never decoded, and the `"usage":null` of some servers is no
        # reason to. Usage is searched from the end, where it is: a tenth of the time.
        if (
            isinstance(chunk, bytes)
            and chunk.endswith(EVENT_ENDS)
            and chunk[0] != COMMENT
            and chunk.rfind(USAGE) < 0
        ):
            event, comment = chunk, False
        else:
            event, comment = self._look_into(chunk)
            if not event:
                return
        # PERF: here `with` would cost as much as all that is done under the lock.
        self._lock.acquire()
        try:
            if self.ended:
                return
            self._frames.append(event)
            # NOTE: an engine is told to wait after an event, which may be of any length: it counts
            # as no more than what makes it wait.
            size = len(event)
            self.size += size if size < ROOM_BYTES else ROOM_BYTES  # noqa: FURB136  # PERF: each token
            if tokens > 0:
                self._tokens += tokens
            if not self.begun:
                self._may_begin(tokens, comment=comment)
        finally:
            self._lock.release()
        if self.begun:
            self._wake()

    def has_room(self, when_room: Callable[[], object]) -> bool:
        """Whether the client keeps up; see ``Sink``."""
        # PERF: no lock while there is room.
        if self.size < ROOM_BYTES:
            return True
        with self._lock:
            if self.size < ROOM_BYTES or self.ended:
                return True
            self._waiting = when_room
            return False

    def answer(self, body: bytes) -> None:
        """A whole answer where a stream was asked for is the engine's mistake: it fails."""
        del body
        self.fail(EngineUnavailable("The engine did not answer with a stream."))

    def finish(self) -> None:
        """End the stream well: ``[DONE]``."""
        self._end(None)

    def fail(self, error: BaseException) -> None:
        """End the stream badly: with an HTTP error if it has not begun, else with an event."""
        self._end(error)

    # The consumer's side: see ``Answer``.

    def attach(self, wake: Callable[[], object]) -> None:
        """Have ``wake()`` called when events are ready, and at the end."""
        self._wake = wake

    def take(self) -> bytes:
        """Every event that is ready, joined; an engine that waits for room may go on.

        PERF: tokens are counted, and signs of life noted, once for all that came since the last
        time.
        """
        self._lock.acquire()
        try:
            frames, self._frames = self._frames, []
            tokens, self._tokens = self._tokens, 0
            self.size = 0
            waiting, self._waiting = self._waiting, None
        finally:
            self._lock.release()
        if frames:
            self.heard = self._clock()
        if tokens:
            self._guard.saw_tokens(tokens)
        if self._usage is not None:
            self._guard.saw_usage(self._usage)
        if waiting is not None:
            waiting()
        return frames[0] if len(frames) == 1 else b"".join(frames)

    def abandon(self) -> None:
        """Nobody reads any more: whatever comes now is dropped; what came is still counted."""
        if self._tokens or self._frames:
            self.take()
        with self._lock:
            self.ended = True
            self._frames.clear()
            self.size = 0
        # PERF: who is woken holds the answer, and an error's traceback may: cycles otherwise.
        self._wake, self.error = _nobody, None
        self._resume_engine()

    def _look_into(self, chunk: Chunk) -> tuple[bytes, bool]:
        """The event of ``chunk``, empty if there is none; whether it is a comment.

        Bytes that do not end an event end the stream instead: half an event would swallow the next
        one, and with it the end of the stream.
        """
        if isinstance(chunk, bytes):
            if not chunk.endswith(EVENT_ENDS):
                self.fail(EngineUnavailable("The engine sent what is no event."))
                return b"", False
        elif chunk.get("usage") is None:
            return event_of(chunk), False
        self.heard = self._clock()
        event, comment, usage = encode(chunk, include_usage=self._include_usage)
        if usage is not None:
            self._usage = usage
        return event, comment

    def _may_begin(self, tokens: int, *, comment: bool) -> None:
        """Something came before the answer has begun: does it begin now? Under the lock."""
        self.heard = self._clock()
        if tokens > 0:
            self.begun = not comment
        elif not comment:
            self.begun, self._held_back = self._held_back, True
        else:
            self.begun = self.heard - self._since >= COMMENTS_AFTER

    def _end(self, error: BaseException | None) -> None:
        with self._lock:
            if self.ended:
                return
            if error is None:
                self._frames.append(DONE)
                self.begun = True
            else:
                self.error = error
                if self.begun:
                    self._frames += (error_event(reply_for(error)), DONE)
            self.ended = True
        self._resume_engine()
        self._wake()

    def _resume_engine(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting()


def _nobody() -> None:
    """Nobody waits yet; whoever attaches looks first."""
