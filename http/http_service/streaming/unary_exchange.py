"""A unary answer: chunks are folded, an engine's own is passed on; written when it is complete."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar

from actors.engines.contract import Chunk
from http_service.streaming.exchange import Exchange
from http_service.streaming.fold import Fold
from http_service.streaming.stream_exchange import usage_of_answer

__all__ = [
    "UnaryExchange",
]


class UnaryExchange(Exchange):
    """An exchange whose answer has begun when it is complete."""

    __slots__ = ("_body", "_counted", "_fold", "_id_prefix", "_tokens")

    whole: ClassVar[bool] = True

    # The engine's side: any thread, never blocks.

    def prepare(self, id_prefix: str) -> None:
        """Take chunks from now on; the id of a folded answer begins with ``id_prefix``."""
        self._id_prefix = id_prefix
        # PERF: an upstream's own answer needs no fold.
        self._fold: Fold | None = None
        self._body = b""
        self._tokens = self._counted = 0

    def deliver(self, chunk: Chunk, tokens: int) -> None:
        """Fold one chunk in; ignored once the answer is complete."""
        self.heard = self.clock()
        try:
            with self.lock:
                if self.ended:
                    return
                fold = self._fold or self._new_fold()
                fold.add(chunk)
                first = self._tokens == 0
                if tokens > 0:
                    self._tokens += tokens
        except Exception as error:  # noqa: BLE001  # an engine's malformed chunk must not kill its thread
            self.cut(error)
            return
        # PERF: the first one tells how long the client would have waited; the rest is one sum.
        if first and tokens > 0:
            self.guard.saw_tokens(tokens, self.heard)
            self._counted = tokens

    def room(self, when_room: Callable[[], object]) -> bool:
        """Always: an answer that is folded waits for its end, not for its client."""
        del when_room
        return True

    def deliver_answer(self, body: bytes) -> None:
        """The engine's own answer, passed on byte for byte."""
        with self.lock:
            if self.ended:
                return
            self._body = body
            self.begun = self.ended = True
        self._stir()

    def deliver_end(self) -> None:
        """The chunks make up the answer."""
        with self.lock:
            if self.ended:
                return
            try:
                self._body = (self._fold or self._new_fold()).answer()
                self.begun = True
            except Exception as error:  # noqa: BLE001  # see deliver
                self.error = error
            self.ended = True
        self._stir()

    def deliver_error(self, error: BaseException) -> None:
        """There will be no answer."""
        with self.lock:
            if self.ended:
                return
            self.error = error
            self.ended = True
        self._stir()

    def _new_fold(self) -> Fold:
        request = self.request
        self._fold = Fold(
            request.kind,
            id=self._id_prefix + self.context.request_id,
            created=int(time.time()),
            model=request.model,
        )
        return self._fold

    # The client's side.

    def take(self) -> bytes:
        """The answer, once; its tokens and its usage are counted with it."""
        body, self._body = self._body, b""
        if self._tokens > self._counted:
            self.guard.saw_tokens(self._tokens - self._counted, self.clock())
        usage = None if self._fold is None else self._fold.completion_tokens
        if usage is None:
            usage = usage_of_answer(body)
        if usage is not None:
            self.guard.saw_usage(usage)
        return body
