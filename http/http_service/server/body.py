"""The body of a streamed response, as any WSGI server can write it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from http_service.call import Call
from http_service.error_types import ErrorType
from http_service.server.delivery import Answer
from http_service.server.waiting import AnswerWait

__all__ = ["StreamBody"]


class StreamBody(Iterator[bytes]):
    """Iterates over a streamed answer, blocking the server's thread while it waits.

    The request is counted as cancelled unless the stream is read to its end: a body that a server
    drops without a word was dropped because the client left. The server must call :meth:`close`
    (PEP 3333 promises it); that ends the call and logs the request.
    """

    def __init__(self, answer: Answer, wait: AnswerWait, call: Call) -> None:
        self._answer = answer
        self._wait = wait
        self._call = call
        call.guard.mark(ErrorType.CANCELLED)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        data = self._wait.take()
        if data:
            return data
        if self._answer.error is None:
            self._call.guard.mark_ok()
        else:
            self._call.report(self._answer.error)
        raise StopIteration

    def close(self) -> None:
        """The response has ended, or its client has left. Idempotent."""
        self._answer.abandon()
        self._call.conclude(200)
