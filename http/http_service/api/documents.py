"""The way of a request that one document answers: as a generating one, but never streamed."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import falcon

from actors.engines.contract import Context, EngineRequest
from actors.engines.pool import Pool
from http_service.api.context import AppContext
from http_service.api.endpoints import ApiEndpoint, ModelRequest
from http_service.api.falcon_parts import Response
from http_service.api.generate import GenerateResource
from http_service.api.validation import validate
from http_service.errors import InvalidValue
from http_service.streaming.document_exchange import DocumentExchange
from http_service.streaming.exchange import Exchange

__all__ = ["DocumentResource"]


class DocumentResource(GenerateResource):
    """``POST`` on an endpoint that answers with one document."""

    _whole = DocumentExchange

    def __init__(self, endpoint: ApiEndpoint, app: AppContext) -> None:
        super().__init__(endpoint, app)
        self._path: Final = endpoint.path
        self._reshape: Final = endpoint.reshape
        self._check = self._checked

    def _checked(self, body: dict[str, Any]) -> ModelRequest:
        valid = validate(self._schema, body)
        if valid.stream is True:
            raise InvalidValue(f"{self._path} is never streamed: leave out stream", "stream")
        return valid

    def _exchange(
        self,
        req: falcon.Request,
        resp: Response,
        request: EngineRequest,
        context: Context,
        valid: Any,
        pool: Pool,
    ) -> Exchange:
        request.path = self._path
        made = super()._exchange(req, resp, request, context, valid, pool)
        exchange: Any = made  # a DocumentExchange: as ``_whole`` says
        exchange.reshape_with(None if self._reshape is None else partial(self._reshape, valid))
        if request.model != valid.model:
            exchange.answer_as(valid.model)
        return made
