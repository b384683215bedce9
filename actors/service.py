"""The composition root: the only place that knows every part. Builds the tree, and takes it down.

::

    callboard               one_for_one
    ├─ registry             RegistryActor, state handed to the next incarnation
    ├─ discovery            DiscoveryActor on etcd, only with ``--etcd``
    └─ serving              rest_for_one
        ├─ eventloop        LoopKeeper: one thread for every connection, stream and upstream
        └─ http             HttpServer; its shutdown is the drain

Start order is top to bottom, stop order bottom to top: HTTP drains first; discovery outlives the
drain, so that a worker that leaves meanwhile is still seen; the registry goes last.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

import prometheus_client

from actors.engines.contract import Engine
from actors.engines.echo import EchoEngine
from actors.engines.upstream import UpstreamEngine
from actors.registry import RegistryActor
from actors.settings import ServeSettings
from actors.supervision import CancellationToken, Child, Exit, Strategy, Supervisor, Tree
from actors.supervision.prometheus import SupervisionMetrics
from discovery import Endpoints, Entry, StatusBoard, discovery_child, prefix_of
from http_service import (
    Component,
    ComponentStatus,
    HttpService,
    HttpServiceConfig,
    Metrics,
    ModelManager,
)
from http_service.restarts import INTENSITY, PERIOD

__all__ = ["Service"]

_log = logging.getLogger("actors.service")

STOP_MARGIN: Final = 10.0
"""Seconds beyond the drain for everything else to stop."""


class Service:
    """The whole front-end as one supervision tree."""

    def __init__(self, tree: Tree, http: HttpService, settings: ServeSettings) -> None:
        self.tree: Final = tree
        self.http: Final = http
        self._settings = settings
        self._gave_up: Exit | None = None

    @classmethod
    def start(
        cls, settings: ServeSettings, token: CancellationToken, before: Sequence[Child] = ()
    ) -> Service:
        """Start every part, the children ``before`` first; returns when it listens.

        When ``token`` is cancelled, readiness turns 503 at once; call :meth:`stop` to drain. If the
        tree gives up, it cancels the token. Raises ``StartFailed`` with the root cause, everything
        that was started already stopped again.
        """
        # The "_created" samples double the exposition, and nobody asks for them. The switch is for
        # the whole process, so this module is the one to turn it.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # theirs
        registry = Child("registry", RegistryActor.start, hand_over=True)
        tree = Supervisor.start(
            registry, *before, name="callboard", intensity=INTENSITY, period=PERIOD
        )
        try:
            return cls._grow(tree, settings, token)
        except BaseException:
            tree.stop(timeout=STOP_MARGIN)
            raise

    @classmethod
    def _grow(cls, tree: Tree, settings: ServeSettings, token: CancellationToken) -> Service:
        manager = ModelManager(tree.address("registry"), metrics=Metrics(settings.metrics_prefix))
        _add_engines(manager, settings)
        components = [_discover(tree, settings)] if settings.etcd else []
        http = HttpService(_http_config(settings), manager, components)
        tree.on_event(SupervisionMetrics(manager.metrics().registry, settings.metrics_prefix))
        service = cls(tree, http, settings)
        tree.on_exit(lambda why: service._on_exit(why, token))
        tree.start_child(
            Supervisor.child(
                "serving",
                http.loop_child(),
                http.child(token),
                strategy=Strategy.REST_FOR_ONE,
                intensity=INTENSITY,
                period=PERIOD,
            )
        )
        return service

    @property
    def url(self) -> str:
        """Where it listens, as in ``http://127.0.0.1:8787``."""
        return self.http.url

    def stop(self) -> str | None:
        """Drain and stop everything; answer why the tree had given up, ``None`` if it had not."""
        if self._gave_up is None:
            self.tree.stop(timeout=self._settings.drain_timeout + STOP_MARGIN)
        self.http.close()
        if self._gave_up is None:
            return None
        return f"the supervision tree gave up: {self._gave_up}"

    def _on_exit(self, why: Exit, token: CancellationToken) -> None:
        # A tree that gave up ends with "shutdown", as in OTP; the error tells it from a stop.
        if why.error is not None:
            self._gave_up = why
        token.cancel()


def _add_engines(manager: ModelManager, settings: ServeSettings) -> None:
    """Add the built-in engines; the echo model alone when nothing else was asked for."""
    wanted = settings.engine or (() if settings.etcd else ("echo=echo",))
    for each in wanted:
        _, _, name = each.partition("=")
        engine = EchoEngine()
        manager.add_chat_completions_model(name, engine)
        manager.add_completions_model(name, engine)


def _discover(tree: Tree, settings: ServeSettings) -> Component:
    """Add discovery to the tree; answer how readiness may ask about it."""
    board = StatusBoard("etcd")
    # Imported late: a service without etcd does not pay 0.2 s and 30 MB for grpc.
    from discovery.etcd_watch import EtcdSource

    root = settings.etcd_root
    source = EtcdSource(Endpoints.parse(settings.etcd), prefix_of(root))
    registry = tree.address("registry")
    tree.start_child(discovery_child(source, registry, _engine_of, root=root, board=board))

    def status() -> ComponentStatus:
        now = board.status
        reason = None if now.synced_once else f"no models read from etcd yet: {now.last_error}"
        return ComponentStatus(now.synced_once, reason, board.describe())

    return Component("discovery", status)


def _engine_of(entry: Entry) -> Engine:
    """The engine that relays to an announced worker."""
    return UpstreamEngine(entry.url, unary=entry.unary)


def _http_config(settings: ServeSettings) -> HttpServiceConfig:
    return HttpServiceConfig(
        host=settings.host,
        port=settings.port,
        metrics_prefix=settings.metrics_prefix,
        body_limit=settings.body_limit,
        drain_timeout=settings.drain_timeout,
        connections_per_address=settings.connections_per_address,
        api_key_file=settings.api_key_file,
        open_probes=settings.open_probes == "yes",
    )
