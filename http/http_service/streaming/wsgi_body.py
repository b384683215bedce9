"""A response under any other WSGI server: the thread that called the application waits for it."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from typing import Final, Self

from actors.engines.errors import EngineTimeout
from http_service.errors import ErrorType
from http_service.streaming.exchange import DEADLINE_PASSED, ENGINE_SILENT, Exchange

__all__ = [
    "BlockingReader",
    "StreamBody",
]


class BlockingReader:
    """Takes the response of ``exchange`` on the thread that calls it, which it blocks.

    ``idle_timeout`` is how long the engine may be silent, in seconds; each push restarts it. An
    engine past it, or past the client's own deadline, has failed with ``EngineTimeout``.
    """

    def __init__(self, exchange: Exchange, idle_timeout: float) -> None:
        deadline = exchange.context.deadline
        self._exchange = exchange
        self._idle_timeout = idle_timeout
        self._deadline: Final = math.inf if deadline is None else deadline
        self._woken = threading.Event()
        exchange.on_ready(self._woken.set)

    def until_started(self) -> BaseException | None:
        """Wait until there is something to write; the error that came instead, if one did."""
        exchange = self._exchange
        while not (exchange.started or exchange.finished):
            self._wait()
        return None if exchange.started else exchange.error

    def take(self) -> bytes:
        """Wait for bytes and take all that are ready; empty at the end."""
        exchange = self._exchange
        while True:
            self._woken.clear()
            finished = exchange.finished
            data = exchange.take()
            if data or finished:
                return data
            self._wait()

    def _wait(self) -> None:
        exchange = self._exchange
        now = exchange.clock()
        left = min(exchange.last_activity + self._idle_timeout, self._deadline) - now
        if left <= 0:
            why = DEADLINE_PASSED if self._deadline <= now else ENGINE_SILENT
            exchange.terminate(EngineTimeout(why))
        elif self._woken.wait(left):
            self._woken.clear()


class StreamBody(Iterator[bytes]):
    """Iterates over a streamed response, blocking the server's thread while it waits.

    The request is counted as cancelled unless the stream is read to its end: a server drops a body
    because the client left. The server must call :meth:`close`
    (PEP 3333 promises it); that ends the exchange and logs the request.
    """

    def __init__(self, exchange: Exchange, wait: BlockingReader) -> None:
        self._exchange = exchange
        self._wait = wait
        exchange.guard.error_type = ErrorType.CANCELLED

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        data = self._wait.take()
        if data:
            return data
        exchange = self._exchange
        error = exchange.error
        if error is None:
            exchange.guard.error_type = ErrorType.NONE
            raise StopIteration
        exchange.record_error(error)
        if exchange.breaks_off:
            raise error  # the server then breaks off, too
        raise StopIteration

    def close(self) -> None:
        """The response has ended, or its client has left. Idempotent."""
        self._exchange.close_books(200)
