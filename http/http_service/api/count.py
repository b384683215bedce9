"""Counts of a prompt's tokens: exact where an instance of the model can count, else an estimate.

No place of the model is taken, and no client waits longer than ``COUNT_SECONDS``: clients ask for
a dozen counts at once. An estimate says that it is one, in a header.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import falcon
import orjson

from actors.engines.contract import Context, EngineRequest, Kind, with_defaults
from actors.engines.counting import COUNT_SECONDS, able_to_count, exact_count
from actors.engines.dialect import Dialect, Original
from actors.registry.catalog import ResolvedModel
from http_service.api.body_head import check_body_head
from http_service.api.context import AppContext
from http_service.api.endpoints import ModelRequest
from http_service.api.generate import read_body
from http_service.api.validation import parse_json, validate
from http_service.connection import KEY
from http_service.dialects.estimate import ESTIMATED, estimate_tokens
from http_service.headers import native_headers, passed_headers
from http_service.inline import WouldBlock, may_block

__all__ = ["CountTokensResource"]


class CountTokensResource:
    """``POST`` on an endpoint that counts a prompt's tokens.

    ``to_chat`` makes a chat completion request of a valid body, ``answer`` the document.
    ``dialect`` is the one that the body is in, where a server may be asked to count it as it is.
    """

    def __init__(
        self,
        schema: type[ModelRequest],
        to_chat: Callable[..., Mapping[str, Any]],
        answer: Callable[[int], Mapping[str, Any]],
        app: AppContext,
        *,
        dialect: Dialect | None = None,
    ) -> None:
        self._schema: Final = schema
        self._to_chat = to_chat
        self._answer = answer
        self._dialect: Final = dialect
        self._app: Final = app
        self._body_limit = app.config.body_limit
        self._state = app.state

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Count. Raises what is wrong with the body, and ``ModelNotFound``."""
        env = req.env
        codings, _ = check_body_head(
            req.content_type, env.get("HTTP_CONTENT_ENCODING"), env.get("HTTP_X_REQUEST_TIMEOUT")
        )
        raw = read_body(req, env.get(KEY), codings, self._body_limit)
        body = parse_json(raw)
        valid = validate(self._schema, body)
        chat = self._chat(req, body, len(raw))
        resolved = self._state.resolve(Kind.CHAT, valid.model)
        tokens = self._counted(req, resolved, chat, raw)
        if tokens is None:
            resp.set_header(*ESTIMATED)
            tokens = estimate_tokens(chat)
        resp.content_type = falcon.MEDIA_JSON
        resp.data = orjson.dumps(self._answer(tokens))

    def _chat(self, req: falcon.Request, body: dict[str, Any], size: int) -> Mapping[str, Any]:
        """The prompt of a valid ``body``, which came in ``size`` bytes."""
        del req, size
        return self._to_chat(body)

    def _counted(
        self, req: falcon.Request, resolved: ResolvedModel, chat: Mapping[str, Any], raw: bytes
    ) -> int | None:
        """The exact count; ``None`` where no instance gives one in time.

        Raises ``WouldBlock`` where one may.
        """
        pool = resolved.engine
        asked = self._asked(req, resolved, chat, raw)
        counters = able_to_count(pool.engines(), asked)
        if not counters:
            return None
        if not may_block():
            raise WouldBlock
        deadline = time.monotonic() + COUNT_SECONDS
        headers = passed_headers(req.env)
        context = Context(req.context.request_id, None, deadline, headers=headers)
        return exact_count(counters, asked, context)

    def _asked(
        self, req: falcon.Request, resolved: ResolvedModel, chat: Mapping[str, Any], raw: bytes
    ) -> EngineRequest:
        """What would be asked for an answer: the chat completion, and the client's own body."""
        model = resolved.model
        whole = {**chat, "model": model}
        original = None
        defaults = resolved.engine.spec.defaults
        if self._dialect is not None and defaults is None:
            given = EngineRequest(Kind.CHAT, resolved.asked, stream=False, parsed=None, raw=raw)
            own = resolved.with_primary_name(given).raw
            original = Original(self._dialect, own, native_headers(req.env))
        chat_raw = orjson.dumps(whole)
        request = EngineRequest(Kind.CHAT, model, stream=False, parsed=whole, raw=chat_raw)
        request.original = original
        return request if defaults is None else with_defaults(request, defaults)
