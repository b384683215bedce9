"""A deterministic model that answers with the question: for trying things out, and for tests.

PERF: all but a token's text is the same in each event of a stream, so it is encoded once.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import Any, Final, NamedTuple, assert_never

from orjson import OPT_INDENT_2, dumps

from actors.engines.adapters import GeneratorAdapter
from actors.engines.contract import (
    GENERATING,
    Chunk,
    Context,
    EngineRequest,
    Generating,
    Kind,
    Sink,
    generates,
)
from actors.engines.dialect import ReadEvents
from actors.engines.echo_embeddings import embeddings
from actors.engines.errors import AnswerTooLong, EngineRejected
from actors.engines.lenient_json import encode
from actors.supervision.errors import Cancelled

__all__ = ["MAX_CHOICES", "MAX_TOKENS", "RUN", "EchoEngine"]

# Delayed answers hold a thread each while they wait for their next token.
_MAX_DELAYED: Final = 256
_MAX_WAITING: Final = 1_024

RUN: Final = 64
"""Tokens that are pushed at once: few enough for a client that leaves to end the answer soon."""

MAX_BYTES: Final = 64 * 1024 * 1024
"""Characters of a whole answer, all choices together: the service's own limit."""

MAX_TOKENS: Final = 65_536
"""Tokens of one answer, all choices together: a 45 MiB prompt must not become a million chunks."""

MAX_CHOICES: Final = 1_024
"""Choices of one answer: each costs two chunks beside its tokens."""

_LISTED: Final = 64 * 1024
"""Characters of a text up to which all its tokens are listed at once."""

_TOKEN: Final = re.compile(r"\s*\S+|\s+")
"""A token is a word with the white space before it, as language models have it."""


class _Format(NamedTuple):
    """How OpenAI writes the responses of one kind of model.

    ``role``, ``before``, ``after`` and ``end`` are the events of one choice, from the choice on: a
    token's text stands between ``before`` and ``after``; ``role`` is empty where there is none.
    ``message`` is whether a whole choice has a message, and not a text.
    """

    id_prefix: str
    chunk: str
    whole: str
    message: bool
    role: bytes
    before: bytes
    after: bytes
    end: bytes


def _format(kind: Generating) -> _Format:
    match kind:
        case Kind.CHAT:
            return _Format(
                id_prefix="chatcmpl-",
                chunk="chat.completion.chunk",
                whole="chat.completion",
                message=True,
                role=b'{"index":%d,"delta":{"role":"assistant","content":""},'
                b'"logprobs":null,"finish_reason":null}]}\n\n',
                before=b'{"index":%d,"delta":{"content":',
                after=b'},"logprobs":null,"finish_reason":null}]}\n\n',
                end=b'{"index":%d,"delta":{},"logprobs":null,"finish_reason":"%b"}]}\n\n',
            )
        case Kind.COMPLETIONS:
            return _Format(
                id_prefix="cmpl-",
                chunk="text_completion",
                whole="text_completion",
                message=False,
                role=b"",
                before=b'{"index":%d,"text":',
                after=b',"logprobs":null,"finish_reason":null}]}\n\n',
                end=b'{"index":%d,"text":"","logprobs":null,"finish_reason":"%b"}]}\n\n',
            )
        case _:
            assert_never(kind)


_FORMATS: Final = {kind: _format(kind) for kind in GENERATING}


