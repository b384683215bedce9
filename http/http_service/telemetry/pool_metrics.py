"""The pools' metrics: one listener for what happens, one collector for how things are.

Invariants:

* what can be read from the pools themselves (states, requests in flight, selections) is read by
  a scrape, so a request costs nothing for it;
* an instance is a label only while its pool has it, and a model only while it has a pool: the time
  series of what went go with it;
* a model without a request has no time series: there may be many thousands.
"""

from __future__ import annotations

import threading
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Final

from prometheus_client import Counter, Histogram

from actors.engines.contract import Kind
from actors.engines.pool import (
    Ejected,
    Hedged,
    InstanceView,
    Migrated,
    Pool,
    PoolListener,
    PoolView,
    Readmitted,
    Retried,
    Waited,
)
from actors.engines.pool.instance import STATES
from http_service.telemetry.exposition import Numbers, Table, Tables
from http_service.telemetry.metrics import Metrics

__all__ = [
    "PoolMetrics",
]

WAIT_BUCKETS: Final = (0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Bounds of the waiting times, in seconds: up to the longest wait that is allowed."""


class PoolMetrics(PoolListener, Tables):
    """Registers itself with ``metrics``; give it to ``PoolFactory.listeners``. Any thread."""

    def __init__(self, metrics: Metrics) -> None:
        self._prefix = f"{metrics.prefix}_pool"
        self._pools: dict[tuple[str, str], Pool] = {}
        self._lock = threading.RLock()
        self._retries = self._counter(
            metrics,
            "retries",
            "Attempts that failed before the first byte, by whether another one was made.",
            ("model", "error", "outcome"),
        )
        self._hedges = self._counter(
            metrics, "hedges", "Second instances asked, and who answered first.", ("model", "won")
        )
        self._migrations = self._counter(
            metrics,
            "migrations",
            "Answers broken off by their instance, by whether another one continued them.",
            ("model", "reason", "outcome"),
        )
        self._ejections = self._counter(
            metrics, "ejections", "Instances ejected, by what they failed with.", ("model", "error")
        )
        self._readmissions = self._counter(
            metrics, "readmissions", "Instances that answered their trial.", ("model",)
        )
        self._waits = Histogram(
            f"{self._prefix}_queue_wait_seconds",
            "How long requests waited for room at an instance.",
            ("model", "outcome"),
            buckets=WAIT_BUCKETS,
            registry=metrics.registry,
        )
        self._counters: Final = (
            self._retries, self._hedges, self._migrations, self._ejections, self._readmissions,
        )  # fmt: skip
        self._metrics = metrics
        metrics.register(self)
        metrics.serves = self.serves

    # What happens.

    def pool_opened(self, pool: Pool) -> None:
        """Show ``pool`` from now on."""
        with self._lock:
            self._pools[pool.model, pool.kind] = pool

    def pool_closed(self, pool: Pool) -> None:
        """Show ``pool`` no more, nor what happened in it if no other kind serves the model."""
        with self._lock:
            if self._pools.get((pool.model, pool.kind)) is pool:
                del self._pools[pool.model, pool.kind]
            if self.serves(pool.model):
                return
            self._metrics.forget(pool.model)
            for metric in self._counters:
                metric.remove_by_labels({"model": pool.model})
            self._waits.remove_by_labels({"model": pool.model})

    def retried(self, event: Retried) -> None:
        """Count it."""
        outcome = "retried" if event.allowed else "budget_spent"
        self._count(self._retries, event.model, event.kind, outcome)

    def hedged(self, event: Hedged) -> None:
        """Count it."""
        won = {None: "asked", True: "second", False: "first"}[event.won]
        self._count(self._hedges, event.model, won)

    def migrated(self, event: Migrated) -> None:
        """Count it."""
        self._count(self._migrations, event.model, event.kind, event.outcome)

    def ejected(self, event: Ejected) -> None:
        """Count it."""
        self._count(self._ejections, event.model, event.kind)

    def readmitted(self, event: Readmitted) -> None:
        """Count it."""
        self._count(self._readmissions, event.model)

    def waited(self, event: Waited) -> None:
        """Count it."""
        with self._lock:
            if self.serves(event.model):
                self._waits.labels(event.model, event.outcome).observe(event.seconds)

    def _count(self, counter: Counter, model: str, *labels: str) -> None:
        """Count what happened to a model; an event after it is gone makes no series."""
        with self._lock:
            if self.serves(model):
                counter.labels(model, *labels).inc()

    # How things are.

    def serves(self, model: str) -> bool:
        """Whether ``model`` has a pool."""
        return any((model, kind) in self._pools for kind in Kind)

    def tables(self) -> Iterable[Table]:
        """Every pool that was ever asked, as it is at the moment of the scrape."""
        with self._lock:
            pools = [pool for pool in self._pools.values() if pool.asked]
        views = [pool.view() for pool in pools]
        yield from self._of_models(views)
        yield from self._of_instances(views)

    def _of_models(self, views: Sequence[PoolView]) -> Iterable[Table]:
        yield Numbers(
            f"{self._prefix}_instances",
            "Instances, by state.",
            ("kind", "model", "state"),
            (
                ((view.kind, view.model, state), number)
                for view in views
                for state, number in _by_state(view)
            ),
        )
        yield Numbers(
            f"{self._prefix}_queue_depth",
            "Requests that wait for room at an instance.",
            ("kind", "model"),
            (((view.kind, view.model), view.waiting) for view in views),
        )

    def _of_instances(self, views: Sequence[PoolView]) -> Iterable[Table]:
        for name, text, read in _OF_INSTANCE:
            yield Numbers(
                f"{self._prefix}_instance_{name}",
                text,
                ("instance", "kind", "model"),
                (
                    ((instance.id, view.kind, view.model), read(instance))
                    for view in views
                    for instance in view.instances
                ),
            )

    def _counter(self, metrics: Metrics, name: str, text: str, labels: tuple[str, ...]) -> Counter:
        return Counter(f"{self._prefix}_{name}", text, labels, registry=metrics.registry)


_OF_INSTANCE: Final[tuple[tuple[str, str, Callable[[InstanceView], int]], ...]] = (
    ("inflight", "Requests at an instance now.", attrgetter("inflight")),
    ("selections_total", "Requests given to an instance.", attrgetter("selections")),
    ("failures_total", "Failures that count against an instance.", attrgetter("failures")),
)


def _by_state(view: PoolView) -> Iterable[tuple[str, int]]:
    tally = Tally(instance.state for instance in view.instances)
    return ((state, tally[state]) for state in STATES)
