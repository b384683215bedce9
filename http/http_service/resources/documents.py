"""``GET /openapi.json``: this service, described for programs."""

from __future__ import annotations

import falcon
import orjson

from http_service.openapi import document
from http_service.resources.services import Services

__all__ = ["OpenApiResource"]


class OpenApiResource:
    """The document of exactly the routes that this service has; made once."""

    def __init__(self, services: Services) -> None:
        told = document(
            services.routes,
            keyed=services.keys is not None,
            open_probes=services.config.open_probes,
        )
        self._document = orjson.dumps(told, option=orjson.OPT_INDENT_2)

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """The document as JSON."""
        resp.content_type = falcon.MEDIA_JSON
        resp.data = self._document

    on_head = on_get
