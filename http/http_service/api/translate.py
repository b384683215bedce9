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

from actors.engines.contract import Context, EngineRequest
from actors.engines.dialect import Original
from actors.engines.errors import NotTranslatable
from actors.engines.pool import Pool
from http_service.api.context import AppContext
from http_service.api.endpoints import ApiEndpoint, Translation
from http_service.api.falcon_parts import Response
from http_service.api.families import ANTHROPIC_ID_HEADER
from http_service.api.generate import KEPT_BODY, GenerateResource, ResolvedRequest
from http_service.api.validation import validate
from http_service.headers import native_headers
from http_service.response_store import NOTHING_STORED, ClientResponses
from http_service.streaming.exchange import Exchange
from http_service.streaming.translated import TranslatedStream, TranslatedUnary

__all__ = ["TranslatedResource"]


class TranslatedRequest(Struct):
    """A valid request, and its translation."""

    model: str
    stream: bool | None
    translation: Translation
    stream_options: None = None


class TranslatedResource(GenerateResource):
    """``POST`` on an endpoint of another API, unary and streamed."""

    _streamed = TranslatedStream
    _whole = TranslatedUnary

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

    def _resolve(
        self,
        req: falcon.Request,
        raw: bytes,
        via: str | None,
        check: Callable[[dict[str, Any]], Any] | None = None,
    ) -> ResolvedRequest:
        """Beside the rest: what can't be translated needs an instance that speaks its API."""
        found = super()._resolve(req, raw, via, check)
        body, valid, resolved = found
        refusal = valid.translation.refusal
        if refusal is not None and not self._is_spoken(
            resolved.engine, stream=valid.stream is True
        ):
            self._count_refusal(req, refusal, body)
            raise refusal
        return found

    def _is_spoken(self, pool: Pool, *, stream: bool) -> bool:
        """Whether an instance of ``pool`` may be asked in the client's own words.

        Not in a pool where an engine can't tell that it was asked what it does not speak.
        """
        if self._dialect is None or pool.spec.defaults is not None:
            return False
        asked: list[Any] = [getattr(engine, "passes", None) for engine in pool.engines()]
        return None not in asked and any(passes(self._dialect, stream=stream) for passes in asked)

    def _exchange(
        self,
        req: falcon.Request,
        resp: Response,
        request: EngineRequest,
        context: Context,
        valid: Any,
        pool: Pool,
    ) -> Exchange:
        translation: Translation = valid.translation
        context.session = context.session or translation.session
        resp.set_header(ANTHROPIC_ID_HEADER, context.request_id)
        request = self._asked(req, request, translation, pool)
        made = super()._exchange(req, resp, request, context, valid, pool)
        exchange: Any = made  # one that is translated: as ``_streamed`` and ``_whole`` say
        exchange.translate(translation.writer(context.request_id), translation.headers)
        return made

    def _asked(
        self, req: falcon.Request, request: EngineRequest, translation: Translation, pool: Pool
    ) -> EngineRequest:
        """The chat completion that ``request`` means, with the client's own words beside it."""
        chat = {"model": request.model, **translation.chat}
        raw = orjson.dumps(chat)
        original = None
        # What the model has as defaults is filled into the chat completion alone.
        if self._dialect is not None and translation.passable and pool.spec.defaults is None:
            refusal = translation.refusal
            original = Original(
                self._dialect,
                request.raw,
                native_headers(req.env),
                None if refusal is None else NotTranslatable(refusal.message, param=refusal.param),
            )
        kept = chat if len(raw) <= KEPT_BODY else None
        return EngineRequest(
            self._kind, request.model, request.stream, kept, raw, original=original
        )
