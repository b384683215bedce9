"""The body of a streamed response, as any WSGI server can write it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from http_service.access_log import AccessRecord, log_request
from http_service.call import Call
from http_service.error_types import ErrorType
from http_service.server.stream import ResponseStream

__all__ = ["StreamBody"]


class StreamBody(Iterator[bytes]):
    """Iterates over a :class:`ResponseStream`, blocking the server's thread while it waits.

    The request is counted as cancelled unless the stream is read to its end: a body that a server
    drops without a word was dropped because the client left. The server must call :meth:`close`
    (PEP 3333 promises it); that ends the call and logs the request.

    ``silence`` is how long the engine may say nothing, in seconds.
    """

    def __init__(self, stream: ResponseStream, call: Call, silence: float, path: str) -> None:
        self._stream = stream
        self._call = call
        self._silence = silence
        self._path = path
        call.guard.mark(ErrorType.CANCELLED)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        data = self._stream.take(self._silence)
        if data:
            return data
        if self._stream.error is None:
            self._call.guard.mark_ok()
        else:
            self._call.report(self._stream.error)
        raise StopIteration

    def close(self) -> None:
        """The response has ended, or its client has left. Idempotent."""
        self._stream.abandon()
        if not self._call.end():
            return
        log_request(
            AccessRecord(
                request_id=self._call.context.request_id,
                method="POST",
                path=self._path,
                status=200,
                elapsed_ms=round(self._call.guard.elapsed * 1000, 3),
                **self._call.summary(),
            )
        )
