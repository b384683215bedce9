"""What a request body may look like: the fields that this service checks, one class per endpoint.

Rules of this file: only JSON types, as OpenAI documents them, and what routing a request needs;
validation *and* the OpenAPI document are generated from here. Which numbers, how many stops and
which prompts make sense depends on the engine, so that is the engine's to say, and fields that are
not named pass untouched.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from msgspec import Meta, Struct

__all__ = [
    "ChatCompletion",
    "ChatCompletionChunk",
    "ChatMessage",
    "ChatRequest",
    "Completion",
    "CompletionRequest",
    "GenerateRequest",
    "Health",
    "InstanceList",
    "Model",
    "ModelList",
    "Probe",
    "StreamOptions",
]

Name: TypeAlias = Annotated[str, Meta(min_length=1)]
Whole: TypeAlias = Annotated[float, Meta(multiple_of=1)]
"""A whole number, however it is written: JSON does not tell 256 from 256.0."""


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


class GenerateRequest(Struct, kw_only=True):
    """The fields that both generating endpoints share."""

    model: Name
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Whole | None = None
    n: Whole | None = None
    stop: str | list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: dict[str, Any] | None = None
    seed: Whole | None = None
    user: str | None = None


class ChatRequest(GenerateRequest, kw_only=True):
    """The body of ``POST /v1/chat/completions``."""

    messages: Annotated[list[ChatMessage], Meta(min_length=1)]
    max_completion_tokens: Whole | None = None
    logprobs: bool | None = None
    top_logprobs: Whole | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: dict[str, Any] | None = None


class CompletionRequest(GenerateRequest, kw_only=True):
    """The body of ``POST /v1/completions``.

    ``prompt`` is text, token ids, or a list of either; without one the engine begins a text.
    """

    prompt: str | list[str | Whole | list[Whole]] | None = None
    best_of: Whole | None = None
    echo: bool | None = None
    logprobs: Whole | None = None
    suffix: str | None = None


class Usage(Struct):
    """Tokens that were read and written; in a stream, where it was asked for."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Message(Struct):
    """What the model said, or the tools that it calls."""

    role: str
    content: str | None = None
    tool_calls: list[dict[str, Any]] | None = None


class ChatChoice(Struct):
    """One of ``n`` answers."""

    index: int
    message: Message
    finish_reason: str | None = None
    logprobs: dict[str, Any] | None = None


class ChatCompletion(Struct):
    """A conversation's next message."""

    id: str
    object: str
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage | None = None


class Delta(Struct):
    """What a chunk adds to its message."""

    role: str | None = None
    content: str | None = None
    tool_calls: list[dict[str, Any]] | None = None


class ChunkChoice(Struct):
    """A piece of one of ``n`` answers."""

    index: int
    delta: Delta
    finish_reason: str | None = None
    logprobs: dict[str, Any] | None = None


class ChatCompletionChunk(Struct):
    """One event of a streamed conversation."""

    id: str
    object: str
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | None = None


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


class Model(Struct):
    """A model that is served."""

    id: str
    object: str
    created: int
    owned_by: str


class ModelList(Struct):
    """All models that are served."""

    object: str
    data: list[Model]


class Instance(Struct):
    """One instance of a model; ``state`` is whether it gets requests."""

    id: str
    object: str
    kind: str
    state: str


class InstanceList(Struct):
    """Who serves a model."""

    object: str
    model: str
    data: list[Instance]


class Probe(Struct):
    """Whether the service is as it should be, and why not."""

    status: str
    reason: str | None = None


class Health(Struct):
    """How every part of the service is."""

    status: str
    models: list[str]
    inflight_requests: int
    components: dict[str, Any]
    reason: str | None = None
