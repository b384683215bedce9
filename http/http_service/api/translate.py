"""Generating requests of other APIs: translated to chat completions before the pool, and back.

Whatever answers, in this process or behind an upstream, is asked for a chat completion; an upstream
that speaks the API itself is asked in the client's own words, and its answer passes as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import falcon
import orjson
from msgspec import Struct

from actors.engines.contract import Context, EngineRequest, with_defaults
from actors.engines.dialect import Original
from actors.engines.pool import Pool
from http_service.api.context import AppContext
from http_service.api.endpoints import ApiEndpoint, Translation
from http_service.api.falcon_parts import Response
from http_service.api.families import ANTHROPIC_ID_HEADER
from http_service.api.generate import KEPT_BODY, GenerateResource, add_stream_headers
from http_service.api.validation import validate
from http_service.connection import Connection
from http_service.headers import native_headers
from http_service.response_store import NOTHING_STORED, ClientResponses
from http_service.streaming.translated import TranslatedStream, TranslatedUnary
from http_service.telemetry.model_metrics import InflightGuard

__all__ = ["TranslatedResource"]


class TranslatedRequest(Struct):
    """A valid request, and its translation."""

    model: str
    stream: bool | None
    translation: Translation


class TranslatedResource(GenerateResource):
    """``POST`` on an endpoint of another API, unary and streamed."""

    def __init__(
        self, endpoint: ApiEndpoint, translate: Callable[..., Translation], app: AppContext
    ) -> None:
        super().__init__(endpoint, app)
        self._translate: Final = translate
        self._dialect: Final = endpoint.dialect
        self._check = self._checked

    def _checked(
        self, body: dict[str, Any], responses: ClientResponses = NOTHING_STORED
    ) -> TranslatedRequest:
        """The whole request is checked, and translated, before any model is looked for."""
        valid = validate(self._schema, body)
        return TranslatedRequest(valid.model, valid.stream, self._translate(body, responses))

    def _begin(
        self,
        req: falcon.Request,
        resp: Response,
        request: EngineRequest,
        context: Context,
        valid: Any,
        pool: Pool,
        connection: Connection | None,
    ) -> None:
        translation: Translation = valid.translation
        chat = {"model": request.model, **translation.chat}
        raw = orjson.dumps(chat)
        kept = chat if len(raw) <= KEPT_BODY else None
        original = None
        if self._dialect is not None and translation.passable and pool.spec.defaults is None:
            original = Original(self._dialect, request.raw, native_headers(req.env))
        request = EngineRequest(
            self._kind, request.model, request.stream, kept, raw, original=original
        )
        if pool.spec.defaults is not None:
            request = with_defaults(request, pool.spec.defaults)
        context.session = context.session or translation.session
        resp.set_header(ANTHROPIC_ID_HEADER, context.request_id)
        counts = self._metrics.of(pool.model)
        exchange: TranslatedStream | TranslatedUnary
        if request.stream:
            guard = next(self._metrics.guards)(counts, self._label, "stream", self._metrics.clock)
            exchange = stream = TranslatedStream(
                request, context, guard, self._inflight, req.path, self._idle_timeout
            )
            stream.prepare(include_usage=False)
            add_stream_headers(resp)
        else:
            guard = InflightGuard(counts, self._label, "unary", self._metrics.clock)
            exchange = unary = TranslatedUnary(
                request, context, guard, self._inflight, req.path, self._idle_timeout
            )
            unary.prepare(self._id_prefix)
        exchange.translate(translation.writer(context.request_id), translation.headers)
        self._start(req, resp, exchange, pool, connection)
