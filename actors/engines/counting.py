"""How many tokens a prompt has, asked of who has the tokenizer: no place in a queue is taken.

An engine that can count says so by two methods (:class:`CountsTokens`); of a pool's engines the
first that can is asked, and one more if it fails. What is asked of a server is a table, by the
words of its entry (``actors.engines.dialect.Counter``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import islice
from typing import Any, Final, Protocol, TypeGuard

from actors.engines.contract import Context, EngineRequest
from actors.engines.dialect import Counter, Dialect, Spoken
from actors.engines.errors import EngineError, EngineUnavailable
from actors.engines.lenient_json import DICT, LIST, Undecodable, decode

__all__ = [
    "COUNT_SECONDS", "CountsTokens", "able_to_count", "count_in", "counter_for", "exact_count",
    "reads_text_only", "tokenize_body",
]  # fmt: skip

COUNT_SECONDS: Final = 1.0
"""Seconds that a client waits for an exact count; a tokenizer takes milliseconds."""

_MOST_ASKED: Final = 2


class CountsTokens(Protocol):
    """An engine that counts the tokens of a chat completion's prompt, exactly."""

    def counts(self, request: EngineRequest) -> bool:
        """Whether it can count this prompt now. Never waits."""
        ...

    def count(self, request: EngineRequest, context: Context) -> int:
        """How many tokens the prompt of ``request`` has, chat template included.

        Blocks until ``context.deadline`` at most. Raises ``EngineError``.
        """
        ...


def _can_count(engine: object) -> TypeGuard[CountsTokens]:
    """PERF: ``isinstance`` of a protocol takes 20 µs."""
    return callable(getattr(engine, "counts", None))


def able_to_count(engines: Iterable[object], request: EngineRequest) -> list[CountsTokens]:
    """Those of ``engines`` that can count the prompt of ``request``, in the same order."""
    return [each for each in engines if _can_count(each) and each.counts(request)]


def exact_count(
    counters: Iterable[CountsTokens], request: EngineRequest, context: Context
) -> int | None:
    """The count of the first of ``counters`` that gives one; ``None`` if none does in time."""
    for each in islice(counters, _MOST_ASKED):
        try:
            return each.count(request, context)
        except EngineError:  # an estimate does as well, and says what it is
            continue
    return None


def counter_for(speaks: Collection[Spoken], request: EngineRequest) -> Counter | None:
    """How a server of these words is asked; ``None`` if it can't count this prompt exactly. Pure.

    What it will be asked for an answer is what it is asked to count: the client's own body where it
    speaks the client's dialect, else the chat completion.
    """
    original = request.original
    messages = original is not None and original.dialect is Dialect.MESSAGES
    native = messages and Counter.COUNT_TOKENS in speaks
    if native and Dialect.MESSAGES in speaks:
        return Counter.COUNT_TOKENS
    if Counter.INPUT_TOKENS in speaks and reads_text_only(request):
        return Counter.INPUT_TOKENS
    if Counter.TOKENIZE in speaks and reads_text_only(request):
        return Counter.TOKENIZE
    return Counter.COUNT_TOKENS if native else None


def reads_text_only(request: EngineRequest) -> bool:
    """Whether the prompt is text: what a picture comes to is known by the model alone."""
    messages: Any = request.body.get("messages")
    return all(
        isinstance(part, DICT) and part.get("type") == "text"
        for message in messages
        if isinstance(content := message.get("content"), LIST)
        for part in content
    )


def tokenize_body(chat: Mapping[str, Any], model: str) -> dict[str, Any]:
    """What vLLM's ``/tokenize`` is asked for the prompt of ``chat``. Pure."""
    kept = {name: chat[name] for name in ("tools", "chat_template_kwargs") if chat.get(name)}
    return {"model": model, "messages": chat["messages"], "add_generation_prompt": True, **kept}


_RESULTS: Final = ("input_tokens", "count")


def count_in(body: bytes) -> int:
    """The count in a server's answer. Raises ``EngineUnavailable``."""
    try:
        document: Any = decode(body)
    except Undecodable:
        document = {}
    found = [document.get(name) for name in _RESULTS] if isinstance(document, DICT) else []
    for count in found:
        if type(count) is int and count >= 0:
            return count
    raise EngineUnavailable("the count can't be read")
