"""The admin API's own listener, as a supervised child beside the service that it shows."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from actors.eventloop import EventLoop
from actors.supervision import Child, TimerThread
from http_service.admin import event_log, feed, recorder, request_log
from http_service.admin.access import Access
from http_service.admin.actions import TreeActionResource
from http_service.admin.audit import Audit
from http_service.admin.console import ConsoleFile, add_console, console_files
from http_service.admin.event_log import Events
from http_service.admin.feed import Feed
from http_service.admin.instances import InstanceActionResource
from http_service.admin.parts import PREFIX, Parts, Subject
from http_service.admin.pool_table import PoolTable
from http_service.admin.process_facts import ProcessFacts
from http_service.admin.recorder import Recording
from http_service.admin.request_log import Requests
from http_service.admin.routes import CHILDREN, INSTANCES, admin_routes
from http_service.api.api_keys import ApiKeys
from http_service.api.app import WsgiApp, build_app
from http_service.api.body_head import reads_body
from http_service.api.context import AppContext, Route
from http_service.api.hosts import hosts_of, is_loopback
from http_service.config import MIB, ConfigError
from http_service.server.actors import HttpServerActor, shutdown_time
from http_service.server.limits import BodyAdmission, body_budget
from http_service.server.server import BindFailed, HttpServer, Listener
from http_service.streaming.exchange import InflightRequests

__all__ = ["AdminService"]

CHILD: Final = "admin"

PUBLIC: Final = "/v1/"
"""What begins the paths of the public API: a playground asks for them on its own origin."""

CONNECTIONS: Final = 64
"""Open connections of the admin API: it is for people and their tools."""

DRAIN: Final = 1.0
"""Seconds that its last answers get: none takes longer than a document."""


class AdminService:
    """Serves ``/admin/v1`` about ``subject`` and the service of ``context`` at ``host``, ``port``.

    The console, which shows it, is at ``/``; beside it the public API, for the console's pages.
    It listens from here on and answers once :meth:`start` was called. A request for data needs an
    operator's key where there is a file of them, else a client's key where there is a file of
    those, whose holders change nothing; without any, it may listen on a loopback address only.
    Raises ``ConfigError`` otherwise, and :class:`~http_service.server.server.BindFailed`.
    """

    def __init__(
        self, context: AppContext, subject: Subject, host: str, port: int, loop: EventLoop
    ) -> None:
        keys = context.operator_keys or context.keys
        check_reach(host, keys)
        config = replace(
            context.config,
            host=host,
            port=port,
            threads=2,
            body_limit=MIB,
            body_memory=4 * MIB,
            connection_limit=CONNECTIONS,
            drain_timeout=DRAIN,
            drain_grace=0.0,
            open_probes=False,
            # Elsewhere a key is needed, which no page of a stranger's has.
            allowed_hosts=(host,) if is_loopback(host) else (),
        )
        self._clock: Final = TimerThread("console-clock")
        self._pools: Final = PoolTable()
        events, process = Events(), ProcessFacts(loop)
        self._recording: Final = Recording(context, events, process)
        requests = Requests(context.inflight, context.metrics)
        series = self._recording.series
        live = Feed(subject.tree, series, events, requests, self._pools)
        self.parts: Final = Parts(subject, events, process, series, requests, live)
        """What its resources share."""
        self._state: Final = context.state
        self._lifecycle: Final = context.lifecycle
        public = [route for route in context.routes if route.path.startswith(PUBLIC)]
        files = console_files()
        app = replace(
            context,
            config=config,
            routes=(*admin_routes(self.parts), *public),
            keys=keys,
            open_paths=frozenset(files),
        )
        reads = partial(reads_body, _WithBody(public), keys, hosts=hosts_of(config.allowed_hosts))
        intake = BodyAdmission(reads, body_budget(config))
        listener = _listener(host, port)
        self._server: Final = HttpServer(
            self._application(app, files), listener, config, InflightRequests(), loop, intake
        )

    def _application(self, app: AppContext, files: Mapping[str, ConsoleFile]) -> WsgiApp:
        """The application: what Falcon can't route by itself, and what looks at every request."""
        web = build_app(app)
        add_console(web, files)
        web.add_route(INSTANCES, InstanceActionResource(self.parts, app))
        web.add_route(CHILDREN, TreeActionResource(self.parts, app))
        web.add_middleware(Audit(self.parts.events, app.keys, PREFIX))
        web.add_middleware(Access(app.keys, PREFIX))
        return web

    @property
    def url(self) -> str:
        """Where it listens, as in ``http://127.0.0.1:8788``."""
        host, port = self._server.listener.host, self._server.listener.port
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def start(self) -> None:
        """Start its actors as children of the tree that it shows, the listener last."""
        parts = self.parts
        tree, events, pools = parts.subject.tree, parts.events, parts.subject.pools
        events.follow(tree.start_child(event_log.child_of(events)))
        tree.on_event(events.put)
        pools.add(events)
        pools.add(self._pools)
        self._pools.seed(self._state.snapshot().pools())
        log = tree.start_child(request_log.child_of(parts.requests))
        tree.start_child(recorder.child_of(self._recording, self._clock))
        tree.start_child(self.child())
        # After the listener, so that it ends its responses before that waits for them.
        parts.feed.follow(tree.start_child(feed.child_of(parts.feed, self._clock)), log)

    def child(self) -> Child:
        """The listener as a supervised child; stopping it while the service drains closes it."""
        start = partial(HttpServerActor.start, self._server, self._lifecycle)
        return Child(CHILD, start, shutdown=shutdown_time(self._server.config))

    def close(self) -> None:
        """Let go of the socket. Idempotent."""
        self._server.close()
        self._clock.close()
        self.parts.process.lag.stop()


class _WithBody(Container[str]):
    """The paths whose ``POST`` has a body: every one of the admin API, and of ``public`` some."""

    def __init__(self, public: list[Route]) -> None:
        self._public = frozenset(route.path for route in public if route.body is not None)

    def __contains__(self, path: object) -> bool:
        return path in self._public or str(path).startswith(f"{PREFIX}/")


def _listener(host: str, port: int) -> Listener:
    try:
        return Listener(host, port)
    except BindFailed as error:
        told = str(error).replace("--port", "--console").replace("--host", "--console")
        raise BindFailed(told) from error


def check_reach(host: str, keys: ApiKeys | None) -> None:
    """Raise ``ConfigError`` if strangers could read the admin API at ``host``."""
    if keys is None and not is_loopback(host):
        raise ConfigError(
            f"the admin API would be open to anyone who reaches {host}: give --operator-key-file, "
            "or listen on 127.0.0.1"
        )
