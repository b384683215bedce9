"""The path of every generating request: check, count, find the engine, let it answer.

Order of the checks as in Dynamo's frontend: draining, content type, size, JSON, shape (none of
these is counted); then the request is counted; then values, then the model.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any, Final

import falcon

from actors.engines.contract import Context, Engine, EngineRequest, Kind
from actors.engines.via import check_for_loop
from actors.registry.errors import ModelNotFound
from actors.registry.route import Route
from http_service.body_head import check_body_head
from http_service.call import Call
from http_service.connection import connection_of
from http_service.content_coding import decoded
from http_service.errors import BodyTooLarge, Draining, NoRoomForBody
from http_service.folding import Fold
from http_service.inline import NeedsWorker, may_block
from http_service.metrics import UNKNOWN_MODEL
from http_service.passed_headers import passed_headers
from http_service.request_timeout import HEADER as TIMEOUT_HEADER
from http_service.resources.services import Services
from http_service.server.body import StreamBody
from http_service.server.delivery import Answer, Delivery
from http_service.server.limits import INLINE_BODY
from http_service.server.stream import ResponseStream
from http_service.server.unary import UnaryAnswer
from http_service.server.waiting import AnswerWait
from http_service.validation import (
    InvalidValue,
    ValidRequest,
    parse_json,
    validate,
)

__all__ = ["Endpoint", "GenerateResource"]

SESSION_HEADER: Final = "x-session-id"
"""What a client calls its conversation: the ``session`` policy keeps it to one instance."""

EVENT_STREAM: Final = "text/event-stream"

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
        self._services = services

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with a completion, or with a stream of its chunks."""
        if self._services.inflight.closed:
            raise Draining
        codings, timeout = check_body_head(
            req.content_type, req.env.get("HTTP_CONTENT_ENCODING"), req.get_header(TIMEOUT_HEADER)
        )
        raw = self._read(req, codings)
        if len(raw) <= INLINE_BODY:
            asked = self._check(raw)
        else:
            with _decoding:
                asked = self._check(raw)
        route = self._find_route(asked.model)
        call = self._open(req, asked, timeout, route)
        try:
            check_for_loop(req.env.get("HTTP_VIA"))
            valid = _sound(asked.checked)
            request = EngineRequest(self._endpoint.kind, valid.model, valid.stream, asked.body, raw)
            route = _found(route, valid.model)
            exchange = _Exchange(req, resp, call, route.engine, route.readdress(request))
            if valid.stream:
                self._stream(exchange, include_usage=valid.include_usage)
            else:
                self._unary(exchange)
        except BaseException as error:
            call.mark(error)
            call.end()
            raise

    def _read(self, req: falcon.Request, codings: tuple[str, ...]) -> bytes:
        limit = self._services.config.body_limit
        if (req.content_length or 0) > limit:
            raise BodyTooLarge(limit)
        if codings and not may_block():
            raise NeedsWorker  # a few bytes may stand for a whole body
        connection = connection_of(req.env)
        raw: bytes
        raw = req.bounded_stream.read() if connection is None else connection.whole_body()
        if codings:
            raw = decoded(raw, codings, limit)
            if connection is not None and not connection.hold(len(raw)):
                raise NoRoomForBody
        return raw

    def _check(self, raw: bytes) -> _Asked:
        """A wrong shape is raised, uncounted; a wrong value waits until the request is counted."""
        body = parse_json(raw)
        checked: ValidRequest | InvalidValue
        try:
            checked = validate(self._endpoint.kind, body)
        except InvalidValue as problem:
            checked = problem
        return _Asked(
            str(body.get("model")),
            body.get("stream") is True,
            checked,
            body if len(raw) <= KEPT_BODY else None,
        )

    def _find_route(self, model: str) -> Route | None:
        try:
            return self._services.state.resolve(self._endpoint.kind, model)
        except ModelNotFound:
            return None

    def _open(
        self,
        req: falcon.Request,
        asked: _Asked,
        timeout: float | None,
        route: Route | None,
    ) -> Call:
        model = asked.model if route is None else route.model
        guard = self._services.metrics.guard(
            UNKNOWN_MODEL if route is None else model,
            self._endpoint.label,
            "stream" if asked.stream else "unary",
        )
        context = Context(
            request_id=req.context.request_id,
            deadline=None if timeout is None else time.monotonic() + timeout,
            session=req.get_header(SESSION_HEADER),
            headers=passed_headers(req.env),
        )
        call = Call(guard, self._services.inflight, model, context, req.path)
        req.context.call = call
        return call

    def _unary(self, exchange: _Exchange) -> None:
        call = exchange.call
        fold = Fold(
            self._endpoint.kind,
            id=self._endpoint.id_prefix + call.context.request_id,
            created=int(time.time()),
            model=exchange.request.model,
        )
        answer = UnaryAnswer(call.guard, fold)
        exchange.resp.content_type = falcon.MEDIA_JSON
        if exchange.hand_over(answer, self._services.config.engine_timeout):
            return
        exchange.wait(answer, self._services.config.engine_timeout)
        exchange.resp.data = answer.take()
        call.guard.mark_ok()
        call.end()

    def _stream(self, exchange: _Exchange, *, include_usage: bool) -> None:
        call, resp = exchange.call, exchange.resp
        stream = ResponseStream(call.guard, include_usage=include_usage)
        resp.content_type = EVENT_STREAM
        resp.set_header("cache-control", "no-cache")
        # Reverse proxies would otherwise collect a stream before they pass it on.
        resp.set_header("x-accel-buffering", "no")
        if exchange.hand_over(stream, self._services.config.engine_timeout):
            return
        wait = exchange.wait(stream, self._services.config.engine_timeout)
        resp.stream = StreamBody(stream, wait, call)


@dataclass(slots=True)
class _Asked:
    """What is known of a request once its body was decoded; ``body`` only of a short one."""

    model: str
    stream: bool
    checked: ValidRequest | InvalidValue
    body: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class _Exchange:
    """One checked request together with all that answers it."""

    req: falcon.Request
    resp: falcon.Response
    call: Call
    engine: Engine
    request: EngineRequest

    def hand_over(self, answer: ResponseStream | UnaryAnswer, silence: float) -> bool:
        """Have the engine answer, and the server write it if it can; else the caller must."""
        self.call.start(self.engine, self.request, answer)
        connection = connection_of(self.req.env)
        if connection is None:
            return False
        delivery = Delivery(connection.loop, connection, answer, self.call, silence)
        self.resp.stream = connection.take_over(delivery)
        return True

    def wait(self, answer: Answer, silence: float) -> AnswerWait:
        """Wait until the answer has begun. Raises what came instead."""
        wait = AnswerWait(answer, silence, self.call.context.deadline)
        error = wait.until_begun()
        if error is not None:
            raise error
        return wait


def _sound(checked: ValidRequest | InvalidValue) -> ValidRequest:
    if isinstance(checked, InvalidValue):
        raise checked
    return checked


def _found(route: Route | None, model: str) -> Route:
    if route is None:
        raise ModelNotFound(model)
    return route
