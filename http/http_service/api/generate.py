"""The way of every generating request: parse, validate, resolve the model, count, respond.

Order of the checks as in Dynamo's frontend: draining, content type, size, JSON, shape (a refusal so
far is not counted); then values, and the model (``errors.is_counted``).
"""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Final, TypeAlias

import falcon

from actors.engines.contract import Context, EngineRequest, with_defaults
from actors.engines.pool import Pool
from actors.engines.via import check_for_loop
from actors.registry.catalog import ModelNotFound, ResolvedModel
from http_service.api.body_head import check_body_head
from http_service.api.content_coding import decoded
from http_service.api.context import AppContext
from http_service.api.endpoints import ApiEndpoint
from http_service.api.falcon_parts import Response
from http_service.api.token_limits import check_token_limits
from http_service.api.validation import parse_json, validate
from http_service.connection import KEY, Connection
from http_service.errors import (
    BodyTooLarge,
    Draining,
    ErrorType,
    NoRoomForBody,
    is_counted,
    reply_for,
)
from http_service.headers import (
    PASSED_HEADERS,
    SESSION_HEADERS,
    passed_headers,
    priority_from,
    session_from,
)
from http_service.inline import WouldBlock, may_block
from http_service.streaming.exchange import Exchange
from http_service.streaming.stream_exchange import StreamExchange
from http_service.streaming.unary_exchange import UnaryExchange
from http_service.streaming.wsgi_body import BlockingReader, StreamBody
from http_service.telemetry.metrics import UNKNOWN_MODEL, InflightGuard

__all__ = [
    "INLINE_BODY",
    "GenerateResource",
    "ResolvedRequest",
    "add_stream_headers",
    "read_body",
]

EVENT_STREAM: Final = "text/event-stream"

STREAM_HEADERS: Final = {
    "content-type": EVENT_STREAM,
    "cache-control": "no-cache",
    # Reverse proxies would otherwise collect a stream before they pass it on.
    "x-accel-buffering": "no",
}

_RARE_HEADERS: Final = frozenset(
    ("HTTP_CONTENT_ENCODING", "HTTP_X_REQUEST_TIMEOUT", *SESSION_HEADERS, *PASSED_HEADERS)
)
"""What most requests have none of. PERF: looked for in one go."""

INLINE_BODY: Final = 256 * 1024
"""Bytes of a request body up to which it is parsed on the event loop: half a millisecond. Longer
ones are a worker's, so that no stream waits for them."""

KEPT_BODY: Final = 16 * 1024
"""Bytes of a body up to which it stays decoded until its response has ended; a longer one, which
may take 40 times its length then, is decoded again by an engine that looks into it."""

_decoding: Final = threading.Lock()
"""Held while a long body is decoded and checked: one at a time, so that one of them is in memory.
That takes the interpreter's lock in any case, so others would not be done sooner."""


ResolvedRequest: TypeAlias = tuple[dict[str, Any], Any, ResolvedModel]
"""The decoded body, the valid request, and what answers it."""


