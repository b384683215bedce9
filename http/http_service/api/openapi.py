"""The OpenAPI document, generated from the route table and the schemas of the bodies."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, cast

import falcon
import msgspec
import orjson

from actors.version import callboard_version
from http_service.api.api_keys import OPEN_PATHS
from http_service.api.context import EVENTS, FORM, JSON, AppContext, Route
from http_service.headers import ID_HEADER, MAX_PRIORITY, PRIORITY_HEADER, TIMEOUT_HEADER

__all__ = [
    "OpenApiResource",
    "document",
]

REF: Final = "#/components/schemas/{name}"
ERROR_SCHEMA: Final = "Error"
KEY_SCHEME: Final = "key"

_PARAMETER: Final = re.compile(r"\{(\w+)(?::\w+)?\}")

_COMMON: Final[Mapping[int, str]] = MappingProxyType(
    {
        400: "The request is not valid HTTP",
        401: "The service has API keys, and the request bears none of them",
        405: "The path has no such method; Allow names those that it has",
        408: "The request took too long to arrive",
        413: "The body exceeds the limit",
        421: "The service does not answer for the host in Host",
        431: "The request line and headers exceed the limit",
        500: "The service failed",
        501: "The transfer coding is not chunked",
        503: "Too many connections are open; retry after the time in Retry-After",
        505: "The HTTP version is neither 1.0 nor 1.1",
    }
)
"""What any route may respond; a route's own meaning comes first."""

_HEADERS: Final[Mapping[int, str]] = MappingProxyType(
    {
        401: "WWW-Authenticate",
        405: "Allow",
        415: "Accept-Encoding",
        429: "Retry-After",
        503: "Retry-After",
    }
)
"""The header that says what a client can do next."""

_STREAM_NEEDS_STREAM: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "if": {
            "properties": {"stream_options": {"type": "object"}},
            "required": ["stream_options"],
        },
        "then": {"properties": {"stream": {"const": True}}, "required": ["stream"]},
    }
)
"""What msgspec can't say of a body: ``validation`` checks it."""

_TEXT: Final = {"type": "string"}


def document(routes: Sequence[Route], *, keyed: bool, open_probes: bool) -> dict[str, Any]:
    """An OpenAPI 3.1 document of exactly these routes.

    ``keyed``: whether a request needs an API key; ``open_probes``: whether probes and metrics
    need none.
    """
    open_paths = OPEN_PATHS if open_probes else frozenset[str]()
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        operations = paths.setdefault(_PARAMETER.sub(r"{\1}", route.path), {})
        operations[route.method.lower()] = _operation(route, open_paths)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Callboard",
            "version": callboard_version(),
            "license": {"name": "Apache-2.0"},
        },
        # An empty requirement is one that nothing fails.
        "security": [{KEY_SCHEME: []}] if keyed else [{}, {KEY_SCHEME: []}],
        "paths": paths,
        "components": {
            "schemas": {**_schemas(routes), ERROR_SCHEMA: _error_schema()},
            "securitySchemes": {KEY_SCHEME: {"type": "http", "scheme": "bearer"}},
        },
    }


def _schemas(routes: Sequence[Route]) -> dict[str, Any]:
    structs = [
        value
        for route in routes
        for value in (route.body, route.result, route.event)
        if value is not None
    ]
    _, schemas = msgspec.json.schema_components(structs, ref_template=REF)
    for route in routes:
        if route.body is not None and _generates(route):
            schemas[route.body.__name__].update(_STREAM_NEEDS_STREAM)
    return cast("dict[str, Any]", _with_integers(schemas))


def _with_integers(schema: object) -> object:
    """``schema`` with whole numbers called so: to JSON Schema, 256.0 is an integer, too."""
    if schema == {"type": "number", "multipleOf": 1}:
        return {"type": "integer"}
    if isinstance(schema, dict):
        members = cast("dict[str, object]", schema)
        return {name: _with_integers(value) for name, value in members.items()}
    if isinstance(schema, list):
        return [*map(_with_integers, cast("Iterable[object]", schema))]
    return schema


