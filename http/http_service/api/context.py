"""What all resources of one service share, and what readiness depends on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import msgspec

from actors.supervision.cancellation import CancellationToken
from http_service.api.api_keys import ApiKeys, Operators
from http_service.config import HttpServiceConfig
from http_service.models import DeploymentState
from http_service.response_store import ResponseStore
from http_service.streaming.exchange import InflightRequests
from http_service.telemetry.metrics import Metrics

__all__ = [
    "EVENTS",
    "FORM",
    "JSON",
    "TEXT",
    "AppContext",
    "Component",
    "ComponentStatus",
    "Lifecycle",
    "Route",
    "check_components",
    "key_file_component",
]

_log = logging.getLogger("http_service.components")


@dataclass(frozen=True, slots=True)
class ComponentStatus:
    """The state of one part: ``reason`` says why it is not ready, ``/health`` shows ``details``.

    ``for_operators`` are details that only operators see: where things run.
    """

    ready: bool
    reason: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])
    for_operators: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Component:
    """A named part, and how to ask for its state.

    ``status`` is called by each probe, from any thread: it must read what is known and never wait.
    """

    name: str
    status: Callable[[], ComponentStatus]


def key_file_component(keys: ApiKeys) -> Component:
    """How ``/health`` shows a file of keys; it never keeps the service from being ready."""

    def status() -> ComponentStatus:
        details = {"stale_since": keys.stale_since, "last_error": keys.problem}
        return ComponentStatus(ready=True, details=details)

    return Component(keys.setting.replace("key_file", "keys"), status)


def check_components(components: Iterable[Component]) -> dict[str, ComponentStatus]:
    """The status of every component; one that raises is not ready."""
    return {component.name: _status_of(component) for component in components}


def _status_of(component: Component) -> ComponentStatus:
    try:
        return component.status()
    except Exception:  # noqa: BLE001  # a probe must respond, whatever is broken
        _log.exception(
            "a component's status could not be read", extra={"component": component.name}
        )
        return ComponentStatus(ready=False, reason="its status can't be read")


class Lifecycle:
    """Says whether the service takes new work.

    Draining begins as soon as the service's token is cancelled, so that readiness turns before
    anything is closed, and never goes back.
    """

    def __init__(self) -> None:
        self._token = CancellationToken()

    def follow(self, token: CancellationToken) -> None:
        """Drain when ``token`` is cancelled."""
        self._token = token

    @property
    def draining(self) -> bool:
        """Whether new work is refused: the service ends for good."""
        return self._token.cancelled


JSON: Final = "application/json"
FORM: Final = "multipart/form-data"
EVENTS: Final = "text/event-stream"
TEXT: Final = "text/plain"
_OK: Final = MappingProxyType({200: "OK"})


@dataclass(frozen=True, slots=True)
class Route:
    """One path, its resource, and what the OpenAPI document says of it.

    ``path`` is in Falcon's syntax (``{model:path}`` spans slashes). ``resource`` makes the Falcon
    resource from ``AppContext``. ``statuses`` maps each status that is this route's own to its
    meaning; ``content`` are the media types of its success. ``body``, ``result`` and ``event`` are
    the schemas of the request's body, of its success and of one event of its stream; ``query`` is
    that of its query; ``form``: the body is ``multipart/form-data``.
    ``own_errors`` are the statuses from 400 whose document is a ``result``, too. ``enabled`` names
    the setting that switches the route, "" where it is always there. ``part_of`` is the path of the
    route whose resource serves this one too: Falcon can't route what comes after a field that
    spans slashes.
    """

    path: str
    method: str
    name: str
    summary: str
    resource: Callable[[Any], object]
    statuses: Mapping[int, str] = field(default_factory=lambda: _OK)
    content: tuple[str, ...] = (JSON,)
    body: type[msgspec.Struct] | None = None
    result: type[msgspec.Struct] | None = None
    event: type[msgspec.Struct] | None = None
    query: type[msgspec.Struct] | None = None
    own_errors: frozenset[int] = frozenset()
    enabled: str = ""
    part_of: str = ""
    form: bool = False


@dataclass(frozen=True, slots=True)
class AppContext:
    """The parts of one HTTP service that its resources share; all of them are thread-safe.

    ``open_paths`` need no key: what is served there holds nothing of the service.
    """

    config: HttpServiceConfig
    state: DeploymentState
    components: Sequence[Component] = ()
    routes: Sequence[Route] = ()
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    keys: ApiKeys | None = None
    operator_keys: ApiKeys | None = None
    inflight: InflightRequests = field(default_factory=InflightRequests)
    responses: ResponseStore = field(default_factory=ResponseStore)
    open_paths: frozenset[str] = frozenset()

    @property
    def operators(self) -> Operators:
        """Who may see where things run."""
        return Operators(self.keys, self.operator_keys)

    @property
    def metrics(self) -> Metrics:
        """The service's metrics, which belong to its state, as in the reference API."""
        return self.state.metrics
