"""The actor that serves HTTP: Waitress on a shared socket, its loop on a thread of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from actors.supervision import Supervised
from http_service.config import HttpServiceConfig
from http_service.inflight import InflightRequests
from http_service.lifecycle import Lifecycle
from http_service.server.drain import CUT_GRACE
from http_service.server.io_loop import IoLoop
from http_service.server.limits import waitress_settings
from http_service.server.listener import Listener
from http_service.server.waitress_server import WORKER_STOP, WaitressServer

__all__ = ["HttpServer", "LoopEnded", "shutdown_time"]

_log: Final = logging.getLogger("http_service.server")

RESTART_DRAIN: Final = 2.0
"""Seconds that answers get when only the server restarts: new connections wait meanwhile."""


@dataclass(frozen=True, slots=True)
class LoopEnded:
    """The I/O loop died of ``error``: the actor must die with it."""

    error: BaseException


def shutdown_time(config: HttpServiceConfig) -> float:
    """Seconds after which a server that was asked to stop has surely stopped."""
    return config.drain_timeout + 2 * CUT_GRACE + WORKER_STOP + 1.0


class HttpServer(Supervised):
    """Serves ``app`` on ``listener`` until it is stopped, which is a drain (see ``drain``).

    The listening socket outlives the actor: while its supervisor restarts it, no connection is
    refused. Only when ``lifecycle`` is ending does stopping close the socket for good.
    """

    use_daemon_thread = True

    def __init__(
        self,
        app: Callable[..., Any],
        listener: Listener,
        config: HttpServiceConfig,
        lifecycle: Lifecycle,
        inflight: InflightRequests,
    ) -> None:
        super().__init__()
        self._app = app
        self._listener = listener
        self._config = config
        self._lifecycle = lifecycle
        self._inflight = inflight
        self._loop: IoLoop | None = None

    def on_start(self) -> None:
        """Serve. Raises ``OSError`` if the listener is closed."""
        self._lifecycle.pausing = False
        settings = waitress_settings(self._config)
        server = WaitressServer(self._app, self._listener.share(), settings)
        own = self.address
        loop = IoLoop(server, self._inflight, lambda error: own.tell(LoopEnded(error)))
        # However this incarnation ends, abandoned or crashed, its loop must not go on accepting
        # beside the next one's. After a drain this finds it ended.
        self.life.watch(lambda _exit: loop.stop())
        self._loop = loop
        loop.start()
        _log.info("serving", extra={"host": self._listener.host, "port": self._listener.port})

    def on_receive(self, message: Any) -> Any:
        """Crash with the loop; nothing else is a message of this actor."""
        if isinstance(message, LoopEnded):
            raise message.error
        return None

    def on_stop(self) -> None:
        """Drain: refuse new work, let the running work end, then close."""
        self._lifecycle.pausing = True
        ending = self._lifecycle.ending
        if ending:
            self._listener.close()
        loop = self._loop
        if loop is None:
            return
        drain = self._config.drain_timeout if ending else RESTART_DRAIN
        loop.drain(min(drain, self._config.drain_timeout))
        loop.join(shutdown_time(self._config))
        _log.info("stopped serving", extra={"in_time": not loop.is_alive()})
