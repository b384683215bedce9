"""The composition root: the only place that knows every part. Builds the tree, and takes it down.

::

    callboard               one_for_one
    ├─ registry             RegistryActor, state handed to the next incarnation
    ├─ events               EventLog: what happened; this and the next four with ``--console``
    ├─ requests             RequestLog: the requests that ended last
    ├─ recorder             Recorder: samples what is counted, once a second
    ├─ admin                HttpServerActor of the admin API
    ├─ feed                 FeedActor: the stream of all that
    ├─ discovery            DiscoveryActor on etcd, or on a folder; only with ``--etcd`` or
    │                       ``--discovery-dir``
    ├─ discovery-directory  the folder's, if both are given
    └─ serving              rest_for_one
        ├─ eventloop        EventLoopActor: one thread for every connection, stream and upstream
        └─ http             HttpServerActor; its shutdown is the drain

Start order is top to bottom, stop order bottom to top: HTTP drains first; discovery outlives the
drain, so that a worker that leaves meanwhile is still seen; the registry goes last.
"""

from __future__ import annotations

import logging
import platform
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import prometheus_client

from actors.engines.builtin import ENGINES
from actors.engines.pool import PoolListeners
from actors.eventloop import shared_loop
from actors.registry import PoolFactory, RegistryActor
from actors.settings.serve import ServeSettings
from actors.settings.setting import DEFAULT_CONSOLE, shown_settings
from actors.shutdown import TREE_MARGIN, front_end_stop
from actors.supervision import CancellationToken, Child, Exit, Strategy, Supervisor, Tree
from actors.supervision.metrics import SupervisionMetrics
from actors.version import callboard_version
from http_service import (
    BindFailed,
    Component,
    ConfigError,
    HttpService,
    HttpServiceConfig,
    Metrics,
    ModelManager,
)
from http_service.api.api_keys import ApiKeys
from http_service.api.hosts import is_loopback, name_of
from http_service.config import DURATION_BUCKETS
from http_service.telemetry.pool_metrics import PoolMetrics

if TYPE_CHECKING:
    from actors.engines.upstream.reach import Reach
    from http_service.admin import AdminService

__all__ = [
    "RESTART_INTENSITY",
    "Service",
    "check_settings",
    "check_upstream_files",
    "stop_time",
]

_log = logging.getLogger("actors.service")

RESTART_INTENSITY: Final = 100
"""Restarts that a supervisor accepts within :data:`RESTART_PERIOD`.

Far above OTP's one in five seconds: a restart here costs microseconds and loses nothing, while
giving up ends every request in flight. A part that can't live at all still uses it up at once.
"""

RESTART_PERIOD: Final = 10.0
"""Seconds over which restarts are counted."""


def stop_time(settings: ServeSettings) -> float:
    """Seconds within which :meth:`Service.stop` returns."""
    return front_end_stop(settings.drain_grace, settings.drain_timeout)


