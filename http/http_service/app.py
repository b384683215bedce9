"""Builds the Falcon application from the route table; any WSGI server can host it."""

from __future__ import annotations

from typing import Any, Final

import falcon

from http_service.api_keys import KeyCheck
from http_service.connection import KEY
from http_service.falcon_types import Request, Response, types
from http_service.hosts import hosts_of
from http_service.inline import Later, WouldBlock
from http_service.metrics import Metrics
from http_service.middleware import RequestScope, answer_error
from http_service.resources.chat import ENDPOINT as CHAT
from http_service.resources.completions import ENDPOINT as COMPLETIONS
from http_service.resources.services import Services

__all__ = ["WsgiApp", "build_app"]

ENDPOINTS: Final = {
    "/v1/chat/completions": CHAT.label,
    "/v1/completions": COMPLETIONS.label,
}
"""What the metrics call the paths where something is generated."""

OTHER: Final = "other"
"""What they call every other path: strangers make up paths."""


class WsgiApp(falcon.App[Request, Response]):
    """The application, and the count of what it refused."""

    def __init__(self, services: Services) -> None:
        hosts = hosts_of(services.config.allowed_hosts)
        middleware: list[RequestScope | KeyCheck] = [RequestScope(hosts)]
        if services.keys is not None:
            middleware.append(KeyCheck(services.keys, open_probes=services.config.open_probes))
        request_type, response_type = types()
        super().__init__(
            media_type=falcon.MEDIA_JSON,
            middleware=middleware,
            request_type=request_type,
            response_type=response_type,
        )
        self.req_options.strip_url_path_trailing_slash = True
        self._metrics: Final[Metrics] = services.metrics
        self.add_error_handler(Exception, self._answer_error)
        # Falcon handles its own HTTPError unless told otherwise: the most special class decides.
        self.add_error_handler(falcon.HTTPError, self._answer_error)
        self.add_error_handler(WouldBlock, self._run_on_worker)
        self.add_error_handler(Later, self._park)
        for route in services.routes:
            if not route.part_of:
                self.add_route(route.path, _with_options(route.resource(services)))

    def count_refusal(self, path: str, status: int) -> None:
        """Count a request that did not become one of the counted ones; servers refuse some, too."""
        self._metrics.refused(ENDPOINTS.get(path, OTHER), status)

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
        error: Later,
        params: dict[str, Any],
    ) -> None:
        """Have the request run again in a moment; once its time is over, tell why it is not."""
        again = req.env[KEY].park(error.patience)
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


def build_app(services: Services) -> WsgiApp:
    """The application with ``services.routes``, and OpenAI's error shape for all that goes wrong.

    With ``services.keys``, every request needs one of them (see ``api_keys``). Raises
    ``ValueError`` for two routes on one path (a mistake in the table).
    """
    return WsgiApp(services)


def _with_options(resource: object) -> object:
    """``resource`` with an answer to OPTIONS whose ``Allow`` is that of a 405: all it can do."""
    methods = {each for each in falcon.HTTP_METHODS if hasattr(resource, f"on_{each.lower()}")}
    allow = ", ".join(sorted(methods | {"OPTIONS"}))

    def on_options(_req: falcon.Request, resp: falcon.Response, **_fields: str) -> None:
        resp.status = falcon.HTTP_OK
        resp.set_header("allow", allow)

    setattr(resource, "on_options", on_options)  # noqa: B010  # Falcon looks for it by its name
    return resource