def _operation(route: Route, open_paths: Collection[str]) -> dict[str, Any]:
    meanings = {**_COMMON, **route.statuses}
    if route.path in open_paths:
        del meanings[401]
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "parameters": [*_parameters(route)],
        "responses": {
            str(status): _response(route, status, meanings[status]) for status in sorted(meanings)
        },
    }
    if route.path in open_paths:
        operation["security"] = []
    if route.body is not None:
        content = {FORM if route.form else JSON: {"schema": _ref(route.body)}}
        operation["requestBody"] = {"required": True, "content": content}
    if _generates(route):
        operation["responses"]["4XX"] = _error("The engine refused the request, in its own words")
    return operation


def _parameters(route: Route) -> Iterator[dict[str, Any]]:
    for name in _PARAMETER.findall(route.path):
        yield {"name": name, "in": "path", "required": True, "schema": _TEXT}
    yield _header(ID_HEADER, "Names the request in the response, the log and the upstream", _TEXT)
    if route.query is not None:
        schema = msgspec.json.schema(route.query)
        for name, meaning in schema["$defs"][route.query.__name__]["properties"].items():
            yield {"name": name, "in": "query", "schema": meaning}
    if _generates(route):
        seconds = {"type": "number", "exclusiveMinimum": 0}
        yield _header(TIMEOUT_HEADER, "Seconds to wait for the whole response", seconds)
        whole = {"type": "integer", "minimum": -MAX_PRIORITY, "maximum": MAX_PRIORITY}
        yield _header(PRIORITY_HEADER, "Who waits for a busy model: higher ones first", whole)
        codings = {"type": "string", "enum": ["identity", "gzip", "deflate"]}
        yield _header("content-encoding", "How the body is compressed", codings)


def _generates(route: Route) -> bool:
    """Whether an engine may see the request: its body names a model."""
    return route.body is not None and "model" in route.body.__struct_fields__


def _header(name: str, meaning: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": meaning, "schema": schema}


def _response(route: Route, status: int, meaning: str) -> dict[str, Any]:
    if status >= 400 and status not in route.own_errors:
        response = _error(meaning)
    else:
        content = {kind: _content(route, kind) for kind in route.content}
        response = {"description": meaning, "content": content}
    headers = {ID_HEADER: {"schema": _TEXT}}
    if status in _HEADERS:
        headers[_HEADERS[status]] = {"schema": _TEXT}
    return {**response, "headers": headers}


def _content(route: Route, kind: str) -> dict[str, Any]:
    if kind == JSON:
        return {"schema": {"type": "object"} if route.result is None else _ref(route.result)}
    if kind == EVENTS and route.event is not None:
        # OpenAPI 3.1 has no word for what one event of a stream holds.
        return {"schema": _TEXT, "x-event-data": _ref(route.event), "x-last-event-data": "[DONE]"}
    return {"schema": _TEXT}


def _error(meaning: str) -> dict[str, Any]:
    schema = {"$ref": REF.format(name=ERROR_SCHEMA)}
    return {"description": meaning, "content": {JSON: {"schema": schema}}}


def _ref(struct: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": REF.format(name=struct.__name__)}


def _error_schema() -> dict[str, Any]:
    """What every status from 400 carries (``errors.body_of``)."""
    text_or_null = {"type": ["string", "null"]}
    fields = {"message": _TEXT, "type": _TEXT, "param": text_or_null, "code": text_or_null}
    error = {"type": "object", "properties": fields, "required": [*fields]}
    return {"type": "object", "properties": {"error": error}, "required": ["error"]}


class OpenApiResource:
    """The document of exactly the routes that this service has; made once."""

    def __init__(self, app: AppContext) -> None:
        described = document(
            app.routes,
            keyed=app.keys is not None,
            open_probes=app.config.open_probes,
        )
        self._document = orjson.dumps(described, option=orjson.OPT_INDENT_2)

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """The document as JSON."""
        resp.content_type = falcon.MEDIA_JSON
        resp.data = self._document

    on_head = on_get
