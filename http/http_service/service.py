"""``HttpService`` of the reference API: configuration, models, routes and server as one thing."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from typing import Final, Self

from actors.eventloop import EventLoop, shared_loop
from actors.shutdown import embedded_stop
from actors.supervision import CancellationToken, Child, Exit, Strategy, Supervisor
from http_service.api.api_keys import ApiKeys
from http_service.api.app import WsgiApp, build_app
from http_service.api.body_head import reads_body
from http_service.api.context import AppContext, Component, Lifecycle, key_file_component
from http_service.api.hosts import hosts_of
from http_service.api.routes import enabled_routes
from http_service.builder import HttpServiceConfigBuilder
from http_service.config import RESTART_INTENSITY, RESTART_PERIOD, ConfigError, HttpServiceConfig
from http_service.models import ModelManager
from http_service.response_store import ResponseStore
from http_service.server.actors import EventLoopActor, HttpServerActor, shutdown_time
from http_service.server.limits import BodyAdmission, body_budget
from http_service.server.server import HttpServer, Listener
from http_service.server.waitress_check import require_known_waitress
from http_service.streaming.exchange import InflightRequests
from http_service.telemetry.metrics import Metrics, no_connections

__all__ = ["HttpService", "ServiceCrashed", "ServiceHandle"]

CHILD: Final = "http"
"""The server's id in whatever tree it is part of."""

LOOP_CHILD: Final = "eventloop"
"""The id of the event loop's keeper."""


class ServiceCrashed(Exception):
    """The server failed so often that its supervisor gave up."""


