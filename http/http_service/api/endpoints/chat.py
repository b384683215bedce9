"""``POST /v1/chat/completions``: the next message of a conversation."""

from __future__ import annotations

from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from actors.engines.contract import Kind
from http_service.api.endpoints.endpoint import ApiEndpoint, GenerateRequest, Name, Usage, Whole

__all__ = ["ENDPOINT", "ChatCompletion", "ChatCompletionChunk", "ChatMessage", "ChatRequest"]


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


class Message(Struct):
    """What the model said, or the tools that it calls."""

    role: str
    content: str | None = None
    tool_calls: list[dict[str, Any]] | None = None


class ChatChoice(Struct):
    """One of ``n`` choices."""

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
    """A part of one of ``n`` choices."""

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


ENDPOINT: Final = ApiEndpoint(
    kind=Kind.CHAT,
    label="chat_completions",
    path="/v1/chat/completions",
    operation="createChatCompletion",
    summary="Answer a conversation",
    id_prefix="chatcmpl-",
    body=ChatRequest,
    response=ChatCompletion,
    event=ChatCompletionChunk,
    enabled="enable_chat_endpoints",
)