class Service:
    """The whole front-end as one supervision tree."""

    def __init__(
        self,
        tree: Tree,
        http: HttpService,
        settings: ServeSettings,
        admin: AdminService | None = None,
    ) -> None:
        self.tree: Final = tree
        self.http: Final = http
        self.admin: Final = admin
        self._settings = settings
        self._gave_up: Exit | None = None

    @classmethod
    def start(
        cls,
        settings: ServeSettings,
        token: CancellationToken,
        before: Sequence[Child] = (),
    ) -> Service:
        """Start every part, the children ``before`` first; returns when it listens.

        When ``token`` is cancelled, readiness turns 503 at once; call :meth:`stop` to drain. If the
        tree gives up, it cancels the token. Raises ``StartFailed`` with the root cause, everything
        that was started already stopped again.
        """
        # The "_created" samples double the exposition and are not used. The switch is for
        # the whole process, so this module is the one to turn it.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # theirs
        metrics = _metrics(settings)
        listeners = PoolListeners([PoolMetrics(metrics)])
        factory = PoolFactory(listeners, migration_limit=settings.migration_limit)
        registry = Child("registry", partial(RegistryActor.start, factory), hand_over=True)
        tree = Supervisor.start(
            registry, *before, name="callboard", intensity=RESTART_INTENSITY, period=RESTART_PERIOD
        )
        tree.on_exit(factory.close)
        try:
            return cls._start_children(tree, settings, token, metrics, listeners)
        except BaseException:
            tree.stop(timeout=TREE_MARGIN)
            raise

    @classmethod
    def _start_children(
        cls,
        tree: Tree,
        settings: ServeSettings,
        token: CancellationToken,
        metrics: Metrics,
        listeners: PoolListeners,
    ) -> Service:
        manager = ModelManager(tree.address("registry"), metrics=metrics)
        _add_engines(manager, settings)
        components, reach = _discover(tree, settings, manager)
        http = HttpService(_http_config(settings), manager, components)
        if not (settings.api_key_file or is_loopback(name_of(settings.host))):
            _log.warning(
                "anyone who reaches this port may use every model: give --api-key-file, or listen "
                "on --host 127.0.0.1; put TLS in front of it where others share the network",
                extra={"host": settings.host, "port": http.bind()[1]},
            )
        tree.on_event(SupervisionMetrics(manager.metrics().registry, settings.metrics_prefix))
        admin = _admin(tree, http, settings, token, listeners)
        service = cls(tree, http, settings, admin)
        tree.on_exit(lambda why: service._on_exit(why, token))
        tree.start_child(
            Supervisor.child(
                "serving",
                http.loop_child(),
                http.child(token),
                strategy=Strategy.REST_FOR_ONE,
                intensity=RESTART_INTENSITY,
                period=RESTART_PERIOD,
            )
        )
        if reach is not None:
            reach.listening = settings.host, urlsplit(service.url).port or 0
        return service

    @property
    def url(self) -> str:
        """Where it listens, as in ``http://127.0.0.1:8787``."""
        return self.http.url

    def reload(self) -> None:
        """Read again what may change while it runs: the API keys. Any thread."""
        self.http.reload()
        _log.info("read the key files again, as SIGHUP asked")

    def stop(self) -> str | None:
        """Drain and stop everything; returns why the tree had given up, ``None`` if it had not."""
        if self._gave_up is None:
            self.tree.stop(timeout=stop_time(self._settings))
        self.http.close()
        if self.admin is not None:
            self.admin.close()
        if self._gave_up is None:
            return None
        return f"the supervision tree gave up: {self._gave_up}"

    def _on_exit(self, why: Exit, token: CancellationToken) -> None:
        # A tree that gave up ends with "shutdown", as in OTP; the error tells it from a stop.
        if why.error is not None:
            self._gave_up = why
        token.cancel()


def _metrics(settings: ServeSettings) -> Metrics:
    """The service's metrics, with those of the process and its version.

    Raises :class:`~http_service.config.ConfigError`.
    """
    prefix, bounds = settings.metrics_prefix, (*sorted({*settings.duration_buckets}),)
    metrics = Metrics(prefix, duration_buckets=bounds or DURATION_BUCKETS)
    prometheus_client.ProcessCollector(registry=metrics.registry)
    build = prometheus_client.Info(
        f"{prefix}_build", "Which Callboard this is.", registry=metrics.registry
    )
    build.info({"version": callboard_version(), "python": platform.python_version()})
    return metrics


def _add_engines(manager: ModelManager, settings: ServeSettings) -> None:
    """Add the built-in engines; the echo model alone when nothing else was asked for.

    Raises ``ConfigError`` for one that can't start.
    """
    wanted = settings.engine or (() if settings.discovers else ("echo=echo",))
    for option in wanted:
        built_in, _, name = option.partition("=")
        chosen, _, path = built_in.partition(":")
        row = ENGINES[chosen]
        try:
            engine = row.make(path, name) if row.loads else row.make()
        except (OSError, RuntimeError) as error:  # what it loads is missing, or not to be used
            raise ConfigError(f"--engine {built_in}: {error}") from error
        for kind in row.kinds:
            manager.add_model(kind, name, engine)


