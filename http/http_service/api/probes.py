"""``/live``, ``/ready``, ``/health``, ``/metrics``: for supervisors, balancers and people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import falcon
import orjson
from msgspec import Struct

from actors.version import callboard_version
from http_service.api.context import AppContext, ComponentStatus, check_components
from http_service.errors import RETRY_AFTER
from http_service.telemetry.scraping import Scraping

__all__ = [
    "About",
    "AboutResource",
    "HealthResource",
    "LiveResource",
    "MetricsResource",
    "ReadyResource",
    "why_not_ready",
]

DRAINING: Final = "the service is shutting down"


class Probe(Struct):
    """Whether the service is ready, and why not."""

    status: str
    reason: str | None = None


class Health(Struct):
    """The state of every part of the service."""

    status: str
    models: list[str]
    inflight_requests: int
    components: dict[str, Any]
    reason: str | None = None


class About(Struct):
    """What the service is."""

    name: str
    version: str
    links: dict[str, str]


class AboutResource:
    """The root: some clients look at it before they ask for anything."""

    def __init__(self, _app: AppContext) -> None:
        links = {"models": "/v1/models", "health": "/health", "api": "/openapi.json"}
        about = {"name": "callboard", "version": callboard_version(), "links": links}
        self._document = orjson.dumps(about)

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Name, version and links."""
        resp.content_type = falcon.MEDIA_JSON
        resp.data = self._document

    on_head = on_get


class LiveResource:
    """Whether the process is alive: yes, as long as it responds at all."""

    def __init__(self, app: AppContext) -> None:
        del app

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Always 200, while draining too: a restart would only cut the last responses."""
        _write(resp, 200, {"status": "live"})

    on_head = on_get


class ReadyResource:
    """Whether new requests should be sent here."""

    def __init__(self, app: AppContext) -> None:
        self._app = app

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """200, or 503 with the reason while draining or while a component is not ready."""
        reason = why_not_ready(self._app, check_components(self._app.components))
        if reason is None:
            _write(resp, 200, {"status": "ready"})
            return
        resp.set_header("retry-after", str(RETRY_AFTER))
        _write(resp, 503, {"status": "not_ready", "reason": reason})

    on_head = on_get


class HealthResource:
    """The state of every part, for people."""

    def __init__(self, app: AppContext) -> None:
        self._app = app

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The verdict of ``/ready``, with the models, the load and each component's details."""
        app = self._app
        for_operator = app.operators.include(req.env)
        components = check_components(app.components)
        reason = why_not_ready(app, components)
        document: dict[str, Any] = {
            "status": "healthy" if reason is None else "not_ready",
            "reason": reason,
            "models": app.state.list_models(),
            "inflight_requests": len(app.inflight),
            "components": {
                name: _shown(status, for_operator=for_operator)
                for name, status in components.items()
            },
        }
        if reason is not None:
            resp.set_header("retry-after", str(RETRY_AFTER))
        _write(resp, 200 if reason is None else 503, document)

    on_head = on_get


def why_not_ready(app: AppContext, components: Mapping[str, ComponentStatus]) -> str | None:
    """Why new requests should not be sent here; ``None`` if they may."""
    if app.lifecycle.draining:
        return DRAINING
    reasons = [
        f"{name}: {status.reason or 'not ready'}"
        for name, status in components.items()
        if not status.ready
    ]
    return "; ".join(reasons) or None


def _shown(status: ComponentStatus, *, for_operator: bool) -> dict[str, Any]:
    document = {"ready": status.ready, "reason": status.reason, **status.details}
    return {**document, **status.for_operators} if for_operator else document


def _write(resp: falcon.Response, status: int, document: Mapping[str, Any]) -> None:
    resp.status = status
    resp.content_type = falcon.MEDIA_JSON
    resp.set_header("cache-control", "no-store")
    # A component's details are the component's own: whatever JSON can't say is document as text.
    resp.data = orjson.dumps(document, default=str, option=orjson.OPT_NON_STR_KEYS)


class MetricsResource:
    """Every metric of this service, and of what was registered with it."""

    def __init__(self, app: AppContext) -> None:
        self._scraping = Scraping(app.metrics)

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Prometheus text, or OpenMetrics where the scraper prefers it."""
        found = self._scraping.rendering(req.get_header("accept") or "")
        resp.content_type = found.content_type
        resp.set_stream(found.open(), found.length)

    on_head = on_get
