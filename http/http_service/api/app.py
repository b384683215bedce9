"""The Falcon application, made from the route table; any WSGI server can host it.

Every request, whatever its route, gets an id, one log line, and errors in one shape.
"""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from typing import Any, Final

import falcon

from http_service.api.api_keys import OPEN_PATHS, KeyCheck
from http_service.api.context import AppContext
from http_service.api.endpoints import LABELS
from http_service.api.falcon_parts import App, RequestScope, Router, types
from http_service.api.families import error_document
from http_service.api.hosts import hosts_of
from http_service.connection import KEY
from http_service.errors import ErrorReply, reply_for
from http_service.inline import RetrySoon, WouldBlock
from http_service.telemetry.access_log import log_failure
from http_service.telemetry.metrics import Metrics

__all__ = [
    "WsgiApp",
    "answer_error",
    "build_app",
]

OTHER: Final = "other"
"""What they call every other path: strangers make up paths."""


class WsgiApp(App):
    """The application, and the count of what it refused."""

    def __init__(self, context: AppContext) -> None:
        hosts = hosts_of(context.config.allowed_hosts)
        middleware: list[RequestScope | KeyCheck] = [RequestScope(hosts, context.inflight)]
        if context.keys is not None:
            probes = OPEN_PATHS if context.config.open_probes else frozenset[str]()
            middleware.append(KeyCheck(context.keys, probes | context.open_paths))
        request_type, response_type = types()
        super().__init__(
            media_type=falcon.MEDIA_JSON,
            middleware=middleware,
            request_type=request_type,
            response_type=response_type,
            router=Router(),
        )
        self.req_options.strip_url_path_trailing_slash = True
        self._metrics: Final[Metrics] = context.metrics
        self.add_error_handler(Exception, self._answer_error)
        # Falcon handles its own HTTPError by default: the most specific class decides.
        self.add_error_handler(falcon.HTTPError, self._answer_error)
        self.add_error_handler(WouldBlock, self._run_on_worker)
        self.add_error_handler(RetrySoon, self._park)
        for route in context.routes:
            if not route.part_of:
                self.add_route(route.path, _with_options(route.resource(context)))

    def count_refusal(self, path: str, status: int) -> None:
        """Count a request that did not become one of the counted ones; servers refuse some, too."""
        self._metrics.refused(LABELS.get(path, OTHER), status)

    def _run_on_worker(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        error: Exception,
        params: dict[str, Any],
    ) -> None:
        """Have the request run again where it may wait; it is neither logged nor counted yet."""
        del error, params
        resp.stream = req.env[KEY].run_on_worker()

    def _park(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        error: RetrySoon,
        params: dict[str, Any],
    ) -> None:
        """Have the request run again in a moment; once its time is over, respond with the cause."""
        again = req.env[KEY].park(error.timeout)
        if again is None:
            self._answer_error(req, resp, error.cause, params)
        else:
            resp.stream = again

    def _answer_error(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        error: Exception,
        params: dict[str, Any],
    ) -> None:
        answer_error(req, resp, error, params)
        if req.context.call is None:
            self.count_refusal(req.path, resp.status_code)


def build_app(context: AppContext) -> WsgiApp:
    """The application with ``context.routes``, and OpenAI's error shape for all that goes wrong.

    With ``context.keys``, every request needs one of them (see ``api_keys``). Raises
    ``ValueError`` for two routes on one path (a mistake in the table).
    """
    return WsgiApp(context)


def _with_options(resource: object) -> object:
    """``resource`` with a response to OPTIONS whose ``Allow`` is that of a 405: all its methods."""
    methods = {name for name in falcon.HTTP_METHODS if hasattr(resource, f"on_{name.lower()}")}
    allow = ", ".join(sorted(methods | {"OPTIONS"}))

    def on_options(_req: falcon.Request, resp: falcon.Response, **_fields: str) -> None:
        resp.status = falcon.HTTP_OK
        resp.set_header("allow", allow)

    setattr(resource, "on_options", on_options)  # noqa: B010  # Falcon looks for it by its name
    return resource


MESSAGE_LIMIT: Final = 200
"""Characters of a request's own path that an error repeats."""


def answer_error(
    req: falcon.Request,
    resp: falcon.Response,
    error: Exception,
    params: dict[str, Any],
) -> None:
    """Falcon's error handler for everything: the one table decides (``errors.reply_for``)."""
    del params
    reply = reply_for(error)
    if reply.status == 500:
        log_failure(error, req.context.get("request_id"), req.path)
    if isinstance(error, falcon.HTTPError) and error.description is None:
        told = f"{HTTPStatus(reply.status).phrase}: {req.method} {req.path}"[:MESSAGE_LIMIT]
        reply = replace(reply, message=told)
    write_error(req, resp, reply)


def write_error(req: falcon.Request, resp: falcon.Response, reply: ErrorReply) -> None:
    """Make ``resp`` the error ``reply``, in the shape that the clients of its path read."""
    body, headers = error_document(reply, req.path, req.context.get("request_id") or "")
    resp.status = reply.status
    resp.content_type = falcon.MEDIA_JSON
    resp.data = body
    resp.stream = None
    for name, value in (*reply.headers, *headers):
        resp.set_header(name, value)
    if reply.retry_after is not None:
        resp.set_header("retry-after", str(reply.retry_after))
