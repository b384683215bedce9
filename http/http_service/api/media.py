"""The way of a request that media answer: relayed as a document is, with a form in or anything out.

A form is not taken apart: its model is found, where that is an alias its name is replaced, and what
its model has as defaults is put before its own fields.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import falcon

from actors.engines.contract import Context, EngineRequest, with_defaults
from actors.engines.pool import Pool
from actors.engines.via import check_for_loop
from http_service.api.body_head import check_body_head
from http_service.api.context import AppContext
from http_service.api.endpoints import ApiEndpoint
from http_service.api.falcon_parts import Response
from http_service.api.generate import GenerateResource, ResolvedRequest, read_body
from http_service.api.multipart import read_form
from http_service.connection import KEY, Connection
from http_service.errors import Draining, is_counted
from http_service.headers import (
    NO_STORE,
    passed_headers,
    priority_from,
    session_from,
)
from http_service.streaming.exchange import Exchange
from http_service.streaming.media_exchange import MediaExchange
from http_service.telemetry.model_metrics import InflightGuard

__all__ = ["FormResource", "MediaResource"]

_UNBUFFERED: Final = ("x-accel-buffering", "no")
"""Reverse proxies would otherwise collect a sound before they pass it on."""


class MediaResource(GenerateResource):
    """``POST`` on an endpoint that reads JSON, and answers with media or a document."""

    def __init__(self, endpoint: ApiEndpoint, app: AppContext) -> None:
        super().__init__(endpoint, app)
        self._path: Final = endpoint.path

    def _exchange(
        self,
        req: falcon.Request,
        resp: Response,
        request: EngineRequest,
        context: Context,
        valid: Any,
        pool: Pool,
    ) -> Exchange:
        del valid
        request.path = self._path
        if pool.spec.defaults is not None:
            request = with_defaults(request, pool.spec.defaults)
        metrics, idle = self._metrics, self._idle_timeout
        guard = InflightGuard(metrics.of(pool.model), self._label, "unary", metrics.clock)
        exchange = MediaExchange(request, context, guard, self._inflight, req.path, idle)
        exchange.prepare(include_usage=False)
        for name, value in (NO_STORE, _UNBUFFERED):
            resp.set_header(name, value)
        return exchange

    def _start(
        self,
        req: falcon.Request,
        resp: Response,
        exchange: Exchange,
        pool: Pool,
        connection: Connection | None,
    ) -> None:
        super()._start(req, resp, exchange, pool, connection)
        if connection is None and isinstance(exchange, MediaExchange):
            resp.content_type = exchange.content_type


class FormResource(MediaResource):
    """``POST`` on an endpoint that reads a form."""

    def on_post(self, req: falcon.Request, resp: Response) -> None:
        """Have the form answered."""
        if self._inflight.closed:
            raise Draining
        env = req.env
        codings, timeout = check_body_head(
            req.content_type,
            env.get("HTTP_CONTENT_ENCODING"),
            env.get("HTTP_X_REQUEST_TIMEOUT"),
            form=True,
        )
        priority = priority_from(env.get("HTTP_X_PRIORITY"))
        connection: Connection | None = env.get(KEY)
        raw = read_body(req, connection, codings, self._body_limit)
        fields, read, resolved = self._resolve(req, raw, env.get("HTTP_VIA"))
        request = EngineRequest(
            self._kind, read.model, stream=False, parsed=fields, raw=raw, form=read.form
        )
        if resolved.model != read.model:
            request = resolved.with_primary_name(request)
        deadline = None if timeout is None else time.monotonic() + timeout
        session, passed = session_from(env), passed_headers(env)
        context = Context(req.context.request_id, None, deadline, session, passed, priority)
        exchange = self._exchange(req, resp, request, context, read, resolved.engine)
        self._start(req, resp, exchange, resolved.engine, connection)

    def _resolve(
        self,
        req: falcon.Request,
        raw: bytes,
        via: str | None,
        check: Callable[[dict[str, Any]], Any] | None = None,
    ) -> ResolvedRequest:
        """As for JSON; the second of what it returns are ``FormFields``."""
        del check
        fields: dict[str, Any] = {}
        try:
            read = read_form(raw, req.content_type or "")
            fields.update(read.fields)
            check_for_loop(via)
            return fields, read, self._state.resolve(self._kind, read.model)
        except Exception as error:
            if is_counted(error):
                self._count_refusal(req, error, fields)
            raise
