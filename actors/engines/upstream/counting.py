"""Asks an upstream how many tokens a prompt has: what is sent, and who waits for the answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

import orjson

from actors.engines.contract import Chunk, EngineRequest
from actors.engines.counting import COUNT_SECONDS, count_in, tokenize_body
from actors.engines.dialect import Counter
from actors.engines.errors import EngineTimeout
from actors.engines.upstream.request import body_of, renamed

__all__ = ["PAUSE_SECONDS", "CountSink", "question"]

PAUSE_SECONDS: Final = 10.0
"""Seconds for which an upstream that failed to count is not asked again: clients come in bursts."""


def question(
    counter: Counter, request: EngineRequest, model: str | None
) -> tuple[bytes, tuple[tuple[str, str], ...]]:
    """Body and further headers of what is asked; ``model`` is the upstream's own name. Pure."""
    original = request.original
    if counter is Counter.COUNT_TOKENS and original is not None:
        other = model is not None and model != request.model
        return (renamed(original.raw, model or "") if other else original.raw), original.headers
    if counter is Counter.TOKENIZE:
        return orjson.dumps(tokenize_body(request.body, model or request.model)), ()
    return body_of(request, model=model, fold=False), ()


class CountSink:
    """The sink of a count, and who waits for it."""

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._body = b""
        self._error: BaseException | None = None

    def wait(self) -> int:
        """The count. Blocks for a moment longer than the call's own deadline.

        Raises the ``EngineError`` that ended it, ``EngineTimeout``.
        """
        if not self._ended.wait(2 * COUNT_SECONDS):
            raise EngineTimeout("the upstream did not count in time")
        if self._error is not None:
            raise self._error
        return count_in(self._body)

    def push(self, chunk: Chunk, tokens: int = 1) -> None:
        """A count is not a stream: ignored."""

    def has_room(self, when_room: Callable[[], object]) -> bool:
        """Always."""
        del when_room
        return True

    def answer(self, body: bytes) -> None:
        """The document with the count."""
        self._body = body
        self._ended.set()

    def finish(self) -> None:
        """Without a document."""
        self._ended.set()

    def fail(self, error: BaseException) -> None:
        """There is no count."""
        self._error = error
        self._ended.set()
