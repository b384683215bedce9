"""The admin API's own listener, as a supervised child beside the service that it shows."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Final

from actors.eventloop import EventLoop
from actors.supervision import Child, Tree
from http_service.admin.console import add_console, console_files
from http_service.admin.resources import admin_routes
from http_service.api.api_keys import ApiKeys
from http_service.api.app import build_app
from http_service.api.body_head import reads_body
from http_service.api.context import AppContext
from http_service.api.hosts import hosts_of, is_loopback
from http_service.config import MIB, ConfigError
from http_service.server.actors import HttpServerActor, shutdown_time
from http_service.server.limits import BodyAdmission, body_budget
from http_service.server.server import HttpServer, Listener
from http_service.streaming.exchange import InflightRequests

__all__ = ["AdminService"]

CHILD: Final = "admin"

CONNECTIONS: Final = 64
"""Open connections of the admin API: it is for people and their tools."""

DRAIN: Final = 1.0
"""Seconds that its last answers get: none takes longer than a document."""


class AdminService:
    """Serves ``/admin/v1`` about ``tree`` and the service of ``context`` at ``host`` and ``port``.

    The console, which shows it, is at ``/``.
    It listens from here on and answers once its :meth:`child` runs. A request for data needs an
    operator's key where there is a file of them, else a client's key where there is a file of
    those; without any, it may listen on a loopback address only. Raises ``ConfigError`` otherwise,
    and :class:`~http_service.server.listener.BindFailed`.
    """

    def __init__(
        self, context: AppContext, tree: Tree, host: str, port: int, loop: EventLoop
    ) -> None:
        keys = context.operator_keys or context.keys
        check_reach(host, keys)
        config = replace(
            context.config,
            host=host,
            port=port,
            threads=1,
            body_limit=MIB,
            body_memory=MIB,
            connection_limit=CONNECTIONS,
            drain_timeout=DRAIN,
            drain_grace=0.0,
            open_probes=False,
            # Elsewhere a key is needed, which no page of a stranger's has.
            allowed_hosts=(host,) if is_loopback(host) else (),
        )
        self._lifecycle: Final = context.lifecycle
        files = console_files()
        app = replace(
            context,
            config=config,
            routes=admin_routes(tree),
            keys=keys,
            open_paths=frozenset(files),
        )
        reads = partial(reads_body, frozenset[str](), keys, hosts=hosts_of(config.allowed_hosts))
        intake = BodyAdmission(reads, body_budget(config))
        web = build_app(app)
        add_console(web, files)
        self._server: Final = HttpServer(
            web, Listener(host, port), config, InflightRequests(), loop, intake
        )

    @property
    def url(self) -> str:
        """Where it listens, as in ``http://127.0.0.1:8788``."""
        host, port = self._server.listener.host, self._server.listener.port
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def child(self) -> Child:
        """The listener as a supervised child; stopping it while the service drains closes it."""
        start = partial(HttpServerActor.start, self._server, self._lifecycle)
        return Child(CHILD, start, shutdown=shutdown_time(self._server.config))

    def close(self) -> None:
        """Let go of the socket. Idempotent."""
        self._server.close()


def check_reach(host: str, keys: ApiKeys | None) -> None:
    """Raise ``ConfigError`` if strangers could read the admin API at ``host``."""
    if keys is None and not is_loopback(host):
        raise ConfigError(
            f"the admin API would be open to anyone who reaches {host}: give --operator-key-file, "
            "or listen on 127.0.0.1"
        )
