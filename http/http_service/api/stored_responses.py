"""``/v1/responses/{response_id}`` and below: responses that were stored, and requests that go on.

A service that stores none, which is the default, says so where it is asked for one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import falcon
import orjson
from msgspec import Struct

from actors.engines.lenient_json import decode, encode
from http_service.api.api_keys import owner_of
from http_service.api.context import AppContext
from http_service.api.count import CountTokensResource
from http_service.api.endpoints import ApiEndpoint, Translation
from http_service.api.generate import INLINE_BODY, ResolvedRequest
from http_service.api.translate import TranslatedResource
from http_service.connection import KEY, Connection
from http_service.dialects.stored_items import PAGE, page_of
from http_service.errors import BodyTooLarge, NoRoomForBody, UnsupportedParameter
from http_service.inline import WouldBlock, may_block
from http_service.response_store import ClientResponses

__all__ = [
    "CountInputResource",
    "Deleted",
    "InputItems",
    "InputItemsResource",
    "StoredResponseResource",
    "translated_resource",
]


class Deleted(Struct):
    """That a response was deleted."""

    id: str
    object: str
    deleted: bool


class InputItems(Struct):
    """A page of the items that a response answered."""

    object: str
    data: list[dict[str, Any]]
    first_id: str | None
    last_id: str | None
    has_more: bool


def responses_for(
    app: AppContext, req: falcon.Request, admit: Callable[[int], None]
) -> ClientResponses:
    """What the client of ``req`` has stored: with keys, each key has its own."""
    owner = b"" if app.keys is None else owner_of(req.env)
    return ClientResponses(app.responses, owner, admit)


class Admission:
    """Lets one request take stored JSON out, as if it stood in its body of ``size`` bytes."""

    def __init__(self, app: AppContext, req: falcon.Request, size: int) -> None:
        self._limit = app.config.body_limit
        self._size = size
        self._connection: Connection | None = req.env.get(KEY)

    def admit(self, size: int) -> None:
        """Raises ``BodyTooLarge``, ``NoRoomForBody``, and ``WouldBlock`` for a worker's work."""
        self._size += size
        if self._size > self._limit:
            raise BodyTooLarge(self._limit)
        if self._size > INLINE_BODY and not may_block():
            raise WouldBlock
        if self._connection is not None and not self._connection.hold(size):
            raise NoRoomForBody


class StoringResource(TranslatedResource):
    """``POST`` on an endpoint whose responses are stored, where that is switched on."""

    def __init__(
        self, endpoint: ApiEndpoint, translate: Callable[..., Translation], app: AppContext
    ) -> None:
        super().__init__(endpoint, translate, app)
        self._app: Final = app

    def _resolve(
        self,
        req: falcon.Request,
        raw: bytes,
        via: str | None,
        check: Callable[[dict[str, Any]], Any] | None = None,
    ) -> ResolvedRequest:
        del check
        responses = responses_for(self._app, req, Admission(self._app, req, len(raw)).admit)
        return super()._resolve(req, raw, via, partial(self._checked, responses=responses))


def translated_resource(
    endpoint: ApiEndpoint, translate: Callable[..., Translation], app: AppContext
) -> TranslatedResource:
    """The resource of an endpoint of another API: that of a store only where there is one."""
    storing = endpoint.stored and app.responses.limit > 0
    resource = StoringResource if storing else TranslatedResource
    return resource(endpoint, translate, app)


class CountInputResource(CountTokensResource):
    """Counts the tokens of an input, and of the conversation that it goes on."""

    def _chat(self, req: falcon.Request, body: dict[str, Any], size: int) -> Mapping[str, Any]:
        responses = responses_for(self._app, req, Admission(self._app, req, size).admit)
        return self._to_chat(body, responses)


class StoredResponseResource:
    """One stored response."""

    def __init__(self, app: AppContext) -> None:
        self._app = app

    def on_get(self, req: falcon.Request, resp: falcon.Response, response_id: str) -> None:
        """The response as it was sent. Raises ``ResponseNotFound``."""
        if req.get_param("stream") not in (None, "false"):
            raise UnsupportedParameter("A stored response is not streamed again", "stream")
        _write(resp, self._stored(req).find(response_id).document)

    on_head = on_get

    def on_delete(self, req: falcon.Request, resp: falcon.Response, response_id: str) -> None:
        """Delete it. Raises ``ResponseNotFound``."""
        self._stored(req).forget(response_id)
        deleted = {"id": response_id, "object": "response", "deleted": True}
        _write(resp, orjson.dumps(deleted))

    def _stored(self, req: falcon.Request) -> ClientResponses:
        return responses_for(self._app, req, Admission(self._app, req, 0).admit)


class InputItemsResource:
    """The items that a stored response answered, a page at a time."""

    def __init__(self, app: AppContext) -> None:
        self._app = app

    def on_get(self, req: falcon.Request, resp: falcon.Response, response_id: str) -> None:
        """One page. Raises ``ResponseNotFound``, and what is wrong with the query."""
        admission = Admission(self._app, req, 0)
        stored = responses_for(self._app, req, admission.admit).find(response_id)
        admission.admit(len(stored.items))
        page = page_of(
            decode(stored.items),
            order=req.get_param("order", default="desc"),
            limit=req.get_param_as_int("limit", default=PAGE),
            after=req.get_param("after"),
        )
        _write(resp, encode(page))

    on_head = on_get


def _write(resp: falcon.Response, document: bytes) -> None:
    resp.content_type = falcon.MEDIA_JSON
    resp.set_header("cache-control", "no-store")
    resp.data = document
