"""The one route table: the application and its OpenAPI document are both made from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Final

from actors.engines.dialect import Dialect
from http_service.api.context import EVENTS, JSON, TEXT, AppContext, Route
from http_service.api.count import CountTokensResource
from http_service.api.documents import DocumentResource
from http_service.api.endpoints import ENDPOINTS, ApiEndpoint
from http_service.api.endpoints.messages import (
    CountTokensRequest,
    TokenCount,
    count_of_messages,
)
from http_service.api.endpoints.responses import (
    InputTokenCount,
    InputTokensRequest,
    ResponseObject,
    count_of_input,
    input_to_chat,
)
from http_service.api.generate import GenerateResource
from http_service.api.media import FormResource, MediaResource
from http_service.api.model_list import (
    InstanceList,
    InstancesResource,
    Model,
    ModelList,
    ModelOrInstances,
    ModelsResource,
)
from http_service.api.openapi import OpenApiResource
from http_service.api.probes import (
    About,
    AboutResource,
    Health,
    HealthResource,
    LiveResource,
    MetricsResource,
    Probe,
    ReadyResource,
)
from http_service.api.stored_responses import (
    CountInputResource,
    Deleted,
    InputItems,
    InputItemsResource,
    StoredResponseResource,
    translated_resource,
)
from http_service.config import HttpServiceConfig
from http_service.dialects.messages_request import messages_to_chat

__all__ = ["ROUTES", "enabled_routes"]

_GENERATE: Final[Mapping[int, str]] = {
    200: "The completion, or with stream: true its chunks as server-sent events",
    400: "The request is malformed, or the engine refused it; param names the field",
    404: "The model is not served here",
    413: "The body exceeds the limit",
    415: "The body is not declared as JSON, or has a content coding other than gzip and deflate",
    429: "The engine is full; retry after the time in Retry-After",
    500: "The engine failed",
    502: "The engine can't be reached, or broke off",
    503: "The service is draining, restarting or full; retry after the time in Retry-After",
    504: "The engine did not answer in time",
    508: "The request came back here: the model's upstream leads to this service",
}
_DOCUMENT: Final = {**_GENERATE, 200: "The document that the engine answered with"}
_FORM: Final = {
    **_DOCUMENT,
    415: "The body is not declared as a form, or has a content coding other than gzip and deflate",
}
_COUNT: Final[Mapping[int, str]] = {
    200: "The number of tokens",
    400: "The request is malformed; param names the field",
    404: "The model is not served here",
    413: "The body exceeds the limit",
    415: "The body is not declared as JSON",
}
_PROBE: Final[Mapping[int, str]] = {200: "Ready", 503: "Not ready; the document says why"}
_NOT_READY: Final = frozenset((503,))


def _asking(endpoint: ApiEndpoint) -> Route:
    translate = endpoint.translate
    resource: Callable[[AppContext], object]
    if endpoint.media:
        resource = partial(FormResource if endpoint.form else MediaResource, endpoint)
    elif endpoint.event is None:
        resource = partial(DocumentResource, endpoint)
    elif translate is None:
        resource = partial(GenerateResource, endpoint)
    else:
        resource = partial(translated_resource, endpoint, translate)
    return Route(
        endpoint.path,
        "POST",
        endpoint.operation,
        endpoint.summary,
        resource,
        _meanings(endpoint),
        (JSON, *endpoint.media) if endpoint.event is None else (JSON, EVENTS),
        endpoint.body,
        endpoint.response,
        endpoint.event,
        enabled=endpoint.enabled,
        form=endpoint.form,
    )


def _meanings(endpoint: ApiEndpoint) -> Mapping[int, str]:
    if endpoint.form:
        return _FORM
    return _DOCUMENT if endpoint.event is None else _GENERATE


_RESPONSE: Final = "/v1/responses/{response_id}"
_STORED: Final = (
    Route(
        _RESPONSE,
        "GET",
        "retrieveResponse",
        "A response that was stored; see --responses-store",
        StoredResponseResource,
        {200: "The response", 400: "It is asked for as a stream", 404: "It is not stored here"},
        result=ResponseObject,
        enabled="enable_chat_endpoints",
    ),
    Route(
        _RESPONSE,
        "DELETE",
        "deleteResponse",
        "Delete a response that was stored",
        StoredResponseResource,
        {200: "It is deleted", 404: "It is not stored here"},
        result=Deleted,
        enabled="enable_chat_endpoints",
        part_of=_RESPONSE,
    ),
    Route(
        f"{_RESPONSE}/input_items",
        "GET",
        "listInputItems",
        "List the items that a stored response answered, the last ones first",
        InputItemsResource,
        {
            200: "A page of the items",
            400: "The query names no page; param names what is wrong in it",
            404: "The response is not stored here",
            413: "The items exceed the limit of a body",
            503: "The request bodies that are held leave no room for the items",
        },
        result=InputItems,
        enabled="enable_chat_endpoints",
    ),
)


ROUTES: Final[tuple[Route, ...]] = (
    *map(_asking, ENDPOINTS),
    Route(
        "/v1/messages/count_tokens",
        "POST",
        "countMessageTokens",
        "Count the tokens of a conversation, in the shape of Anthropic's API; an estimate says so",
        partial(
            CountTokensResource,
            CountTokensRequest,
            messages_to_chat,
            count_of_messages,
            dialect=Dialect.MESSAGES,
        ),
        _COUNT,
        body=CountTokensRequest,
        result=TokenCount,
        enabled="enable_chat_endpoints",
    ),
    Route(
        "/v1/responses/input_tokens",
        "POST",
        "countResponseTokens",
        "Count the tokens of an input, in the shape of OpenAI's Responses API; an estimate says so",
        partial(CountInputResource, InputTokensRequest, input_to_chat, count_of_input),
        _COUNT,
        body=InputTokensRequest,
        result=InputTokenCount,
        enabled="enable_chat_endpoints",
    ),
    *_STORED,
    Route(
        "/v1/models",
        "GET",
        "listModels",
        "List the models served now",
        ModelsResource,
        result=ModelList,
    ),
    Route(
        "/v1/models/{model:path}",
        "GET",
        "retrieveModel",
        "Describe one model; its id may contain slashes",
        ModelOrInstances,
        {200: "The model", 404: "The model is not served here"},
        result=Model,
    ),
    Route(
        "/v1/models/{model:path}/instances",
        "GET",
        "listInstances",
        "List the instances of a model, and their state; its id may contain slashes",
        InstancesResource,
        {200: "The instances", 404: "The model is not served here"},
        result=InstanceList,
        part_of="/v1/models/{model:path}",
    ),
    Route("/", "GET", "about", "What this is, and where to look next", AboutResource, result=About),
    Route(
        "/live", "GET", "live", "Whether the process responds at all", LiveResource, result=Probe
    ),
    Route(
        "/ready",
        "GET",
        "ready",
        "Whether to send requests here",
        ReadyResource,
        _PROBE,
        result=Probe,
        own_errors=_NOT_READY,
    ),
    Route(
        "/health",
        "GET",
        "health",
        "The state of every part of the service",
        HealthResource,
        _PROBE,
        result=Health,
        own_errors=_NOT_READY,
    ),
    Route("/metrics", "GET", "metrics", "Prometheus metrics", MetricsResource, content=(TEXT,)),
    Route("/openapi.json", "GET", "openapi", "This document", OpenApiResource),
)


def enabled_routes(config: HttpServiceConfig) -> Iterator[Route]:
    """The routes that ``config`` leaves in place."""
    for route in ROUTES:
        if not route.enabled or getattr(config, route.enabled):
            yield route
