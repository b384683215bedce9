"""A unary answer while it is being generated: the sink that folds, and the wait for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from actors.engines.contract import Chunk
from actors.engines.errors import EngineTimeout
from http_service.folding import Fold
from http_service.metrics import InflightGuard
from http_service.server.stream import SILENT
from http_service.sse import usage_of_answer

__all__ = ["UnaryAnswer"]


class UnaryAnswer:
    """The sink of one unary request: folds chunks, or passes an engine's own answer through.

    The sink's methods may be called from any thread and never block; :meth:`wait` belongs to the
    one thread that answers the client.
    """

    def __init__(self, guard: InflightGuard, fold: Fold) -> None:
        self._guard = guard
        self._fold = fold
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._heard = time.monotonic()
        self._body: bytes | None = None
        self._error: BaseException | None = None

    def push(self, chunk: Chunk, tokens: int = 1) -> None:
        """Fold one chunk in; ignored once the answer is complete."""
        self._heard = time.monotonic()
        with self._lock:
            if self._done.is_set():
                return
            try:
                self._fold.add(chunk)
            except Exception as error:  # noqa: BLE001  # an engine's malformed chunk must not kill its thread
                self._error = error
                self._done.set()
                return
        if tokens > 0:
            self._guard.saw_tokens(tokens)

    def has_room(self, when_room: Callable[[], object]) -> bool:
        """Always: what is pushed waits in memory."""
        del when_room
        return True

    def answer(self, body: bytes) -> None:
        """The engine's own answer, passed on byte for byte."""
        with self._lock:
            if self._done.is_set():
                return
            self._body = body
            self._done.set()

    def finish(self) -> None:
        """The chunks make up the answer."""
        with self._lock:
            if self._done.is_set():
                return
            try:
                self._body = self._fold.answer()
            except Exception as error:  # noqa: BLE001  # see push
                self._error = error
            self._done.set()

    def fail(self, error: BaseException) -> None:
        """There will be no answer."""
        with self._lock:
            if self._done.is_set():
                return
            self._error = error
            self._done.set()

    def wait(self, silence: float) -> bytes:
        """The answer. Raises what the engine failed with, or ``EngineTimeout``.

        ``silence`` is how long the engine may say nothing, in seconds; each chunk starts it anew.
        """
        while not self._done.is_set():
            left = self._heard + silence - time.monotonic()
            if left <= 0:
                self.fail(EngineTimeout(SILENT))
            self._done.wait(max(left, 0))
        if self._error is not None:
            raise self._error
        body = self._body or b""
        tokens = self._fold.completion_tokens
        if tokens is None:
            tokens = usage_of_answer(body)
        if tokens is not None:
            self._guard.saw_usage(tokens)
        return body
