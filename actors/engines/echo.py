"""A deterministic model that answers with the question: for trying things out, and for tests.

PERF: all but a token's text is the same in each event of a stream, so it is encoded once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, Final, NamedTuple, assert_never

from orjson import dumps

from actors.engines.contract import Chunk, Context, EngineRequest, Kind, Sink
from actors.engines.echo_text import Plan, plan
from actors.engines.errors import AnswerTooLong
from actors.engines.generator import GeneratorAdapter
from actors.engines.lenient_json import encode
from actors.supervision.errors import Cancelled

__all__ = ["EchoEngine"]

# Delayed answers hold a thread each while they wait for their next token.
_MAX_DELAYED: Final = 256
_MAX_WAITING: Final = 1_024

RUN: Final = 64
"""Tokens that are pushed at once: few enough for a client that leaves to end the answer soon."""

MAX_BYTES: Final = 64 * 1024 * 1024
"""Characters of a whole answer, over all choices: as many as the service holds of a folded one."""


class _Format(NamedTuple):
    """How OpenAI writes the responses of one kind of model.

    ``role``, ``before``, ``after`` and ``end`` are the events of one choice, from the choice on: a
    token's text stands between ``before`` and ``after``; ``role`` is empty where there is none.
    """

    id_prefix: str
    chunk: str
    whole: str
    role: bytes
    before: bytes
    after: bytes
    end: bytes


def _format(kind: Kind) -> _Format:
    match kind:
        case Kind.CHAT:
            return _Format(
                "chatcmpl-",
                "chat.completion.chunk",
                "chat.completion",
                b'{"index":%d,"delta":{"role":"assistant","content":""},'
                b'"logprobs":null,"finish_reason":null}]}\n\n',
                b'{"index":%d,"delta":{"content":',
                b'},"logprobs":null,"finish_reason":null}]}\n\n',
                b'{"index":%d,"delta":{},"logprobs":null,"finish_reason":"%b"}]}\n\n',
            )
        case Kind.COMPLETIONS:
            return _Format(
                "cmpl-",
                "text_completion",
                "text_completion",
                b"",
                b'{"index":%d,"text":',
                b',"logprobs":null,"finish_reason":null}]}\n\n',
                b'{"index":%d,"text":"","logprobs":null,"finish_reason":"%b"}]}\n\n',
            )
        case _:
            assert_never(kind)


_FORMATS: Final = {kind: _format(kind) for kind in Kind}


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
        """Answer at once, whole or in runs; with a ``delay``, by token from another thread."""
        if self._delay > 0:
            self._delayed.start(request, sink, context)
            return
        # PERF: without a delay there is nothing to wait for. A thread hop would cost more than the
        # answer (microseconds a run, and their number is bounded), so the caller pushes it.
        kind = request.kind
        answer = plan(kind, request.body)
        head = self._head(request, context)
        if request.stream:
            for chunk, tokens in _runs(kind, head, answer, RUN):
                if context.cancelled:
                    break
                sink.push(chunk, tokens)
        elif not context.cancelled:
            sink.answer(_whole(kind, head, answer))
            return
        if context.cancelled:
            sink.fail(Cancelled("the request was cancelled"))
        else:
            sink.finish()

    def generate(self, request: EngineRequest, context: Context) -> Iterator[Chunk]:
        """The answer's chunks, at the pace of ``delay``. Raises ``EngineRejected``."""
        kind = request.kind
        answer = plan(kind, request.body)
        for chunk, tokens in _runs(kind, self._head(request, context), answer, 1):
            if tokens and self._delay > 0 and context.token.wait(self._delay):
                return
            yield chunk

    def _head(self, request: EngineRequest, context: Context) -> dict[str, Any]:
        """The fields that every chunk begins with."""
        written = _FORMATS[request.kind]
        return {
            "id": f"{written.id_prefix}{context.request_id or next(self._serial)}",
            "object": written.chunk,
            "created": int(self._now()),
            "model": request.model,
        }

    def close(self, timeout: float = 5.0) -> bool:
        """Refuse new delayed answers and wait for the running ones; True if all ended in time."""
        return self._delayed.close(timeout)


def _runs(kind: Kind, head: dict[str, Any], answer: Plan, most: int) -> Iterator[tuple[bytes, int]]:
    """The events, ``most`` tokens at a time, with their tokens; at last the usage, alone.

    Of each choice its role (of a chat), its tokens, its end. One by one nothing is joined.
    """
    written = _FORMATS[kind]
    begin = b"data: %b" % dumps({**head, "choices": []})[:-2]  # up to where a choice stands
    for index, choice in enumerate(answer.choices):
        before, after = begin + written.before % index, written.after
        between = after + before
        role = begin + written.role % index if written.role else b""
        end = begin + written.end % (index, choice.finish.encode())
        left = len(choice.tokens)
        if role and (most == 1 or not left):
            yield role, 0
            role = b""
        for at in range(0, left, most):
            run = choice.tokens[at : at + most]
            events = before + between.join(map(dumps, run)) + after
            if role:
                events, role = role + events, b""
            if most > 1 and at + most >= left:
                events, end = events + end, b""
            yield events, len(run)
        if end:
            yield end, 0
    yield b"data: %b\n\n" % dumps({**head, "choices": [], "usage": _usage(answer)}), 0


def _whole(kind: Kind, head: dict[str, Any], answer: Plan) -> bytes:
    """The unary answer, as the service would fold it. Raises ``AnswerTooLong``."""
    choices: list[dict[str, Any]] = []
    size = 0
    for index, choice in enumerate(answer.choices):
        text = "".join(choice.tokens)
        size += len(text)
        if size > MAX_BYTES:
            raise AnswerTooLong("The engine's answer is too long.")
        content: dict[str, Any]
        match kind:
            case Kind.CHAT:
                message = {"role": "assistant", "content": text, "refusal": None}
                content = {"message": message}
            case Kind.COMPLETIONS:
                content = {"text": text}
            case _:
                assert_never(kind)
        choices.append(
            {"index": index, **content, "logprobs": None, "finish_reason": choice.finish}
        )
    return encode(
        {
            "id": head["id"],
            "created": head["created"],
            "model": head["model"],
            "object": _FORMATS[kind].whole,
            "choices": choices,
            "usage": _usage(answer),
        }
    )


def _usage(answer: Plan) -> dict[str, int]:
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "total_tokens": answer.prompt_tokens + answer.completion_tokens,
    }
