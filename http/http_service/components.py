"""What readiness depends on, told to the service as callables: it knows none of those parts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Component", "ComponentStatus", "check"]

_log = logging.getLogger("http_service.components")


@dataclass(frozen=True, slots=True)
class ComponentStatus:
    """How one part is: ``reason`` tells why it is not ready, ``/health`` shows ``details``.

    ``for_operators`` are details that only they are shown: what tells where things run.
    """

    ready: bool
    reason: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])
    for_operators: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Component:
    """A named part and the question how it is.

    ``status`` is called by each probe, from any thread: it must read what is known and never wait.
    """

    name: str
    status: Callable[[], ComponentStatus]


def check(components: Iterable[Component]) -> dict[str, ComponentStatus]:
    """Ask every component; one that can't even answer is not ready."""
    return {component.name: _status_of(component) for component in components}


def _status_of(component: Component) -> ComponentStatus:
    try:
        return component.status()
    except Exception:  # noqa: BLE001  # a probe must answer, whatever is broken
        _log.exception("a component failed to tell its status", extra={"component": component.name})
        return ComponentStatus(ready=False, reason="its status can't be read")
