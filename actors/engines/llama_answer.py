"""Between llama.cpp's dialect and OpenAI's: pure functions over requests and chunks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from actors.engines.contract import EngineRequest, Kind
from actors.engines.errors import EngineError, EngineRejected, EngineUnavailable

__all__ = ["UsageSum", "error_of", "llama_request"]


class UsageSum:
    """One usage for the whole answer; llama.cpp tells it choice by choice, on finish chunks."""

    __slots__ = ("_choices_per_prompt", "_completion", "_head", "_prompt", "_seen")

    def __init__(self, n: int) -> None:
        self._choices_per_prompt = max(1, n)
        self._prompt = 0
        self._completion = 0
        self._seen = False
        self._head: dict[str, Any] = {}

    def take(self, chunk: dict[str, Any]) -> dict[str, Any] | None:
        """``chunk`` without its usage, which is added up; ``None`` if nothing else was in it."""
        usage = chunk.get("usage")
        if not isinstance(usage, dict):
            return chunk
        counts = cast("dict[str, Any]", usage)
        self._seen = True
        self._prompt += counts.get("prompt_tokens", 0)
        self._completion += counts.get("completion_tokens", 0)
        rest = {name: value for name, value in chunk.items() if name not in ("usage", "timings")}
        self._head = rest
        return rest if rest.get("choices") else None

    def chunk(self) -> dict[str, Any] | None:
        """The usage chunk that ends the answer; ``None`` if no usage was seen.

        Every choice of one prompt counts that prompt; OpenAI counts it once.
        """
        if not self._seen:
            return None
        prompt = self._prompt // self._choices_per_prompt
        usage = {
            "prompt_tokens": prompt,
            "completion_tokens": self._completion,
            "total_tokens": prompt + self._completion,
        }
        return {**self._head, "choices": [], "usage": usage}


def llama_request(request: EngineRequest, alias: str) -> dict[str, Any]:
    """The body for llama.cpp: always a stream, so that an answer can be broken off.

    Raises ``EngineRejected`` for content that is not text: llama.cpp's own refusal of it can't be
    told from a failure.
    """
    body = request.body
    if request.kind is Kind.CHAT:
        _only_text(body)
    changed = {"model": alias, "stream": True, "stream_options": {"include_usage": True}}
    if request.kind is Kind.COMPLETIONS and body.get("prompt") is None:
        changed["prompt"] = ""  # OpenAI's default; llama.cpp wants one
    return {**body, **changed}


def error_of(chunk: Mapping[str, Any]) -> EngineError | None:
    """The error that ``chunk`` stands for; ``None`` for every other chunk.

    What is the client's mistake (4xx) is told in llama.cpp's words, a failure is not.
    """
    error = chunk.get("error")
    if not isinstance(error, dict):
        return None
    fields = cast("dict[str, Any]", error)
    status, message, kind = fields.get("code"), fields.get("message"), fields.get("type")
    if isinstance(status, int) and 400 <= status < 500 and isinstance(message, str):
        code = kind if isinstance(kind, str) else None
        return EngineRejected(message, status=status, code=code)
    if status == 503:
        return EngineUnavailable(
            "the model is not ready; try again soon", status=503, retry_after=1
        )
    return EngineError("the model failed")


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