class GenerateResource:
    """``POST`` on a generating endpoint, unary and streamed."""

    _streamed: ClassVar[type[StreamExchange]] = StreamExchange
    _whole: ClassVar[type[UnaryExchange]] = UnaryExchange
    """The shapes of its responses."""

    def __init__(self, endpoint: ApiEndpoint, app: AppContext) -> None:
        self._kind, self._label = endpoint.kind, endpoint.label
        self._id_prefix, self._schema = endpoint.id_prefix, endpoint.body
        # PERF: no call of its own.
        self._check: Callable[[dict[str, Any]], Any] = partial(validate, endpoint.body)
        self._body_limit = app.config.body_limit
        self._idle_timeout = app.config.engine_timeout
        self._inflight = app.inflight
        self._metrics = app.metrics
        self._state = app.state

    def on_post(self, req: falcon.Request, resp: Response) -> None:
        """Answer with a completion, or with a stream of its chunks."""
        if self._inflight.closed:
            raise Draining
        env = req.env
        codings: tuple[str, ...] = ()
        timeout = session = via = None
        priority = 0
        passed: tuple[tuple[str, str], ...] = ()
        # PERF: the usual content type, and none of the headers that few requests have.
        if req.content_type != falcon.MEDIA_JSON or not env.keys().isdisjoint(_RARE_HEADERS):
            codings, timeout = check_body_head(
                req.content_type,
                env.get("HTTP_CONTENT_ENCODING"),
                env.get("HTTP_X_REQUEST_TIMEOUT"),
            )
            priority = priority_from(env.get("HTTP_X_PRIORITY"))
            session, via = session_from(env), env.get("HTTP_VIA")
            passed = passed_headers(env)
        connection: Connection | None = env.get(KEY)
        if connection is not None and not codings:
            raw = connection.whole_body()
        else:
            raw = read_body(req, connection, codings, self._body_limit)
        body, valid, resolved = self._resolve(req, raw, via)
        request = EngineRequest(
            self._kind, valid.model, valid.stream is True,
            body if len(raw) <= KEPT_BODY else None, raw,
        )  # fmt: skip
        if resolved.model != valid.model:
            request = resolved.with_primary_name(request)
        deadline = None if timeout is None else time.monotonic() + timeout
        context = Context(req.context.request_id, None, deadline, session, passed, priority)
        exchange = self._exchange(req, resp, request, context, valid, resolved.engine)
        self._start(req, resp, exchange, resolved.engine, connection)

    def _resolve(
        self,
        req: falcon.Request,
        raw: bytes,
        via: str | None,
        check: Callable[[dict[str, Any]], Any] | None = None,
    ) -> ResolvedRequest:
        """Check the whole request, and resolve its model.

        ``check`` is that of this request, if it has one of its own. Raises what is wrong with it,
        counted where that is so.
        """
        body: dict[str, Any] = {}
        try:
            if len(raw) <= INLINE_BODY:
                body = parse_json(raw)
            else:
                with _decoding:
                    body = parse_json(raw)
            valid = (check or self._check)(body)
            if via is not None:
                check_for_loop(via)
            resolved = self._state.resolve(self._kind, valid.model)
            spec = resolved.engine.spec
            if spec.context_length is not None or spec.max_output_tokens is not None:
                check_token_limits(body, spec.context_length, spec.max_output_tokens)
            return body, valid, resolved
        except Exception as error:
            if is_counted(error):
                self._count_refusal(req, error, body)
            raise

    def _exchange(
        self,
        req: falcon.Request,
        resp: Response,
        request: EngineRequest,
        context: Context,
        valid: Any,
        pool: Pool,
    ) -> Exchange:
        """The request that ``pool`` is to answer, as one object; it is counted from here on."""
        metrics, inflight, path, idle = self._metrics, self._inflight, req.path, self._idle_timeout
        counts = metrics.models.get(pool.model) or metrics.of(pool.model)
        if pool.spec.defaults is not None:
            request = with_defaults(request, pool.spec.defaults)
        exchange: Exchange
        if request.stream:
            guard = InflightGuard(counts, self._label, "stream", metrics.clock)
            if next(metrics.watched):
                guard.arrivals = array("f")
            exchange = stream = self._streamed(request, context, guard, inflight, path, idle)
            options = valid.stream_options
            stream.prepare(include_usage=options is not None and options.include_usage is True)
            add_stream_headers(resp)
        else:
            guard = InflightGuard(counts, self._label, "unary", metrics.clock)
            exchange = unary = self._whole(request, context, guard, inflight, path, idle)
            unary.prepare(self._id_prefix)
        return exchange

    def _start(
        self,
        req: falcon.Request,
        resp: Response,
        exchange: Exchange,
        pool: Pool,
        connection: Connection | None,
    ) -> None:
        req.context.call = exchange
        exchange.arrived = req.context.started
        try:
            pool.begin(exchange)
            if connection is not None:
                exchange.connection = connection
                resp.stream = connection.take_over(exchange)
            else:
                _wait_for(exchange, resp, self._idle_timeout)
        except BaseException as error:
            exchange.guard.error_type = reply_for(error).error_type
            exchange.close_books()
            raise

    def _count_refusal(self, req: falcon.Request, error: Exception, body: dict[str, Any]) -> None:
        """Count a request that no engine is asked for: under its model, where that is served."""
        try:
            label = self._state.resolve(self._kind, str(body.get("model"))).engine.model
        except ModelNotFound:
            label = UNKNOWN_MODEL
        shape = "stream" if body.get("stream") is True else "unary"
        guard = self._metrics.guard(label, self._label, shape)
        guard.error_type = reply_for(error).error_type
        guard.close()
        req.context.call = guard


def read_body(
    req: falcon.Request, connection: Connection | None, codings: tuple[str, ...], limit: int
) -> bytes:
    """The body, decoded. Raises ``BodyTooLarge`` and ``NoRoomForBody``."""
    if codings and not may_block():
        raise WouldBlock  # a few bytes may inflate to a whole body
    if connection is not None:
        raw = connection.whole_body()
    elif (req.content_length or 0) > limit:
        raise BodyTooLarge(limit)
    else:
        raw = req.bounded_stream.read()
    if codings:
        raw = decoded(raw, codings, limit)
        if connection is not None and not connection.hold(len(raw)):
            raise NoRoomForBody
    return raw


def add_stream_headers(resp: Response) -> None:
    """Say that the response is a stream of events, to the client and to proxies on the way."""
    if resp.fields is None:
        resp.set_headers(STREAM_HEADERS)
    else:
        resp.fields.update(STREAM_HEADERS)


def _wait_for(exchange: Exchange, resp: falcon.Response, idle_timeout: float) -> None:
    """Answer on this thread, under a server that can't take the response over."""
    reader = BlockingReader(exchange, idle_timeout)
    error = reader.until_started()
    if error is not None:
        raise error
    if not exchange.complete_only:
        resp.set_headers(exchange.own_headers())
        resp.stream = StreamBody(exchange, reader)
        return
    resp.data = exchange.take()
    resp.set_headers(exchange.own_headers())
    exchange.guard.error_type = ErrorType.NONE
    exchange.close_books()
