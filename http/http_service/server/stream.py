"""A streamed answer between the engine that pushes it and the server that writes it.

Rules of this file: :class:`ResponseStream` is the only thing both sides touch. The producer's side
(the ``Sink``) never blocks and knows nothing of sockets; the server's side only waits for, and
takes, ready bytes, so that who writes them can change without an engine noticing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from actors.engines.contract import Chunk
from actors.engines.errors import EngineTimeout, EngineUnavailable
from http_service.errors import reply_for
from http_service.metrics import InflightGuard
from http_service.sse import DONE, encode, error_event

__all__ = ["ResponseStream"]

SILENT: Final = "The engine was silent for longer than this service waits."


class ResponseStream:
    """The sink of one streamed request: chunks in, server-sent events out, in order.

    An answer has *begun* with its first token, or with its second event that is no comment: one
    event that only tells the role is held back. A failure before that leaves no byte behind, so it
    can still be an ordinary HTTP error; a failure after it becomes one error event and ``[DONE]``.
    """

    def __init__(self, guard: InflightGuard, *, include_usage: bool) -> None:
        self._guard = guard
        self._include_usage = include_usage
        self._changed = threading.Condition()
        self._frames: list[bytes] = []
        self._held_back = False
        self._begun = False
        self._ended = False
        self._error: BaseException | None = None

    # The producer's side: any thread, never blocks.

    def push(self, chunk: Chunk, tokens: int = 1) -> None:
        """Take one chunk; ignored once the stream has ended."""
        if self._ended:
            return
        frame = encode(chunk, include_usage=self._include_usage)
        if tokens > 0:
            self._guard.saw_tokens(tokens)
        if frame.completion_tokens is not None:
            self._guard.saw_usage(frame.completion_tokens)
        if not frame.data:
            return
        with self._changed:
            if self._ended:
                return
            self._frames.append(frame.data)
            if tokens > 0 or self._held_back:
                self._begun = self._begun or not frame.comment
            elif not frame.comment:
                self._held_back = True
            if self._begun:
                self._changed.notify()

    def has_room(self, when_room: Callable[[], object]) -> bool:
        """Always: what is pushed waits in memory."""
        del when_room
        return True

    def answer(self, body: bytes) -> None:
        """A whole answer where a stream was asked for is the engine's mistake: it fails."""
        del body
        self.fail(EngineUnavailable("The engine did not answer with a stream."))

    def finish(self) -> None:
        """End the stream well: ``[DONE]``."""
        with self._changed:
            if self._ended:
                return
            self._frames.append(DONE)
            self._begun = self._ended = True
            self._changed.notify()

    def fail(self, error: BaseException) -> None:
        """End the stream badly: with an HTTP error if it has not begun, else with an event."""
        with self._changed:
            if self._ended:
                return
            self._ended = True
            self._error = error
            if self._begun:
                self._frames += (error_event(reply_for(error)), DONE)
            self._changed.notify()

    # The server's side: one thread at a time.

    @property
    def error(self) -> BaseException | None:
        """What ended the stream badly, if something did."""
        return self._error

    def wait_until_begun(self, timeout: float) -> BaseException | None:
        """Wait for the first token or the end; return the error that came instead of an answer.

        An engine silent for ``timeout`` seconds counts as failed with ``EngineTimeout``.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._begun or self._ended, timeout)
        if not self._begun:
            self.fail(EngineTimeout(SILENT))
        return None if self._begun else self._error

    def take(self, timeout: float) -> bytes:
        """Wait for events and take all that are ready, joined; empty at the end of the stream.

        An engine silent for ``timeout`` seconds ends the stream with an error event.
        """
        frames = self._take(timeout)
        if not frames and not self._ended:
            self.fail(EngineTimeout(SILENT))
            frames = self._take(0)
        return b"".join(frames)

    def abandon(self) -> None:
        """Nobody reads any more: whatever comes now is dropped."""
        with self._changed:
            self._ended = True
            self._frames.clear()
            self._changed.notify()

    def _take(self, timeout: float) -> list[bytes]:
        with self._changed:
            self._changed.wait_for(lambda: self._frames or self._ended, timeout)
            frames, self._frames = self._frames, []
        return frames
