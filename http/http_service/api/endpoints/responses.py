"""``POST /v1/responses``: OpenAI's newer API, translated from chat completions."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from msgspec import Struct

from actors.engines.contract import Kind
from http_service.api.endpoints.endpoint import ApiEndpoint, ModelRequest, Translation, Whole
from http_service.dialects.responses_request import responses_to_chat
from http_service.dialects.responses_response import ResponsesWriter
from http_service.errors import InvalidValue

__all__ = [
    "ENDPOINT", "InputTokenCount", "InputTokensRequest", "ResponsesRequest", "count_of_input",
    "input_to_chat",
]  # fmt: skip

DROPPED_TOOLS: Final = "x-callboard-dropped-tools"
"""The header that names the kinds of tools which only OpenAI's own service can run."""


class InputTokensRequest(ModelRequest, kw_only=True):
    """The body of ``POST /v1/responses/input_tokens``."""

    input: str | list[dict[str, Any]] | None = None
    instructions: str | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    previous_response_id: str | None = None
    reasoning: dict[str, Any] | None = None
    text: dict[str, Any] | None = None
    truncation: str | None = None


class InputTokenCount(Struct):
    """How many tokens a prompt has."""

    object: str
    input_tokens: int


def count_of_input(tokens: int) -> dict[str, Any]:
    """The document of a count."""
    return {"object": "response.input_tokens", "input_tokens": tokens}


def input_to_chat(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The prompt of a valid ``body`` as a chat completion request."""
    return responses_to_chat(body).chat


class ResponsesRequest(InputTokensRequest, kw_only=True):
    """The body of ``POST /v1/responses``."""

    max_output_tokens: Whole | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: Whole | None = None
    metadata: dict[str, Any] | None = None
    include: list[str] | None = None
    store: bool | None = None
    user: str | None = None


class ResponseUsage(Struct):
    """Tokens that were read and written."""

    input_tokens: int
    output_tokens: int
    total_tokens: int


class ResponseObject(Struct):
    """The model's response: the items that it consists of."""

    id: str
    object: str
    created_at: int
    status: str
    model: str
    output: list[dict[str, Any]]
    usage: ResponseUsage | None = None


class ResponseEvent(Struct):
    """One event of a streamed response; what else it holds depends on its ``type``."""

    type: str
    sequence_number: int


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _translate(body: Mapping[str, Any]) -> Translation:
    previous = body.get("previous_response_id")
    if previous:
        message = f"Previous response with id {previous!r} not found: responses are not stored here"
        raise InvalidValue(message, "previous_response_id")
    chat, tools, dropped = responses_to_chat(body)
    headers = ((DROPPED_TOOLS, ",".join(dropped)),) if dropped else ()
    writer = partial(ResponsesWriter, request=body, tools=tools)
    return Translation(chat, writer, _text_or_none(body.get("prompt_cache_key")), headers)


ENDPOINT: Final = ApiEndpoint(
    Kind.CHAT,
    label="responses",
    path="/v1/responses",
    operation="createResponse",
    summary="Answer, in the shape of OpenAI's Responses API",
    id_prefix="resp_",
    body=ResponsesRequest,
    response=ResponseObject,
    event=ResponseEvent,
    enabled="enable_chat_endpoints",
    translate=_translate,
)