class EchoEngine:
    """Echoes word by word: chat the last user message's text, completions the prompt(s).

    ``delay`` is in seconds a token, waited on the context's token, so that cancellation ends it at
    once. Honours ``max_tokens`` and ``max_completion_tokens`` (``finish_reason`` ``length``),
    ``stop``, ``n`` and lists of prompts; the last chunk is the usage. ``now`` gives ``created``.
    Where one document answers it is the embeddings of the ``input`` (``echo_embeddings``).
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
        if not generates(kind):
            self._document(request, sink, context)
            return
        answer = plan(kind, request.body)
        head = self._head(kind, request, context)
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

    def _document(self, request: EngineRequest, sink: Sink, context: Context) -> None:
        if context.cancelled:
            sink.fail(Cancelled("the request was cancelled"))
        else:
            sink.answer(encode(embeddings(request.body)))

    def generate(self, request: EngineRequest, context: Context) -> Iterator[Chunk]:
        """The answer's chunks, at the pace of ``delay``. Raises ``EngineRejected``."""
        kind = request.kind
        if not generates(kind):
            yield embeddings(request.body)
            return
        answer = plan(kind, request.body)
        for chunk, tokens in _runs(kind, self._head(kind, request, context), answer, 1):
            if tokens and self._delay > 0 and context.token.wait(self._delay):
                return
            yield chunk

    def _head(self, kind: Generating, request: EngineRequest, context: Context) -> dict[str, Any]:
        """The fields that every chunk begins with."""
        written = _FORMATS[kind]
        return {
            "id": f"{written.id_prefix}{context.request_id or next(self._serial)}",
            "object": written.chunk,
            "created": int(self._now()),
            "model": request.model,
        }

    def close(self, timeout: float = 5.0) -> bool:
        """Refuse new delayed answers and wait for the running ones; True if all ended in time."""
        return self._delayed.close(timeout)


def _runs(
    kind: Generating, head: dict[str, Any], answer: _Plan, most: int
) -> Iterator[tuple[bytes, int]]:
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
            last = most > 1 and at + most >= left
            # PERF: put together once: a run is some ten kilobytes.
            parts = (role, before, _joined(run, between), after, end if last else b"")
            yield ReadEvents(b"".join(parts)), len(run)
            role, end = b"", b"" if last else end
        if end:
            yield end, 0
    usage = _usage(answer)
    told = ReadEvents(b"data: %b\n\n" % dumps({**head, "choices": [], "usage": usage}))
    told.completion_tokens, told.only_usage = usage["completion_tokens"], True
    yield told, 0


def _joined(run: Sequence[str], between: bytes) -> bytes:
    """Each of ``run`` as a JSON text, with ``between`` between them."""
    # PERF: all of them in one go, a line each: within a JSON text a line's end is escaped.
    lines = dumps(run, option=OPT_INDENT_2)
    return lines[len(b"[\n  ") : -len(b"\n]")].replace(b",\n  ", between)


def _whole(kind: Generating, head: dict[str, Any], answer: _Plan) -> bytes:
    """The unary answer, as the service would fold it. Raises ``AnswerTooLong``."""
    written = _FORMATS[kind]
    choices: list[dict[str, Any]] = []
    size = 0
    for index, choice in enumerate(answer.choices):
        text: Any = "".join(choice.tokens)
        size += len(text)
        if size > MAX_BYTES:
            raise AnswerTooLong("The engine's answer is too long.")
        key, content = "text", text
        if written.message:
            key, content = "message", {"role": "assistant", "content": text, "refusal": None}
        choices.append(
            {"index": index, key: content, "logprobs": None, "finish_reason": choice.finish}
        )
    return encode(
        {
            "id": head["id"],
            "created": head["created"],
            "model": head["model"],
            "object": written.whole,
            "choices": choices,
            "usage": _usage(answer),
        }
    )


def _usage(answer: _Plan) -> dict[str, int]:
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "total_tokens": answer.prompt_tokens + answer.completion_tokens,
    }


@dataclass(slots=True)
class _Choice:
    """One choice of the answer: ``finish`` is OpenAI's ``finish_reason``."""

    tokens: tuple[str, ...]
    finish: str


@dataclass(slots=True)
class _Plan:
    """The whole answer: the choices by index, and the tokens of the prompts and of the choices."""

    choices: tuple[_Choice, ...]
    prompt_tokens: int
    completion_tokens: int