class HttpService:
    """Serves the models of ``manager`` over HTTP: alone, or as a child of a bigger tree.

    Alone: :meth:`run` and :meth:`spawn`. In a tree: :meth:`child`. As a plain WSGI application
    under another server: :attr:`app`. Without ``manager`` it makes one of its own, with metrics
    under ``config.metrics_prefix``, and :meth:`close` closes it. ``components`` are what readiness
    depends on. ``loop`` is the event loop that has all connections; the process's own by default,
    which upstream engines use, too. Raises :class:`ConfigError` for an API key file that
    can't be used.
    """

    def __init__(
        self,
        config: HttpServiceConfig | None = None,
        manager: ModelManager | None = None,
        components: Sequence[Component] = (),
        loop: EventLoop | None = None,
    ) -> None:
        self.config: Final = config or HttpServiceConfig()
        # Read first: what is wrong with it must leave no manager behind.
        operator_keys = _keys_of(self.config, "operator_key_file")
        keys = _keys_of(self.config, "api_key_file", extra_keys=operator_keys)
        key_files = [file for file in (keys, operator_keys) if file is not None]
        self._key_files = key_files
        self._own_manager = manager is None
        self._manager = manager or ModelManager(
            metrics=Metrics(
                self.config.metrics_prefix, duration_buckets=self.config.duration_buckets
            ),
            ask_timeout=self.config.ask_timeout,
        )
        self._check_prefix()
        self._manager.metrics().key_files.update(
            {keys.setting: partial(getattr, keys, "stale_since") for keys in key_files}
        )
        self._lifecycle = Lifecycle()
        self._inflight = InflightRequests()
        self._loop = loop or shared_loop()
        self._server: HttpServer | None = None
        self.context: Final = self._context(components, keys, operator_keys)
        """What the resources of this service share, for another listener that shows it."""
        routes = self.context.routes
        with_body = frozenset(route.path for route in routes if route.body is not None)
        forms = frozenset(route.path for route in routes if route.form)
        hosts = hosts_of(self.config.allowed_hosts)
        reads = partial(reads_body, with_body, keys, hosts=hosts, forms=forms)
        self.intake: Final = BodyAdmission(reads, body_budget(self.config))
        self.app: Final[WsgiApp] = build_app(self.context)

    @classmethod
    def builder(cls) -> HttpServiceConfigBuilder[Self]:
        """Collect settings by chained calls; ``.build()`` makes the service."""
        return HttpServiceConfigBuilder(cls)

    def model_manager(self) -> ModelManager:
        """Where models are added and removed, before and while the service runs."""
        return self._manager

    @property
    def address(self) -> tuple[str, int]:
        """Host and port actually listened on. Raises ``RuntimeError`` before :meth:`bind`."""
        if self._server is None:
            raise RuntimeError("the service is not bound: call bind(), spawn() or child() first")
        return self._server.listener.host, self._server.listener.port

    @property
    def url(self) -> str:
        """Where it listens, as in ``http://127.0.0.1:8787``. Raises as :attr:`address`."""
        host, port = self.address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def bind(self) -> tuple[str, int]:
        """Open the listening socket, unless it is open; return its host and port.

        From here on clients can connect; they are answered once the server runs. Raises
        :class:`~http_service.server.server.BindFailed`, and
        :class:`~http_service.server.waitress_check.UnsupportedWaitress`.
        """
        if self._server is None:
            require_known_waitress()
            listener = Listener(self.config.host, self.config.port)
            self._server = HttpServer(
                self.app, listener, self.config, self._inflight, self._loop, self.intake
            )
            server = self._server
            self._manager.metrics().connections = lambda: server.connections
        return self.address

    def child(self, token: CancellationToken | None = None) -> Child:
        """The server as a supervised child, bound already. Raises ``BindFailed``.

        Cancelling ``token`` turns readiness to 503; stopping the child after that drains and closes
        the listening socket. Without it, stopping the child is taken for a restart: connections
        stay open, and new ones wait, until :meth:`close`.
        """
        self.bind()
        assert self._server is not None  # noqa: S101  # bind() has just made it
        self._lifecycle.follow(token or CancellationToken())
        start = partial(HttpServerActor.start, self._server, self._lifecycle)
        return Child(CHILD, start, shutdown=shutdown_time(self.config))

    def loop_child(self) -> Child:
        """The keeper of the event loop as a supervised child; goes before :meth:`child`."""
        return Child(LOOP_CHILD, partial(EventLoopActor.start, self._loop))

    def run(self, cancel_token: CancellationToken) -> None:
        """Serve until ``cancel_token`` is cancelled, then drain; returns when all is answered.

        Raises ``BindFailed`` or :class:`ServiceCrashed`, and cancels the token then.
        """
        with cancel_token.guard() as guard:
            child = self.child(cancel_token)
            try:
                self._supervise([self.loop_child(), child], cancel_token)
            finally:
                self._unbind()
            guard.disarm()

    def spawn(self, cancel_token: CancellationToken) -> ServiceHandle:
        """:meth:`run` on a thread of its own; the address is known when this returns.

        A failure, of binding too, is raised by the handle's ``join``.
        """
        handle = ServiceHandle()
        try:
            self.bind()
        except Exception as error:  # noqa: BLE001  # join() raises it
            cancel_token.cancel()
            handle.fail(error)
        else:
            handle.start(partial(self.run, cancel_token))
        return handle

    def reload(self) -> None:
        """Read the file of API keys again now, changed or not. Any thread."""
        for keys in self._key_files:
            keys.reload()

    def close(self) -> None:
        """Let go of the socket, and of the models if they are this service's own. Idempotent."""
        self._unbind()
        if self._own_manager:
            self._manager.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _supervise(self, children: Sequence[Child], cancel_token: CancellationToken) -> None:
        ended = threading.Event()
        exits: list[Exit] = []

        def note(exit_: Exit) -> None:
            exits.append(exit_)
            ended.set()

        tree = Supervisor.start(
            *children,
            name="http-service",
            strategy=Strategy.REST_FOR_ONE,
            intensity=RESTART_INTENSITY,
            period=RESTART_PERIOD,
        )
        tree.on_exit(note)
        with cancel_token.on_cancel(ended.set):
            ended.wait()
        gave_up = bool(exits)
        tree.stop(timeout=embedded_stop(self.config.drain_grace, self.config.drain_timeout))
        if gave_up:
            raise ServiceCrashed(f"the HTTP server failed too often: {exits[0]}")

    def _check_prefix(self) -> None:
        wanted, found = self.config.metrics_prefix, self._manager.metrics().prefix
        if wanted != found:
            raise ConfigError(
                f"metrics_prefix is {wanted!r}, but the manager's metrics begin with {found!r}: "
                f"give it metrics=Metrics({wanted!r})"
            )

    def _context(
        self,
        components: Sequence[Component],
        keys: ApiKeys | None,
        operator_keys: ApiKeys | None,
    ) -> AppContext:
        """What the resources share."""
        store = ResponseStore(self.config.responses_store)
        if store.limit:
            self._manager.metrics().stored = store.counts
        return AppContext(
            config=self.config,
            state=self._manager.state(),
            components=(*components, *map(key_file_component, self._key_files)),
            routes=tuple(enabled_routes(self.config)),
            lifecycle=self._lifecycle,
            keys=keys,
            operator_keys=operator_keys,
            inflight=self._inflight,
            responses=store,
        )

    def _unbind(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            self._manager.metrics().connections = no_connections
            self._manager.metrics().stored = None
            server.close()


def _keys_of(
    config: HttpServiceConfig, setting: str, extra_keys: ApiKeys | None = None
) -> ApiKeys | None:
    path: str = getattr(config, setting)
    return ApiKeys(path, setting=setting, extra_keys=extra_keys) if path else None


class ServiceHandle:
    """A spawned service; made by :meth:`HttpService.spawn`."""

    def __init__(self) -> None:
        self._outcome: Future[None] = Future()

    def join(self, timeout: float | None = None) -> None:
        """Wait until the service has ended, at most ``timeout`` seconds (``TimeoutError``).

        Raises what :meth:`HttpService.run` raised.
        """
        try:
            self._outcome.result(timeout)
        except TimeoutError:
            if self._outcome.done():
                raise
            raise TimeoutError(f"the service still runs after {timeout} seconds") from None

    @property
    def running(self) -> bool:
        """Whether the service has not ended yet."""
        return not self._outcome.done()

    def fail(self, error: BaseException) -> None:
        """The service ended before it began."""
        self._outcome.set_exception(error)

    def start(self, run: partial[None]) -> None:
        """Run it on a daemon thread."""
        threading.Thread(target=self._run, args=(run,), name="http-service", daemon=True).start()

    def _run(self, run: partial[None]) -> None:
        try:
            run()
        except BaseException as error:  # noqa: BLE001  # join() raises it
            self._outcome.set_exception(error)
        else:
            self._outcome.set_result(None)
