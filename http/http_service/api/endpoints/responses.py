"""``POST /v1/responses``: OpenAI's newer API, translated from chat completions."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from msgspec import Struct

from actors.engines.contract import Kind
from actors.engines.dialect import Dialect
from actors.engines.lenient_json import LIST, encode
from http_service.api.endpoints.endpoint import ApiEndpoint, ModelRequest, Translation, Whole
from http_service.dialects.responses_request import responses_to_chat
from http_service.dialects.responses_response import ResponsesWriter
from http_service.dialects.stored_items import named_items
from http_service.dialects.tool_names import ToolNames
from http_service.errors import UnsupportedParameter
from http_service.response_store import ClientResponses

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


def input_to_chat(body: Mapping[str, Any], responses: ClientResponses) -> Mapping[str, Any]:
    """The prompt of a valid ``body`` as a chat completion request."""
    before, body = _whole(body, responses)
    return responses_to_chat(body, before).chat


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


def _whole(
    body: Mapping[str, Any], responses: ClientResponses
) -> tuple[list[dict[str, Any]], Mapping[str, Any]]:
    """The stored items that ``body`` goes on from, and ``body`` with what it refers to.

    Raises ``InvalidValue`` for what is not stored.
    """
    previous = body.get("previous_response_id")
    before = responses.conversation(previous) if previous else []
    given: Any = body.get("input")
    if isinstance(given, LIST):
        body = {**body, "input": responses.resolved(given)}
    return before, body


def _needs_store(body: Mapping[str, Any]) -> bool:
    """Whether ``body`` stores its response, or goes on from a stored one: no other server can."""
    given: Any = body.get("input")
    items = given if isinstance(given, LIST) else ()
    return (
        body.get("store") is not False
        or bool(body.get("previous_response_id"))
        or any(item.get("type") == "item_reference" for item in items)
    )


def _storing(
    token: str, writer: Callable[[str], ResponsesWriter], _request_id: str
) -> ResponsesWriter:
    return writer(token)


def _translate(body: Mapping[str, Any], responses: ClientResponses) -> Translation:
    passable = not (responses.enabled and _needs_store(body))
    before, body = _whole(body, responses)
    try:
        chat, tools, dropped = responses_to_chat(body, before)
    except UnsupportedParameter as error:
        if not passable:
            raise
        writer = partial(ResponsesWriter, request=body, tools=ToolNames(()))
        return Translation({}, writer, _text_or_none(body.get("prompt_cache_key")), refusal=error)
    headers = ((DROPPED_TOOLS, ",".join(dropped)),) if dropped else ()
    # The input, which may be long, is not kept for as long as the response is written.
    asked = {key: value for key, value in body.items() if key != "input"}
    writer = partial(ResponsesWriter, request=asked, tools=tools)
    if responses.enabled and body.get("store") is not False:
        # NOTE: its id is not made of the request's, which is the client's to choose.
        token = secrets.token_hex(16)
        items = encode([*before, *named_items(body.get("input") or (), token)])
        writer = partial(_storing, token, partial(writer, keep=partial(responses.keep, items)))
    session = _text_or_none(body.get("prompt_cache_key"))
    return Translation(chat, writer, session, headers, passable)


ENDPOINT: Final = ApiEndpoint(
    kind=Kind.CHAT,
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
    stored=True,
    dialect=Dialect.RESPONSES,
)