def plan(kind: Generating, body: Mapping[str, Any]) -> _Plan:
    """The answer to ``body``: chat echoes the last user message, completions each prompt.

    With ``n``, choice ``prompt_index * n + i`` is the i-th of its prompt (OpenAI's order). Raises
    ``EngineRejected`` for prompts of token ids, for no prompt in a list and for a number of choices
    that it can't give.
    """
    match kind:
        case Kind.CHAT:
            spoken, prompts = _texts(body)
        case Kind.COMPLETIONS:
            spoken = prompts = _prompts(body)
        case _:
            assert_never(kind)
    n = int(body.get("n") or 1)
    asked = len(prompts) * n
    if not 0 < asked <= MAX_CHOICES:
        raise EngineRejected(
            f"the echo model gives 1 to {MAX_CHOICES} choices, not {asked}",
            param="n" if prompts else "prompt",
        )
    limit = _limit(body, MAX_TOKENS // asked)
    stops = _stops(body)
    choices = [_choice(prompt, stops, limit) for prompt in prompts]
    completion_tokens = n * sum([len(choice.tokens) for choice in choices])
    if n > 1:
        choices = [choice for choice in choices for _ in range(n)]
    if len(prompts) == 1 and n == 1 and not stops and choices[0].finish == "stop":
        # PERF: all of the text is said, so it is counted already.
        others = [*spoken]
        others.remove(prompts[0])
        prompt_tokens = completion_tokens + sum(map(_count, others))
        return _Plan((choices[0],), prompt_tokens, completion_tokens)
    return _Plan(tuple(choices), sum(map(_count, spoken)), completion_tokens)


def _choice(text: str, stops: list[str], limit: int) -> _Choice:
    """``text`` up to the first stop string, then at most ``limit`` tokens of it."""
    found = [at for stop in stops if (at := text.find(stop)) >= 0]
    text = text[: min(found)] if found else text
    tokens = _tokens(text, limit + 1)
    if len(tokens) > limit:
        return _Choice(tuple(tokens[:limit]), "length")
    return _Choice(tuple(tokens), "stop")


def _tokens(text: str, most: int) -> list[str]:
    # PERF: a list of all tokens is made in C; of a long text it would be too long.
    if len(text) <= _LISTED:
        return _TOKEN.findall(text)[:most]
    return [match.group() for match in islice(_TOKEN.finditer(text), most)]


def _count(text: str) -> int:
    if len(text) <= _LISTED:
        return len(_TOKEN.findall(text))
    return sum(1 for _ in _TOKEN.finditer(text))


def _limit(body: Mapping[str, Any], most: int) -> int:
    asked = body.get("max_completion_tokens")
    if asked is None:
        asked = body.get("max_tokens")
    # A negative number means no limit, as for llama.cpp.
    return most if asked is None or asked < 0 else min(int(asked), most)


def _stops(body: Mapping[str, Any]) -> list[str]:
    stop: Any = body.get("stop")
    if not stop:
        return []
    return [stop] if isinstance(stop, str) else [text for text in stop if text]


def _prompts(body: Mapping[str, Any]) -> list[str]:
    prompt: Any = body.get("prompt")
    # PERF: typed here, not cast: a cast is a call.
    several: list[Any] = prompt
    prompts = several if isinstance(prompt, list) else [prompt or ""]
    for text in prompts:
        if not isinstance(text, str):
            raise EngineRejected(
                "the echo model takes a prompt as text: a string or a list of strings",
                param="prompt",
            )
    return prompts


def _texts(body: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The text of every message, and of the one that is answered: the last one of a user."""
    messages: list[dict[str, Any]] = body.get("messages") or []
    texts: list[str] = []
    last, mine = "", None
    for message in messages:
        content: Any = message.get("content")
        last = content if type(content) is str else _text_of(content)
        texts.append(last)
        if message.get("role") == "user":
            mine = last
    return texts, [last if mine is None else mine]


def _text_of(parts: list[dict[str, Any]] | None) -> str:
    """The text parts of a message's content, joined."""
    return "".join([part.get("text") or "" for part in parts or () if part.get("type") == "text"])
