"""What an answer looks like: for the OpenAPI document, one class per document.

Engines may add members, and a relayed answer passes as its upstream wrote it: these are the members
that OpenAI's clients read.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

__all__ = [
    "ChatCompletion",
    "ChatCompletionChunk",
    "Completion",
    "Health",
    "InstanceList",
    "Model",
    "ModelList",
    "Probe",
]


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
