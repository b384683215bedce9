"""The OpenAPI document, generated from the route table and the request schemas."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import msgspec

from http_service.route import JSON, Route

__all__ = ["document"]

DISTRIBUTION: Final = "callboard"
REF: Final = "#/components/schemas/{name}"
ERROR_SCHEMA: Final = "Error"

_PARAMETER: Final = re.compile(r"\{(\w+)(?::\w+)?\}")


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """An OpenAPI 3.1 document of exactly these routes."""
    bodies = [route.body for route in routes if route.body is not None]
    _, schemas = msgspec.json.schema_components(bodies, ref_template=REF)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        operations = paths.setdefault(_PARAMETER.sub(r"{\1}", route.path), {})
        operations[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Callboard", "version": _version(), "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {"schemas": {**schemas, ERROR_SCHEMA: _error_schema()}},
    }


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "responses": {
            str(status): _response(route, status, meaning)
            for status, meaning in route.answers.items()
        },
    }
    names = _PARAMETER.findall(route.path)
    if names:
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in names
        ]
    if route.body is not None:
        schema = {"$ref": REF.format(name=route.body.__name__)}
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": schema}}}
    return operation


def _response(route: Route, status: int, meaning: str) -> Mapping[str, Any]:
    if status >= 400 and route.body is not None:
        schema = {"$ref": REF.format(name=ERROR_SCHEMA)}
        return {"description": meaning, "content": {JSON: {"schema": schema}}}
    return {"description": meaning, "content": {kind: {} for kind in route.content}}


def _error_schema() -> dict[str, Any]:
    """What every status from 400 carries (``errors.body_of``)."""
    text = {"type": "string"}
    text_or_null = {"type": ["string", "null"]}
    fields = {"message": text, "type": text, "param": text_or_null, "code": text_or_null}
    error = {"type": "object", "properties": fields, "required": [*fields]}
    return {"type": "object", "properties": {"error": error}, "required": ["error"]}


def _version() -> str:
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:  # a source tree that was never installed
        return "0"