def _discover(
    tree: Tree, settings: ServeSettings, manager: ModelManager
) -> tuple[Sequence[Component], Reach | None]:
    """Start discovery where it is asked for; returns what readiness asks of it, and its reach."""
    check_upstream_files(settings)  # also where nothing is discovered
    if not settings.discovers:
        return (), None
    # PERF: imported late, a service that discovers nothing does not hold forty modules for it.
    from actors.discovering import discover, engine_of, upstream_tls
    from actors.engines.upstream.reach import Reach

    reach = Reach(settings.upstream_allow, (settings.host, settings.port))
    make_engine = partial(engine_of, upstream_tls(settings), reach, settings.engine_timeout)
    return discover(tree, settings, make_engine, manager.metrics().registry), reach


def _admin(
    tree: Tree,
    http: HttpService,
    settings: ServeSettings,
    token: CancellationToken,
    listeners: PoolListeners,
) -> AdminService | None:
    """Start the admin API where it is asked for. Raises ``ConfigError`` or ``BindFailed``.

    The default address was not asked for: where that is taken, as by another front-end on this
    machine, there is none. It stops after the server, so that a drain can be watched to its end.
    """
    if settings.console == "off":
        return None
    # PERF: imported late: a service without it does not hold its modules.
    from http_service.admin import AdminService, Subject

    host, _, port = settings.console.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    shown = (*shown_settings(settings),)
    subject = Subject(tree, token, listeners, shown, partial(_rewrite, settings))
    try:
        admin = AdminService(http.context, subject, host, int(port), shared_loop())
    except BindFailed as error:
        if settings.console != DEFAULT_CONSOLE or "console" in settings.sources:
            raise
        _log.warning("no console: %s", error)
        return None
    admin.start()
    return admin


def _rewrite(settings: ServeSettings, *what: Any) -> Mapping[str, Any]:
    """``discovering.rewrite``, imported late where anything is discovered."""
    from http_service.admin import CantRewrite

    if not settings.discovers:
        raise CantRewrite("No source announced this instance: it is a part of this front-end")
    from actors.discovering import rewrite

    return rewrite(settings, *what)


def check_upstream_files(settings: ServeSettings) -> None:
    """Raise ``ValueError`` that names the file at fault, if ``--upstream-…`` name one."""
    if settings.upstream_ca or settings.upstream_cert or settings.upstream_key:
        from actors.discovering import upstream_tls  # PERF: late, as in _discover

        upstream_tls(settings)


def check_settings(settings: ServeSettings) -> None:
    """Raise :class:`~http_service.config.ConfigError` for what :meth:`Service.start` would refuse.

    Starts nothing. :func:`check_upstream_files` is the rest.
    """
    _http_config(settings)
    _metrics(settings)
    files = {name: getattr(settings, name) for name in ("api_key_file", "operator_key_file")}
    keys = [ApiKeys(path, setting=name) for name, path in files.items() if path]
    if settings.console != "off":
        from http_service.admin.service import check_reach  # PERF: late, as in _admin

        host = settings.console.rpartition(":")[0].removeprefix("[").removesuffix("]")
        check_reach(host, keys[0] if keys else None)


def _allowed_hosts(settings: ServeSettings) -> tuple[str, ...]:
    """What ``Host`` may name: on a loopback address this machine only, unless told otherwise."""
    if settings.allowed_hosts or not is_loopback(name_of(settings.host)):
        return settings.allowed_hosts
    return (settings.host,)


def _http_config(settings: ServeSettings) -> HttpServiceConfig:
    """The HTTP service's part of the settings: those of the same name, and two that differ."""
    ours = {setting.name for setting in fields(settings)}
    same = {setting.name for setting in fields(HttpServiceConfig)} & ours - _APART
    return HttpServiceConfig(
        **{name: getattr(settings, name) for name in same},
        allowed_hosts=_allowed_hosts(settings),
        open_probes=settings.open_probes == "yes",
    )


_APART: Final = {"allowed_hosts", "open_probes", "duration_buckets"}
"""Settings that mean something else to the HTTP service; it gets its buckets with the metrics."""
