"""``POST /v1/messages``: Anthropic's API, translated from chat completions."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from actors.engines.contract import Kind
from actors.engines.dialect import Dialect
from http_service.api.endpoints.endpoint import ApiEndpoint, ModelRequest, Name, Translation, Whole
from http_service.dialects.messages_request import messages_to_chat, session_of
from http_service.dialects.messages_response import MessagesWriter
from http_service.errors import UnsupportedParameter
from http_service.response_store import ClientResponses

__all__ = ["ENDPOINT", "CountTokensRequest", "MessagesRequest", "TokenCount", "count_of_messages"]


class InputMessage(Struct):
    """One turn; roles are open, since clients send ``system`` turns in the middle."""

    role: Name
    content: str | list[dict[str, Any]]


class CountTokensRequest(ModelRequest, kw_only=True):
    """The body of ``POST /v1/messages/count_tokens``."""

    messages: Annotated[list[InputMessage], Meta(min_length=1)]
    system: str | list[dict[str, Any]] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: dict[str, Any] | None = None
    thinking: dict[str, Any] | None = None


class TokenCount(Struct):
    """How many tokens a prompt has."""

    input_tokens: int


def count_of_messages(tokens: int) -> dict[str, Any]:
    """The document of a count."""
    return {"input_tokens": tokens}


class MessagesRequest(CountTokensRequest, kw_only=True):
    """The body of ``POST /v1/messages``."""

    max_tokens: Annotated[Whole, Meta(ge=1)]
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: Whole | None = None
    metadata: dict[str, Any] | None = None
    output_config: dict[str, Any] | None = None


class MessageUsage(Struct):
    """Tokens that were read, from the prompt or from a cache, and written."""

    input_tokens: int
    output_tokens: int
    cache_creation_input_tokens: int
    cache_read_input_tokens: int


class MessageResponse(Struct):
    """The next message of a conversation."""

    id: str
    type: str
    role: str
    model: str
    content: list[dict[str, Any]]
    stop_reason: str | None
    stop_sequence: str | None
    usage: MessageUsage


class MessageEvent(Struct):
    """One event of a streamed message; what else it holds depends on its ``type``."""

    type: str


def _translate(body: Mapping[str, Any], _responses: ClientResponses) -> Translation:
    writer = partial(MessagesWriter, model=body["model"])
    try:
        return Translation(messages_to_chat(body), writer, session_of(body))
    except UnsupportedParameter as error:
        return Translation({}, writer, session_of(body), refusal=error)


ENDPOINT: Final = ApiEndpoint(
    kind=Kind.CHAT,
    label="anthropic_messages",
    path="/v1/messages",
    operation="createMessage",
    summary="Answer a conversation, in the shape of Anthropic's API",
    id_prefix="msg_",
    body=MessagesRequest,
    response=MessageResponse,
    event=MessageEvent,
    enabled="enable_chat_endpoints",
    translate=_translate,
    dialect=Dialect.MESSAGES,
)
