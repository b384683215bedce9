"""``GET /metrics``: the Prometheus exposition."""

from __future__ import annotations

import falcon

from http_service.resources.services import Services

__all__ = ["MetricsResource"]


class MetricsResource:
    """Every metric of this service, and of what was registered with it."""

    def __init__(self, services: Services) -> None:
        self._metrics = services.metrics

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Prometheus text, or OpenMetrics where the scraper prefers it."""
        resp.data, resp.content_type = self._metrics.render(req.get_header("accept") or "")

    on_head = on_get
