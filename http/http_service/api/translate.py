"""Generating requests of other APIs: translated to chat completions before the pool, and back.

Whatever answers, in this process or behind an upstream, is asked for a chat completion; an upstream
that speaks the API itself is asked in the client's own words, and its answer passes as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import falcon
import orjson
from msgspec import Struct

from actors.engines.contract import Context, EngineRequest, Kind, with_defaults
from actors.engines.dialect import Original
from actors.engines.pool import Pool
from http_service.api.body_head import check_body_head
from http_service.api.context import AppContext
from http_service.api.endpoints import ApiEndpoint, ModelRequest, Translation
from http_service.api.families import ANTHROPIC_ID_HEADER
from http_service.api.generate import KEPT_BODY, GenerateResource, add_stream_headers, read_body
from http_service.api.validation import parse_json, validate
from http_service.connection import KEY, Connection
from http_service.dialects.estimate import ESTIMATED, estimate_tokens
from http_service.falcon_types import Response
from http_service.headers import native_headers
from http_service.response_store import NOTHING_STORED, ClientResponses
from http_service.streaming.translated import TranslatedStream, TranslatedUnary
from http_service.telemetry.model_metrics import InflightGuard

__all__ = ["CountTokensResource", "TranslatedResource"]


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
        for name, value in translation.headers:
            resp.set_header(name, value)
        counts = self._metrics.of(pool.model)
        exchange: TranslatedStream | TranslatedUnary
        if request.stream:
            guard = InflightGuard(counts, self._label, "stream", self._metrics.clock)
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
        exchange.translate(translation.writer(context.request_id))
        self._start(req, resp, exchange, pool, connection)


class CountTokensResource:
    """``POST`` on an endpoint that counts a prompt's tokens: cheap, and no engine is asked.

    ``to_chat`` makes a chat completion request of a valid body, ``answer`` the document.
    """

    def __init__(
        self,
        schema: type[ModelRequest],
        to_chat: Callable[..., Mapping[str, Any]],
        answer: Callable[[int], Mapping[str, Any]],
        app: AppContext,
    ) -> None:
        self._schema = schema
        self._to_chat = to_chat
        self._answer = answer
        self._app = app
        self._body_limit = app.config.body_limit
        self._state = app.state

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Estimate. Raises what is wrong with the body, and ``ModelNotFound``."""
        env = req.env
        codings, _ = check_body_head(
            req.content_type, env.get("HTTP_CONTENT_ENCODING"), env.get("HTTP_X_REQUEST_TIMEOUT")
        )
        raw = read_body(req, env.get(KEY), codings, self._body_limit)
        body = parse_json(raw)
        valid = validate(self._schema, body)
        chat = self._chat(req, body, len(raw))
        self._state.resolve(Kind.CHAT, valid.model)
        resp.content_type = falcon.MEDIA_JSON
        resp.set_header(*ESTIMATED)
        resp.data = orjson.dumps(self._answer(estimate_tokens(chat)))

    def _chat(self, req: falcon.Request, body: dict[str, Any], size: int) -> Mapping[str, Any]:
        """The prompt of a valid ``body``, which came in ``size`` bytes."""
        del req, size
        return self._to_chat(body)
