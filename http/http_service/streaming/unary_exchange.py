"""A unary response: chunks are folded, an engine's own passes as it is; written when complete."""

from __future__ import annotations

import re
import time
from _thread import get_ident
from collections.abc import Callable
from typing import ClassVar, Final

from actors.engines.contract import Chunk, generates
from actors.engines.errors import EngineUnavailable
from http_service.errors import ClientGone, ErrorType
from http_service.headers import NO_STORE
from http_service.streaming.exchange import Exchange, response_head
from http_service.streaming.fold import Fold
from http_service.streaming.sse import PROMPT_TOKENS

__all__ = ["NO_DOCUMENT", "UnaryExchange"]

# PERF: not decoded. Inside a JSON text the quotes would be escaped, so this is a key.
_COMPLETION_TOKENS: Final = re.compile(rb'"completion_tokens"\s*:\s*([0-9]{1,15})\s*[,}]').match
_KEY: Final = b'"completion_tokens"'

BESIDE: Final = 256
"""Bytes between two counts of one usage object, at most."""

_SUCCESS: Final = ErrorType.NONE

NO_DOCUMENT: Final = "The engine answered with something else than one JSON object."


class UnaryExchange(Exchange):
    """An exchange whose response has started when it is complete."""

    __slots__ = ("_body", "_counted", "_fold", "_id_prefix", "_tokens")

    complete_only: ClassVar[bool] = True

    # The engine's side: any thread, never blocks.

    def prepare(self, id_prefix: str) -> None:
        """Take chunks from now on; the id of a folded response begins with ``id_prefix``."""
        self._id_prefix = id_prefix
        self._tokens: int
        self._counted: int
        # PERF: an upstream's own response needs no fold.
        self._fold: Fold | None = None

    def deliver(self, chunk: Chunk, tokens: int) -> None:
        """Fold one chunk in; ignored once the response is complete."""
        self.last_activity = self.clock()
        try:
            with self.lock:
                if self.finished:
                    return
                fold = self._fold or self._new_fold()
                fold.add(chunk)
                first = self._tokens == 0
                if tokens > 0:
                    self._tokens += tokens
        except Exception as error:  # noqa: BLE001  # an engine's malformed chunk must not kill its thread
            self.terminate(error)
            return
        # PERF: the first one tells how long the client would have waited; the rest is one sum.
        if first and tokens > 0:
            self.guard.record_tokens(tokens, self.last_activity)
            self._counted = tokens

    def room(self, when_room: Callable[[], object]) -> bool:
        """Always: a response that is folded waits for its end, not for its client."""
        del when_room
        return True

    def deliver_answer(self, body: bytes) -> None:
        """The engine's own response, passed on byte for byte."""
        # PERF: no lock: an answer is delivered once, and by one thread.
        if self.finished:
            return
        self._body = body
        self.started = self.finished = True
        loop = self._loop
        if loop is not None and loop.thread == get_ident():
            self._flush()
        else:
            self._schedule_flush()

    def deliver_end(self) -> None:
        """The chunks make up the response."""
        with self.lock:
            if self.finished:
                return
            try:
                self._body = (self._fold or self._new_fold()).response()
                self.started = True
            except Exception as error:  # noqa: BLE001  # see deliver
                self.error = error
            self.finished = True
        self._schedule_flush()

    def deliver_error(self, error: BaseException) -> None:
        """There will be no response."""
        with self.lock:
            if self.finished:
                return
            self.error = error
            self.finished = True
        self._schedule_flush()

    def _new_fold(self) -> Fold:
        request = self.request
        kind = request.kind
        if not generates(kind):
            raise EngineUnavailable(NO_DOCUMENT)
        self._tokens = self._counted = 0
        self._fold = fold = Fold(
            kind,
            id=self._id_prefix + self.context.request_id,
            created=int(time.time()),
            model=request.model,
        )
        return fold

    # The client's side.

    def take(self) -> bytes:
        """The response, once; its tokens and its usage are counted with it."""
        body, self._body = self._body, b""
        usage = found = None
        fold = self._fold
        if fold is not None:
            left = self._tokens - self._counted
            if left > 0:
                self._counted = self._tokens
                self.guard.record_tokens(left, self.clock())
            usage = fold.completion_tokens
        # PERF: looked for from the end, where usage stands.
        if usage is None and (at := body.rfind(_KEY)) >= 0:
            found = _COMPLETION_TOKENS(body, at)
            usage = None if found is None else int(found[1])
        if usage is not None:
            self.guard.usage = usage
            # PERF: both stand in one small object, a fold's at its end: looked for only there.
            at = len(body) if found is None else found.start()
            near = PROMPT_TOKENS(body, max(at - BESIDE, 0), at + BESIDE)
            if near is not None:
                self.guard.input_tokens = int(near[1])
        return body

    def _flush(self) -> None:
        """Write the response, head and body in one go."""
        self._scheduled = False
        connection = self.connection
        if self._over or not self.started or connection is None:
            if self.error is not None and not self._over:
                self._send_error(self.error)
            return
        try:
            body = self.take()
            headers, version = self._headers, self._version
            headers += (("content-length", str(len(body))), NO_STORE)
            if self._close or version != "1.1" or connection.draining:
                self._add_connection_header()
            data = response_head(version, "200 OK", headers) + body
        except Exception as error:  # noqa: BLE001  # what an engine gave is not bytes, say
            self._send_error(error)
            return
        try:
            connection.send_now(data)
        except ClientGone:
            self.client_left()
            return
        # PERF: as :meth:`_end`.
        self.guard.error_type = _SUCCESS
        self.connection = None
        self.close_books(200)
        connection.resume(close=self._close)
