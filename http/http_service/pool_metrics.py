"""The pools' metrics: one listener for what happens, one collector for how things are.

Invariants:

* what can be read from the pools themselves (states, requests in flight, selections) is read when
  somebody scrapes, so a request costs nothing for it;
* an instance is a label only while its pool has it, and a model only while it has a pool: the time
  series of what went go with it.
"""

from __future__ import annotations

import threading
from collections import Counter as Tally
from collections.abc import Iterator
from typing import Final

from prometheus_client import Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from actors.engines.pool import (
    Ejected,
    Hedged,
    Pool,
    PoolListener,
    PoolView,
    Readmitted,
    Retried,
    Waited,
)
from actors.engines.pool.view import STATES
from http_service.metrics import Metrics

__all__ = ["PoolMetrics"]

WAITS: Final = (0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Bounds of the waiting times, in seconds: up to the longest wait that is allowed."""


class PoolMetrics(PoolListener, Collector):
    """Registers itself with ``metrics``; give it to ``PoolMaker.listeners``. Any thread."""

    def __init__(self, metrics: Metrics) -> None:
        self._prefix = f"{metrics.prefix}_pool"
        self._pools: dict[tuple[str, str], Pool] = {}
        self._lock = threading.Lock()
        self._retries = self._counter(
            metrics,
            "retries",
            "Attempts that failed before the first byte, by whether another one was made.",
            ("model", "error", "outcome"),
        )
        self._hedges = self._counter(
            metrics, "hedges", "Second instances asked, and who answered first.", ("model", "won")
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
            buckets=WAITS,
            registry=metrics.registry,
        )
        metrics.register(self)

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
            last = all(model != pool.model for model, _ in self._pools)
        if last:
            for metric in (self._retries, self._hedges, self._ejections, self._readmissions):
                metric.remove_by_labels({"model": pool.model})
            self._waits.remove_by_labels({"model": pool.model})

    def retried(self, event: Retried) -> None:
        """Count it."""
        outcome = "retried" if event.allowed else "budget_spent"
        self._retries.labels(event.model, event.kind, outcome).inc()

    def hedged(self, event: Hedged) -> None:
        """Count it."""
        won = {None: "asked", True: "second", False: "first"}[event.won]
        self._hedges.labels(event.model, won).inc()

    def ejected(self, event: Ejected) -> None:
        """Count it."""
        self._ejections.labels(event.model, event.kind).inc()

    def readmitted(self, event: Readmitted) -> None:
        """Count it."""
        self._readmissions.labels(event.model).inc()

    def waited(self, event: Waited) -> None:
        """Count it."""
        self._waits.labels(event.model, event.outcome).observe(event.seconds)

    # How things are.

    def collect(self) -> Iterator[Metric]:
        """Every pool as it is at the moment of the scrape."""
        with self._lock:
            pools = [*self._pools.values()]
        views = [pool.view() for pool in pools]
        yield from self._of_models(views)
        yield from self._of_instances(views)

    def _of_models(self, views: list[PoolView]) -> Iterator[Metric]:
        states = GaugeMetricFamily(
            f"{self._prefix}_instances", "Instances, by state.", labels=("model", "kind", "state")
        )
        waiting = GaugeMetricFamily(
            f"{self._prefix}_queue_depth",
            "Requests that wait for room at an instance.",
            labels=("model", "kind"),
        )
        for view in views:
            tally = Tally(each.state for each in view.instances)
            for state in STATES:
                states.add_metric((view.model, view.kind, state), tally[state])
            waiting.add_metric((view.model, view.kind), view.waiting)
        yield states
        yield waiting

    def _of_instances(self, views: list[PoolView]) -> Iterator[Metric]:
        names = ("model", "kind", "instance")
        inflight = GaugeMetricFamily(
            f"{self._prefix}_instance_inflight", "Requests at an instance now.", labels=names
        )
        chosen = CounterMetricFamily(
            f"{self._prefix}_instance_selections", "Requests given to an instance.", labels=names
        )
        failed = CounterMetricFamily(
            f"{self._prefix}_instance_failures",
            "Failures that tell against an instance.",
            labels=names,
        )
        for view in views:
            for each in view.instances:
                labels = (view.model, view.kind, each.id)
                inflight.add_metric(labels, each.inflight)
                chosen.add_metric(labels, each.selections)
                failed.add_metric(labels, each.failures)
        yield inflight
        yield chosen
        yield failed

    def _counter(self, metrics: Metrics, name: str, text: str, labels: tuple[str, ...]) -> Counter:
        return Counter(f"{self._prefix}_{name}", text, labels, registry=metrics.registry)
