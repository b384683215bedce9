"""Builds the Falcon application from the route table; any WSGI server can host it."""

from __future__ import annotations

from typing import TypeAlias

import falcon

from http_service.api_keys import KeyCheck
from http_service.middleware import RequestScope, answer_error
from http_service.resources.services import Services

__all__ = ["WsgiApp", "build_app"]

WsgiApp: TypeAlias = falcon.App[falcon.Request, falcon.Response]


def build_app(services: Services) -> WsgiApp:
    """The application with ``services.routes``, and OpenAI's error shape for all that goes wrong.

    With ``services.keys``, every request needs one of them (see ``api_keys``). Raises
    ``ValueError`` for two routes on one path (a mistake in the table).
    """
    middleware: list[RequestScope | KeyCheck] = [RequestScope()]
    if services.keys is not None:
        middleware.append(KeyCheck(services.keys, open_probes=services.config.open_probes))
    app = falcon.App(media_type=falcon.MEDIA_JSON, middleware=middleware)
    app.add_error_handler(Exception, answer_error)
    # Falcon handles its own HTTPError unless told otherwise: the most special class decides.
    app.add_error_handler(falcon.HTTPError, answer_error)
    for route in services.routes:
        if not route.part_of:
            app.add_route(route.path, route.resource(services))
    return app
