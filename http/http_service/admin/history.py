"""The resources that show what was recorded: series, requests, and the live stream of it all."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated

import falcon
from msgspec import Meta, Struct

from http_service.admin.documents import Page
from http_service.admin.feed import MAX_READERS, TOPICS, cursor_of
from http_service.admin.parts import Parts, latest
from http_service.admin.request_log import Row, detail_of, row_of, wall_offset
from http_service.admin.requesting import query_as, write
from http_service.admin.stream_reader import StreamReader
from http_service.api.context import EVENTS, AppContext
from http_service.connection import KEY, Connection
from http_service.errors import InvalidValue
from http_service.telemetry.access_log import AccessRecord, log_request
from http_service.telemetry.ended_requests import EndedRequest

__all__ = [
    "RequestList",
    "RequestQuery",
    "RequestResource",
    "RequestsResource",
    "SeriesResource",
    "StreamQuery",
    "StreamResource",
]


class RequestQuery(Page):
    """Which requests: ``q`` is a part of a name or of the outcome, ``status`` as 404 or 5xx."""

    q: Annotated[str, Meta(max_length=256)] = ""
    status: Annotated[str, Meta(pattern="^[1-5](xx|[0-9][0-9])$")] | None = None


class RequestList(Struct):
    """Requests, the newest last, and what to ask for ``after`` next time."""

    requests: list[Row]
    next: int


class StreamQuery(Struct, forbid_unknown_fields=True):
    """Which topics, with commas between; all of them without."""

    topics: Annotated[str, Meta(max_length=256)] = ""


class SeriesResource:
    """The figures of the last twenty minutes."""

    def __init__(self, parts: Parts, _app: AppContext) -> None:
        self._series = parts.series

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Every series, a value a second."""
        write(resp, self._series.document())

    on_head = on_get


class RequestsResource:
    """The requests that ended last."""

    def __init__(self, parts: Parts, _app: AppContext) -> None:
        self._parts = parts

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Those after one, or the newest, that fit the query. Raises ``InvalidValue``."""
        query = query_as(req, RequestQuery)
        found, next_ = page_of(latest(self._parts), query)
        wall = wall_offset()
        write(resp, RequestList([row_of(each, wall) for each in found], next_))

    on_head = on_get


class RequestResource:
    """One request that has ended."""

    def __init__(self, parts: Parts, _app: AppContext) -> None:
        self._parts = parts

    def on_get(self, _req: falcon.Request, resp: falcon.Response, id: str) -> None:  # noqa: A002  # the route's field
        """Where its time went. Raises ``HTTPNotFound``."""
        latest(self._parts)
        found = self._parts.requests.find(id)
        if found is None:
            raise falcon.HTTPNotFound(description="No such request is kept: the newest 2,000 are.")
        write(resp, detail_of(found, wall_offset()))

    on_head = on_get


def page_of(
    kept: Sequence[EndedRequest], query: RequestQuery
) -> tuple[Sequence[EndedRequest], int]:
    """The part of ``kept`` that ``query`` asks for, and what to go on after; pure."""
    newest = kept[-1].sequence if kept else 0
    fits = _filter_of(query)
    after = query.after
    if after is None or after > newest:
        return [each for each in kept if fits(each)][-query.limit :], newest
    found = [each for each in kept if each.sequence > after and fits(each)]
    if len(found) > query.limit:
        return found[: query.limit], found[query.limit - 1].sequence
    return found, newest


def _filter_of(query: RequestQuery) -> Callable[[EndedRequest], bool]:
    text, status = query.q.casefold(), (query.status or "").rstrip("x")

    def fits(ended: EndedRequest) -> bool:
        if not str(ended.status).startswith(status):
            return False
        words = (ended.id, ended.model, ended.instance, ended.endpoint, ended.kind, ended.outcome)
        return not text or any(text in word.casefold() for word in words if word)

    return fits


class StreamResource:
    """Server-sent events, for as long as the reader stays."""

    def __init__(self, parts: Parts, _app: AppContext) -> None:
        self._parts = parts

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Begin a stream. Raises ``InvalidValue`` and ``HTTPTooManyRequests``."""
        topics = topics_of(query_as(req, StreamQuery).topics)
        parts = self._parts
        if len(parts.feed.readers) >= MAX_READERS:
            raise falcon.HTTPTooManyRequests(
                description=f"{MAX_READERS} readers are connected, which is the most: close one."
            )
        connection: Connection | None = req.env.get(KEY)
        if connection is None:
            raise falcon.HTTPNotImplemented(description="Only Callboard's own server streams this.")
        cursor = cursor_of(
            req.get_header("last-event-id"), parts.events.ring.newest, parts.requests.ring.newest
        )
        scope = req.context
        log = partial(_log_end, scope.request_id, req.path, scope.started)
        reader = StreamReader(connection, topics, cursor, parts.feed, log)
        resp.content_type = EVENTS
        resp.set_header("cache-control", "no-store")
        resp.set_header("x-accel-buffering", "no")
        resp.stream = connection.take_over(reader)
        parts.feed.join(reader)


def _log_end(request_id: str, path: str, started: float) -> None:
    """The stream's line in the access log, as of any request: when it has ended."""
    elapsed = round((time.monotonic() - started) * 1000, 3)
    log_request(AccessRecord(request_id, "GET", path, 200, elapsed))


def topics_of(text: str) -> frozenset[str]:
    """The topics that ``text`` names, all if it names none. Raises ``InvalidValue``."""
    named = frozenset(part.strip() for part in text.split(",") if part.strip())
    unknown = named - {*TOPICS}
    if unknown:
        raise InvalidValue(f"The topics are {', '.join(TOPICS)}", "topics")
    return named or frozenset(TOPICS)
