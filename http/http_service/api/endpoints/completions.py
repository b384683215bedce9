"""``POST /v1/completions``: the continuation of a text."""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct

from actors.engines.contract import Kind
from http_service.api.endpoints.endpoint import ApiEndpoint, GenerateRequest, Usage, Whole

__all__ = ["ENDPOINT", "Completion", "CompletionRequest"]


class CompletionRequest(GenerateRequest, kw_only=True):
    """The body of ``POST /v1/completions``.

    ``prompt`` is text, token ids, or a list of either; without one the engine begins a text.
    """

    prompt: str | list[str | Whole | list[Whole]] | None = None
    best_of: Whole | None = None
    echo: bool | None = None
    logprobs: Whole | None = None
    suffix: str | None = None


class TextChoice(Struct):
    """One continuation of one prompt, or a piece of it."""

    index: int
    text: str
    finish_reason: str | None = None
    logprobs: dict[str, Any] | None = None


class Completion(Struct):
    """The continuations of all prompts; also one event of their stream."""

    id: str
    object: str
    created: int
    model: str
    choices: list[TextChoice]
    usage: Usage | None = None


ENDPOINT: Final = ApiEndpoint(
    kind=Kind.COMPLETIONS,
    label="completions",
    path="/v1/completions",
    operation="createCompletion",
    summary="Continue a text",
    id_prefix="cmpl-",
    body=CompletionRequest,
    response=Completion,
    event=Completion,
    enabled="enable_cmpl_endpoints",
)
