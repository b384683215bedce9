"""A tree's events as Prometheus metrics: one listener, which the library itself never imports.

::

    tree.on_event(SupervisionMetrics(registry))
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter

from actors.supervision.events import (
    ChildAbandoned,
    ChildEnded,
    ChildStarted,
    SupervisorGaveUp,
    TreeEvent,
)

__all__ = ["SupervisionMetrics"]


class SupervisionMetrics:
    """Counts restarts, ends and abandoned incarnations by child; call it with each event."""

    def __init__(self, registry: CollectorRegistry, prefix: str = "actors") -> None:
        self._restarts = Counter(
            f"{prefix}_supervision_restarts_total",
            "Restarts of a child by its supervisor.",
            ("child",),
            registry=registry,
        )
        self._exits = Counter(
            f"{prefix}_supervision_exits_total",
            "Ends of a child's incarnations, by cause.",
            ("child", "cause"),
            registry=registry,
        )
        self._abandoned = Counter(
            f"{prefix}_supervision_abandoned_total",
            "ChildRunner that did not end in time and were cut off.",
            ("child",),
            registry=registry,
        )
        self._gave_up = Counter(
            f"{prefix}_supervision_gave_up_total",
            "Supervisors that saw too many restarts and ended.",
            ("supervisor",),
            registry=registry,
        )

    def __call__(self, event: TreeEvent) -> None:
        """Count ``event``."""
        match event:
            case ChildStarted(path, epoch) if epoch > 1:
                self._restarts.labels(path).inc()
            case ChildEnded(path, exit_):
                self._exits.labels(path, exit_.cause.value).inc()
            case ChildAbandoned(path):
                self._abandoned.labels(path).inc()
            case SupervisorGaveUp(path):
                self._gave_up.labels(path).inc()
            case _:
                pass
