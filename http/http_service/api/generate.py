"""The way of every generating request: parse, validate, find who answers, count, answer.

Order of the checks as in Dynamo's frontend: draining, content type, size, JSON, shape (a refusal so
far is not counted); then values, and the model (``errors.is_counted``).
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any, Final

import falcon

from actors.engines.contract import Context, EngineRequest, Kind
from actors.engines.pool import Pool
from actors.engines.via import check_for_loop
from actors.registry.catalog import ResolvedModel
from actors.registry.errors import ModelNotFound
from http_service.api.body_head import check_body_head
from http_service.api.content_coding import decoded
from http_service.api.context import Services
from http_service.api.validation import ValidRequest, parse_json, validate
from http_service.connection import KEY, Connection
from http_service.errors import (
    BodyTooLarge,
    Draining,
    ErrorType,
    NoRoomForBody,
    is_counted,
    reply_for,
)
from http_service.headers import PASSED_HEADERS, passed_headers
from http_service.inline import WouldBlock, may_block
from http_service.streaming.exchange import Exchange
from http_service.streaming.stream_exchange import StreamExchange
from http_service.streaming.unary_exchange import UnaryExchange
from http_service.streaming.wsgi_body import AnswerWait, StreamBody
from http_service.telemetry.metrics import UNKNOWN_MODEL, InflightGuard

__all__ = [
    "Endpoint",
    "GenerateResource",
]

EVENT_STREAM: Final = "text/event-stream"

STREAM_HEADERS: Final = {
    "content-type": EVENT_STREAM,
    "cache-control": "no-cache",
    # Reverse proxies would otherwise collect a stream before they pass it on.
    "x-accel-buffering": "no",
}

INLINE_BODY: Final = 256 * 1024
"""Bytes of a request body up to which it is parsed on the event loop: half a millisecond. Longer
ones are a worker's, so that no stream waits for them."""

KEPT_BODY: Final = 16 * 1024
"""Bytes of a body up to which it stays decoded until its answer has ended; a longer one, which may
take 40 times its length then, is decoded again by an engine that looks into it."""

_decoding: Final = threading.Lock()
"""Held while a long body is decoded and checked: one at a time, so that one of them is in memory.
That takes the interpreter's lock in any case, so others would not be done sooner."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What tells one generating endpoint from another.

    ``label`` is its name in the metrics, ``id_prefix`` begins the ids of its folded answers.
    """

    kind: Kind
    label: str
    id_prefix: str


class GenerateResource:
    """``POST`` on a generating endpoint, unary and streamed."""

    def __init__(self, endpoint: Endpoint, services: Services) -> None:
        self._endpoint = endpoint
        self._config = services.config
        self._inflight = services.inflight
        self._metrics = services.metrics
        self._state = services.state

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with a completion, or with a stream of its chunks."""
        if self._inflight.closed:
            raise Draining
        env = req.env
        content_type, coding = env.get("CONTENT_TYPE"), env.get("HTTP_CONTENT_ENCODING")
        given = env.get("HTTP_X_REQUEST_TIMEOUT")
        codings: tuple[str, ...] = ()
        timeout: float | None = None
        # PERF: as nearly all of them say it; and none of what is passed on is there.
        if content_type != falcon.MEDIA_JSON or coding is not None or given is not None:
            codings, timeout = check_body_head(content_type, coding, given)
        connection: Connection | None = env.get(KEY)
        raw = self._read(req, connection, codings)
        valid, route, body = self._resolve(req, raw)
        request = EngineRequest(self._endpoint.kind, valid.model, valid.stream, body, raw)
        if route.model != valid.model:
            request = route.with_primary_name(request)
        context = Context(
            req.context.request_id,
            None,
            None if timeout is None else time.monotonic() + timeout,
            env.get("HTTP_X_SESSION_ID"),
            passed_headers(env) if not PASSED_HEADERS.isdisjoint(env) else (),
        )
        exchange = self._exchange(request, context, valid, req.path)
        req.context.call = exchange
        self._answer(exchange, route.engine, resp, connection)

    def _read(
        self, req: falcon.Request, connection: Connection | None, codings: tuple[str, ...]
    ) -> bytes:
        limit = self._config.body_limit
        if codings and not may_block():
            raise WouldBlock  # a few bytes may stand for a whole body
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

    def _resolve(
        self, req: falcon.Request, raw: bytes
    ) -> tuple[ValidRequest, ResolvedModel, dict[str, Any] | None]:
        """Check the whole request, and find who answers it; the body, unless it is a long one.

        Raises what is wrong with it, counted where that is so.
        """
        kind = self._endpoint.kind
        body: dict[str, Any] = {}
        try:
            if len(raw) <= INLINE_BODY:
                body = parse_json(raw)
            else:
                with _decoding:
                    body = parse_json(raw)
            valid = validate(kind, body)
            via = req.env.get("HTTP_VIA")
            if via is not None:
                check_for_loop(via)
            route = self._state.resolve(kind, valid.model)
        except Exception as error:
            if is_counted(error):
                self._count_refusal(req, error, body)
            raise
        return valid, route, body if len(raw) <= KEPT_BODY else None

    def _exchange(
        self, request: EngineRequest, context: Context, valid: ValidRequest, path: str
    ) -> Exchange:
        """The one object of this request from here on; it is counted as in flight."""
        metrics = self._metrics
        counts = metrics.models.get(request.model) or metrics.of(request.model)
        label = self._endpoint.label
        silence = self._config.engine_timeout
        if valid.stream:
            guard = InflightGuard(counts, label, "stream", metrics.clock)
            stream = StreamExchange(request, context, guard, self._inflight, path, silence)
            stream.prepare(include_usage=valid.include_usage)
            return stream
        guard = InflightGuard(counts, label, "unary", metrics.clock)
        unary = UnaryExchange(request, context, guard, self._inflight, path, silence)
        unary.prepare(self._endpoint.id_prefix)
        return unary

    def _answer(
        self,
        exchange: Exchange,
        pool: Pool,
        resp: falcon.Response,
        connection: Connection | None,
    ) -> None:
        """Have ``pool`` answer, and the connection written to; or wait for the answer here."""
        answering = False
        try:
            if not exchange.whole:
                resp.set_headers(STREAM_HEADERS)
            pool.begin(exchange)
            if connection is not None:
                exchange.connection = connection
                resp.stream = connection.take_over(exchange)
            else:
                _wait_for(exchange, resp, self._config.engine_timeout)
            answering = True
        except BaseException as error:
            exchange.guard.error_type = reply_for(error).error_type
            raise
        finally:
            if not answering:
                exchange.close_books()

    def _count_refusal(self, req: falcon.Request, error: Exception, body: dict[str, Any]) -> None:
        """Count a request that no engine is asked for: under its model, where that is served."""
        try:
            label = self._state.resolve(self._endpoint.kind, str(body.get("model"))).model
        except ModelNotFound:
            label = UNKNOWN_MODEL
        shape = "stream" if body.get("stream") is True else "unary"
        guard = self._metrics.guard(label, self._endpoint.label, shape)
        guard.error_type = reply_for(error).error_type
        guard.close()
        req.context.call = guard


def _wait_for(exchange: Exchange, resp: falcon.Response, silence: float) -> None:
    """Answer on this thread, under a server that can't take the answer over."""
    wait = AnswerWait(exchange, silence)
    error = wait.until_begun()
    if error is not None:
        raise error
    if not exchange.whole:
        resp.stream = StreamBody(exchange, wait)
        return
    resp.data = exchange.take()
    exchange.guard.error_type = ErrorType.NONE
    exchange.close_books()
