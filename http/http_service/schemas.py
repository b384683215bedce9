"""What a request body may look like: the fields that this service checks, one class per endpoint.

Rules of this file: only shapes and ranges, as OpenAI documents them, because validation *and* the
OpenAPI document are generated from here. Fields that are not named pass untouched: whether they
mean something is the engine's affair.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from msgspec import Meta, Struct

__all__ = ["ChatMessage", "ChatRequest", "CompletionRequest", "StreamOptions"]

Name: TypeAlias = Annotated[str, Meta(min_length=1)]
Count: TypeAlias = Annotated[int, Meta(ge=1)]
Choices: TypeAlias = Annotated[int, Meta(ge=1, le=128)]
Fraction: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
Penalty: TypeAlias = Annotated[float, Meta(ge=-2, le=2)]
Temperature: TypeAlias = Annotated[float, Meta(ge=0, le=2)]
Bias: TypeAlias = Annotated[float, Meta(ge=-100, le=100)]
Stop: TypeAlias = str | Annotated[list[str], Meta(max_length=4)]


class StreamOptions(Struct):
    """How a stream is to be told; allowed only with ``stream: true``."""

    include_usage: bool | None = None


class ContentPart(Struct):
    """One part of a message that is a list: text, an image, a sound."""

    type: Name
    text: str | None = None


class ChatMessage(Struct):
    """One turn of a conversation; roles are open, since chat templates know their own."""

    role: Name
    content: str | list[ContentPart] | None = None
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None


class _Sampling(Struct, kw_only=True):
    """The fields that both generating endpoints share."""

    model: Name
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Count | None = None
    n: Choices | None = None
    stop: Stop | None = None
    temperature: Temperature | None = None
    top_p: Fraction | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    logit_bias: dict[str, Bias] | None = None
    seed: int | None = None
    user: str | None = None


class ChatRequest(_Sampling, kw_only=True):
    """The body of ``POST /v1/chat/completions``."""

    messages: Annotated[list[ChatMessage], Meta(min_length=1)]
    max_completion_tokens: Count | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: dict[str, Any] | None = None


class CompletionRequest(_Sampling, kw_only=True):
    """The body of ``POST /v1/completions``.

    ``prompt`` is text, a list of texts, a list of token ids, or a list of such lists; msgspec can't
    say that, so ``validation`` checks what is in the list.
    """

    prompt: Name | Annotated[list[Any], Meta(min_length=1)]
    best_of: Choices | None = None
    echo: bool | None = None
    logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    suffix: str | None = None
