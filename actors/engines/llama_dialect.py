"""llama.cpp's dialect of OpenAI's API, both ways: pure functions over requests and chunks.

Used for a model in this process and for one over HTTP. The dialect:
``null`` where a list of prompts begins, a usage for each choice (on its finish chunk, or after it),
an assistant's unfinished message repeated at the beginning of a whole answer but not of a stream.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, assert_never, cast

from actors.engines.contract import GENERATING, EngineRequest, Kind, generates
from actors.engines.errors import EngineRejected

__all__ = [
    "UsageSum",
    "choices_of",
    "is_conversation",
    "is_llama_usage",
    "llama_request",
    "makes_vectors",
    "missing_defaults",
    "prefill_of",
    "with_prefill",
]

_VECTORS: Final = frozenset((Kind.EMBEDDINGS,))
_FINGERPRINT: Final = re.compile(r"b\d+-")
"""How ``system_fingerprint`` begins: llama.cpp's build number."""


class UsageSum:
    """One usage for the whole answer; llama.cpp reports one for each choice.

    ``n`` is the number of choices of each prompt.
    """

    __slots__ = ("_head", "_n", "_usages")

    def __init__(self, n: int) -> None:
        self._n = max(1, n)
        self._usages: list[dict[str, Any]] = []
        self._head: dict[str, Any] = {}

    def take(self, chunk: dict[str, Any]) -> dict[str, Any] | None:
        """``chunk`` without its usage, which is added up; ``None`` if nothing else was in it."""
        usage = chunk.get("usage")
        if not isinstance(usage, dict):
            return chunk
        self._usages.append(cast("dict[str, Any]", usage))
        self._head = {name: value for name, value in chunk.items() if name != "usage"}
        return self._head if self._head.get("choices") else None

    def chunk(self) -> dict[str, Any] | None:
        """The usage chunk that ends the answer; ``None`` if no usage was seen."""
        if not self._usages:
            return None
        usage = self._usages[0] if len(self._usages) == 1 else _sum(self._usages, self._n)
        return {**self._head, "choices": [], "usage": usage}


def llama_request(request: EngineRequest, alias: str) -> dict[str, Any]:
    """The body for llama.cpp: always a stream, so that an answer can be broken off.

    Raises ``EngineRejected`` for content that is not text, and for what is not generated.
    """
    if not generates(request.kind):
        answered = " and ".join((*GENERATING, *_VECTORS))
        raise EngineRejected(f"a model in process answers {answered} only")
    body = request.body
    if is_conversation(request.kind):
        _only_text(body)
    changed = {"model": alias, "stream": True, "stream_options": {"include_usage": True}}
    return {**body, **changed, **missing_defaults(request)}


def is_conversation(kind: Kind) -> bool:
    """Whether llama.cpp reads ``messages`` in a request of ``kind``, and not a ``prompt``."""
    if not generates(kind):
        return False
    match kind:
        case Kind.CHAT:
            return True
        case Kind.COMPLETIONS:
            return False
        case _:
            assert_never(kind)


def makes_vectors(kind: Kind) -> bool:
    """Whether llama.cpp answers a request of ``kind`` with vectors."""
    return kind in _VECTORS


def missing_defaults(request: EngineRequest) -> dict[str, Any]:
    """OpenAI's defaults that llama.cpp wants to have named, where ``request`` leaves them out."""
    if is_conversation(request.kind) or request.body.get("prompt") is not None:
        return {}
    return {"prompt": ""}


def choices_of(body: Mapping[str, Any]) -> int:
    """How many choices a request wants of each prompt; 0 if the whole answer is one choice."""
    n = body.get("n")
    if isinstance(n, (int, float)) and 1 < n < 1_000_000:
        return int(n)
    prompt = body.get("prompt")
    if not isinstance(prompt, list):
        return 0
    prompts = cast("list[object]", prompt)  # a list of tokens is one prompt
    return 1 if len(prompts) > 1 and isinstance(prompts[0], (str, list)) else 0


def prefill_of(request: EngineRequest) -> str:
    """What llama.cpp repeats at the beginning of a whole answer: an assistant's last message."""
    messages = request.body.get("messages")
    if request.stream or not is_conversation(request.kind) or not isinstance(messages, list):
        return ""
    last: object = cast("list[object]", messages)[-1] if messages else None
    if not isinstance(last, dict):
        return ""
    fields = cast("dict[str, Any]", last)
    content = fields.get("content") if fields.get("role") == "assistant" else None
    if isinstance(content, list):
        return "".join(map(_text, cast("list[object]", content)))
    return content if isinstance(content, str) else ""


def _text(part: object) -> str:
    text = cast("dict[str, Any]", part).get("text") if isinstance(part, dict) else None
    return text if isinstance(text, str) else ""


def with_prefill(chunk: dict[str, Any], prefill: str, *, sure: bool) -> dict[str, Any]:
    """``chunk`` with ``prefill`` for content where a choice of llama.cpp's begins.

    Unless it is ``sure`` that llama.cpp made it, its fingerprint must say so.
    """
    choices = chunk.get("choices")
    made = sure or _FINGERPRINT.match(str(chunk.get("system_fingerprint")))
    if not made or not isinstance(choices, list):
        return chunk
    return {
        **chunk,
        "choices": [_prefilled(choice, prefill) for choice in cast("list[object]", choices)],
    }


def is_llama_usage(chunk: Mapping[str, Any]) -> bool:
    """Whether ``chunk`` carries the usage of one choice: beside it stand the choice's timings."""
    return "timings" in chunk and isinstance(chunk.get("usage"), dict)


def _prefilled(choice: object, prefill: str) -> object:
    if not isinstance(choice, dict):
        return choice
    fields = cast("dict[str, Any]", choice)
    delta = fields.get("delta")
    if not isinstance(delta, dict):
        return fields
    message = cast("dict[str, Any]", delta)
    if message.get("role") != "assistant" or message.get("content"):
        return fields
    return {**fields, "delta": {**message, "content": prefill}}


def _sum(usages: list[dict[str, Any]], n: int) -> dict[str, Any]:
    """One usage of many. Every choice of one prompt counts that prompt; OpenAI counts it once."""
    prompt = sum(_count(usage, "prompt_tokens") for usage in usages) // n
    completion = sum(_count(usage, "completion_tokens") for usage in usages)
    total = {
        **usages[-1],
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    details = [usage.get("prompt_tokens_details") for usage in usages]
    if all(isinstance(detail, dict) for detail in details):
        cached = sum(_count(cast("dict[str, Any]", it), "cached_tokens") for it in details) // n
        total["prompt_tokens_details"] = {**cast("Any", details[-1]), "cached_tokens": cached}
    return total


def _count(usage: Mapping[str, Any], name: str) -> int:
    value = usage.get(name)
    return value if type(value) is int else 0


def _only_text(body: Mapping[str, Any]) -> None:
    messages = body.get("messages")
    for message in cast("list[object]", messages) if isinstance(messages, list) else ():
        content = (
            cast("dict[str, Any]", message).get("content") if isinstance(message, dict) else ""
        )
        for part in cast("list[object]", content) if isinstance(content, list) else ():
            fields = cast("dict[str, Any]", part) if isinstance(part, dict) else {}
            if fields.get("type") != "text" or not isinstance(fields.get("text"), str):
                raise EngineRejected("this model takes text only", param="messages")
