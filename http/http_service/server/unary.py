"""A unary answer while it is being generated: the sink that folds, and what comes of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from actors.engines.contract import Chunk
from http_service.folding import Fold
from http_service.metrics import InflightGuard
from http_service.sse import usage_of_answer

__all__ = ["UnaryAnswer"]


class UnaryAnswer:
    """The sink of one unary request: folds chunks, or passes an engine's own answer through.

    It has begun when it is complete. The sink's methods may be called from any thread and never
    block; the others are the consumer's (see ``Answer``).
    """

    whole = True

    def __init__(self, guard: InflightGuard, fold: Fold) -> None:
        self.begun = False
        self.ended = False
        self.error: BaseException | None = None
        self.heard = time.monotonic()
        self.size = 0
        self._guard = guard
        self._fold = fold
        self._lock = threading.Lock()
        self._body = b""
        self._tokens = self._counted = 0
        self._wake: Callable[[], object] = _nobody

    def push(self, chunk: Chunk, tokens: int = 1) -> None:
        """Fold one chunk in; ignored once the answer is complete."""
        self.heard = time.monotonic()
        try:
            with self._lock:
                if self.ended:
                    return
                self._fold.add(chunk)
                first = self._tokens == 0
                if tokens > 0:
                    self._tokens += tokens
        except Exception as error:  # noqa: BLE001  # an engine's malformed chunk must not kill its thread
            self.fail(error)
            return
        # PERF: the first one tells how long the client would have waited; the rest is one sum.
        if first and tokens > 0:
            self._guard.saw_tokens(tokens)
            self._counted = tokens

    def has_room(self, when_room: Callable[[], object]) -> bool:
        """Always: an answer that is folded waits for its end, not for its client."""
        del when_room
        return True

    def answer(self, body: bytes) -> None:
        """The engine's own answer, passed on byte for byte."""
        self._end(lambda: body)

    def finish(self) -> None:
        """The chunks make up the answer."""
        self._end(self._fold.answer)

    def fail(self, error: BaseException) -> None:
        """There will be no answer."""
        with self._lock:
            if self.ended:
                return
            self.error = error
            self.ended = True
        self._wake()

    # The consumer's side: see ``Answer``.

    def attach(self, wake: Callable[[], object]) -> None:
        """Have ``wake()`` called at the end."""
        self._wake = wake

    def take(self) -> bytes:
        """The answer, once; its usage is counted with it."""
        body, self._body = self._body, b""
        if self._tokens > self._counted:
            self._guard.saw_tokens(self._tokens - self._counted)
        tokens = self._fold.completion_tokens
        if tokens is None:
            tokens = usage_of_answer(body)
        if tokens is not None:
            self._guard.saw_usage(tokens)
        return body

    def abandon(self) -> None:
        """Nobody waits any more: whatever comes now is dropped."""
        with self._lock:
            self.ended = True
        # PERF: who is woken holds the answer, and an error's traceback may: cycles otherwise.
        self._wake, self.error = _nobody, None

    def _end(self, answer: Callable[[], bytes]) -> None:
        with self._lock:
            if self.ended:
                return
            try:
                self._body = answer()
                self.begun = True
            except Exception as error:  # noqa: BLE001  # see push
                self.error = error
            self.ended = True
        self._wake()


def _nobody() -> None:
    """Nobody waits yet; whoever attaches looks first."""
