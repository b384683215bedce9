"""The one table of routes of the admin API: its application and its document are made from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from http_service.admin.actions import (
    TREE_VERBS,
    Confirmation,
    DrainResource,
    LogLevel,
    LogLevelResource,
    TreeActionResource,
)
from http_service.admin.documents import (
    Config,
    EventList,
    ModelDetail,
    Models,
    Overview,
    Page,
    Sources,
    Stacks,
    TreeNode,
)
from http_service.admin.history import (
    RequestList,
    RequestQuery,
    RequestResource,
    RequestsResource,
    SeriesResource,
    StreamQuery,
    StreamResource,
)
from http_service.admin.instances import VERBS, Changed, InstanceActionResource
from http_service.admin.parts import PREFIX, Parts
from http_service.admin.process_facts import Processes
from http_service.admin.request_log import RequestDetail
from http_service.admin.resources import (
    ConfigResource,
    EventsResource,
    ModelResource,
    ModelsResource,
    OverviewResource,
    ProcessesResource,
    SourcesResource,
    StacksResource,
    TreeResource,
)
from http_service.admin.series import SeriesDocument
from http_service.api.context import EVENTS, AppContext, Route
from http_service.api.openapi import OpenApiResource

__all__ = ["admin_routes"]

Make = Callable[[Parts, AppContext], object]

_CHANGES: Final[Mapping[int, str]] = {
    200: "What it was before, and what it is now",
    400: "The body is malformed, or lacks the confirmation",
    403: "The request is not an operator's, or comes from a page of another origin",
    404: "There is no such thing",
    409: "It is not in a state that allows this, or was changed meanwhile",
    413: "The body is longer than 64 KiB",
    415: "The body is not declared as JSON",
}


def admin_routes(parts: Parts) -> Sequence[Route]:
    """Every route of the admin API of the service that ``parts`` show."""
    return (*_readings(parts), *_changes(parts))


def _readings(parts: Parts) -> Iterator[Route]:
    not_found = {200: "The model", 404: "The model is not served here"}
    reading = partial(_reading, parts)
    yield reading("overview", "The front-end on one screen", OverviewResource, Overview)
    yield reading("tree", "The supervision tree", TreeResource, TreeNode)
    yield reading("models", "Every model and how many instances it has", ModelsResource, Models)
    yield reading(
        "models/{model:path}",
        "One model with its instances; its id may contain slashes",
        ModelResource,
        ModelDetail,
        statuses=not_found,
    )
    yield reading(
        "sources", "The sources of discovery and the files of keys", SourcesResource, Sources
    )
    yield reading(
        "series", "The figures of the last twenty minutes", SeriesResource, SeriesDocument
    )
    yield reading(
        "requests",
        "The requests that ended last",
        RequestsResource,
        RequestList,
        query=RequestQuery,
    )
    yield reading(
        "requests/{id}",
        "One request, and where its time went",
        RequestResource,
        RequestDetail,
        statuses={200: "The request", 404: "It is not kept, or not any more"},
    )
    yield Route(
        f"{PREFIX}/stream",
        "GET",
        "stream",
        "Figures, tree, models, events and requests as they come",
        partial(StreamResource, parts),
        {200: "Server-sent events", 429: "Sixteen read it already"},
        content=(EVENTS,),
        query=StreamQuery,
    )
    yield reading("events", "What happened of late", EventsResource, EventList, query=Page)
    yield reading("processes", "What each process uses", ProcessesResource, Processes)
    yield reading("config", "The settings, and where each came from", ConfigResource, Config)
    yield reading("stacks", "What every thread does now", StacksResource, Stacks)
    yield Route(f"{PREFIX}/openapi.json", "GET", "openapi", "This document", OpenApiResource)


def _reading(
    parts: Parts,
    path: str,
    summary: str,
    make: Make,
    result: type[msgspec.Struct],
    **more: Any,
) -> Route:
    name = {"models/{model:path}": "model", "requests/{id}": "request"}.get(path, path)
    return Route(
        f"{PREFIX}/{path}", "GET", name, summary, partial(make, parts), result=result, **more
    )


def _changes(parts: Parts) -> Iterator[Route]:
    change = partial(_change, parts)
    for verb, (body, _, summary) in VERBS.items():
        path = f"instances/{{kind}}/{{model}}/{{id}}:{verb}"
        yield change(path, f"{verb}Instance", summary, InstanceActionResource, body, INSTANCES)
    for verb, (body, _, summary) in TREE_VERBS.items():
        yield change(f"tree/{{path}}:{verb}", verb, summary, TreeActionResource, body, CHILDREN)
    summary = "Which lines are logged, until the process ends"
    yield change("log-level", "logLevel", summary, LogLevelResource, LogLevel)
    summary = "End the service as SIGTERM does: it drains first"
    yield change("service:drain", "drain", summary, DrainResource, Confirmation)


INSTANCES: Final = f"{PREFIX}/instances/{{target:path}}"
CHILDREN: Final = f"{PREFIX}/tree/{{target:path}}"
"""Where Falcon routes what it can't take apart: names in the middle that hold slashes."""


def _change(
    parts: Parts,
    path: str,
    name: str,
    summary: str,
    make: Make,
    body: type[msgspec.Struct],
    routed: str = "",
) -> Route:
    return Route(
        f"{PREFIX}/{path}",
        "POST",
        name,
        summary,
        partial(make, parts),
        _CHANGES,
        body=body,
        result=Changed,
        part_of=routed,
    )
