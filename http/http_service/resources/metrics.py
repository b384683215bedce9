"""``GET /metrics``: the Prometheus exposition."""

from __future__ import annotations

import falcon

from http_service.resources.services import Services
from http_service.scraping import Scraping

__all__ = ["MetricsResource"]


class MetricsResource:
    """Every metric of this service, and of what was registered with it."""

    def __init__(self, services: Services) -> None:
        self._scraping = Scraping(services.metrics)

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Prometheus text, or OpenMetrics where the scraper prefers it."""
        found = self._scraping.answer(req.get_header("accept") or "")
        resp.content_type = found.content_type
        resp.set_stream(found.open(), found.length)

    on_head = on_get
