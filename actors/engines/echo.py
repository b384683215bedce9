"""A deterministic model that answers with the question: for trying things out, and for tests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, Final

from actors.engines.contract import Chunk, Context, EngineRequest, Kind, Sink
from actors.engines.echo_chunks import streamed, whole
from actors.engines.echo_text import plan
from actors.engines.generator import GeneratorAdapter
from actors.supervision.errors import Cancelled

__all__ = ["EchoEngine"]

# Delayed answers hold a thread each while they wait for their next token.
_MAX_DELAYED: Final = 256
_MAX_WAITING: Final = 1_024

_OBJECT: Final = {Kind.CHAT: "chat.completion.chunk", Kind.COMPLETIONS: "text_completion"}
_ID_PREFIX: Final = {Kind.CHAT: "chatcmpl-", Kind.COMPLETIONS: "cmpl-"}


class EchoEngine:
    """Echoes word by word: chat the last user message's text, completions the prompt(s).

    ``delay`` is in seconds a token, waited on the context's token, so that cancellation ends it at
    once. Honours ``max_tokens`` and ``max_completion_tokens`` (``finish_reason`` ``length``),
    ``stop``, ``n`` and lists of prompts; the last chunk is the usage. ``now`` gives ``created``.
    """

    def __init__(self, *, delay: float = 0.0, now: Callable[[], float] = time.time) -> None:
        if delay < 0:
            raise ValueError(f"delay is {delay} seconds: give 0 or more")
        self._delay = delay
        self._now = now
        self._serial = count(1)
        self._delayed = GeneratorAdapter(self, max_running=_MAX_DELAYED, max_waiting=_MAX_WAITING)

    def start(self, request: EngineRequest, sink: Sink, context: Context) -> None:
        """Push the whole answer at once; with a ``delay``, token by token from another thread."""
        if self._delay > 0:
            self._delayed.start(request, sink, context)
            return
        # PERF: without a delay there is nothing to wait for. A thread hop would cost more than the
        # answer (microseconds a chunk, and their number is bounded), so the caller pushes it.
        token = context.token
        for chunk, tokens in self._speak(request, context, stream=request.stream):
            if token.cancelled:
                break
            sink.push(chunk, tokens)
        if token.cancelled:
            sink.fail(Cancelled("the request was cancelled"))
        else:
            sink.finish()

    def generate(self, request: EngineRequest, context: Context) -> Iterator[Chunk]:
        """The answer's chunks, at the pace of ``delay``. Raises ``EngineRejected``."""
        for chunk, tokens in self._speak(request, context, stream=True):
            if tokens and self._delay > 0 and context.token.wait(self._delay):
                return
            yield chunk

    def _speak(
        self, request: EngineRequest, context: Context, *, stream: bool
    ) -> Iterator[tuple[Chunk, int]]:
        """Each chunk with its number of tokens; not streamed: a choice's text in one chunk."""
        kind = request.kind
        answer = plan(kind, request.body)
        head: dict[str, Any] = {
            "id": f"{_ID_PREFIX[kind]}{context.request_id or next(self._serial)}",
            "object": _OBJECT[kind],
            "created": int(self._now()),
            "model": request.model,
        }
        return (streamed if stream else whole)(kind, head, answer)

    def close(self, timeout: float = 5.0) -> bool:
        """Refuse new delayed answers and wait for the running ones; True if all ended in time."""
        return self._delayed.close(timeout)
