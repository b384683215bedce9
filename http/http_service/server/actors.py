"""The actors of the server: one keeps the event loop running, one keeps HTTP served on it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Final

from actors.eventloop import EventLoop
from actors.shutdown import server_stop
from actors.supervision import CancellationToken, Supervised
from http_service.api.context import Lifecycle
from http_service.config import HttpServiceConfig
from http_service.server.server import HttpServer

__all__ = ["EventLoopActor", "HttpServerActor", "ServerFailed", "shutdown_time"]

_log: Final = logging.getLogger("http_service.server")


@dataclass(frozen=True, slots=True)
class ServerFailed:
    """What the actor looks after failed with ``error``: the actor must die of it."""

    error: BaseException


def shutdown_time(config: HttpServiceConfig) -> float:
    """Seconds after which a server that was asked to stop has surely stopped."""
    return server_stop(config.drain_grace, config.drain_timeout)


class EventLoopActor(Supervised):
    """Keeps ``loop`` running: crashes when the loop's thread dies, and starts another.

    What is watched belongs to the loop and not to its thread: streams go on after a restart.
    Stopping the keeper leaves the loop running, which may serve others in this process.
    """

    use_daemon_thread = True

    def __init__(self, loop: EventLoop) -> None:
        super().__init__()
        self._loop = loop

    def on_start(self) -> None:
        """Have the loop run."""
        own = self.address
        unhook = self._loop.on_crash(lambda error: own.tell(ServerFailed(error)))
        self.lifecycle.watch(lambda _exit: unhook())
        self._loop.ensure_running()

    def on_receive(self, message: Any) -> Any:
        """Crash with the loop; nothing else is a message of this actor."""
        if isinstance(message, ServerFailed):
            raise message.error
        return None


class HttpServerActor(Supervised):
    """Has ``serving`` accept connections until it is stopped, which is a drain (see ``drain``).

    Connections and their answers outlive the actor: while its supervisor restarts it, nothing is
    refused and nothing cut. Only when ``lifecycle`` is ending does stopping end them.
    """

    use_daemon_thread = True

    def __init__(self, serving: HttpServer, lifecycle: Lifecycle) -> None:
        super().__init__()
        self._serving = serving
        self._lifecycle = lifecycle

    def on_start(self) -> None:
        """Serve. Raises ``OSError`` if the listener is closed."""
        own = self.address
        self._serving.open(lambda error: own.tell(ServerFailed(error)))
        listener = self._serving.listener
        _log.info("serving", extra={"host": listener.host, "port": listener.port})

    def on_receive(self, message: Any) -> Any:
        """Crash when accepting failed; nothing else is a message of this actor."""
        if isinstance(message, ServerFailed):
            raise message.error
        return None

    def on_stop(self) -> None:
        """Drain: take no new connection, let what runs end, then close. Or else only pause.

        Before that, ``drain_grace`` seconds in which only readiness says that the service goes.
        """
        if not self._lifecycle.draining:
            self._serving.pause()
            return
        config = self._serving.config
        if config.drain_grace:
            # Nothing ends it early but the end of the process: our own token is cancelled already.
            CancellationToken().wait(config.drain_grace)
        self._serving.listener.close()
        ended = self._serving.drain(config.drain_timeout)
        in_time = ended.wait(shutdown_time(config))
        _log.info("stopped serving", extra={"in_time": in_time})
