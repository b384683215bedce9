"""What outlives the actor that serves HTTP: the listening socket, the connections, their answers.

The actor may be killed at any moment: nothing here belongs to it, so that no client notices. Only
:meth:`HttpServer.drain` and :meth:`HttpServer.close` end anything.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, Final

from actors.eventloop import EventLoop
from http_service.config import HttpServiceConfig
from http_service.server.drain import Drain
from http_service.server.limits import BodyAdmission
from http_service.server.listener import Listener
from http_service.server.waitress_server import WaitressServer
from http_service.streaming.exchange import InflightRequests

__all__ = ["HttpServer"]

_log: Final = logging.getLogger("http_service.server")

DRAIN_TICK: Final = 0.05
"""Seconds between two looks at the connections while draining."""

OPEN_TIMEOUT: Final = 5.0
"""Seconds that the event loop gets to take a server in: a busy loop needs milliseconds."""


class HttpServer:
    """Serves ``app`` on ``listener``, on ``loop``'s thread. Every method may be called from any."""

    def __init__(
        self,
        app: Callable[..., Any],
        listener: Listener,
        config: HttpServiceConfig,
        inflight: InflightRequests,
        loop: EventLoop,
        intake: BodyAdmission,
    ) -> None:
        self.listener: Final = listener
        self.config: Final = config
        self._app = app
        self._inflight = inflight
        self._loop = loop
        self._intake = intake
        self._server: WaitressServer | None = None
        self._ended = threading.Event()

    def open(self, on_failure: Callable[[BaseException], None]) -> None:
        """Accept connections, again or for the first time.

        ``on_failure(error)`` is called when accepting fails. Raises ``OSError`` once the listener
        is closed, ``TimeoutError`` if the event loop hangs.
        """
        self._on_loop(lambda: self._open(on_failure))

    @property
    def connections(self) -> tuple[int, int]:
        """How many are open now, and how many were refused until now."""
        server = self._server
        return (0, 0) if server is None else (len(server.active_channels), server.refused)

    def pause(self) -> None:
        """Accept no more for now; what is open is served on, new connections wait."""
        self._on_loop(self._pause)

    def drain(self, timeout: float) -> threading.Event:
        """Begin to end, gracefully for ``timeout`` seconds; the event is set when it has ended."""
        self._loop.call(lambda: self._begin_drain(timeout))
        return self._ended

    def close(self) -> None:
        """End at once, whatever is being answered. Idempotent."""
        self.listener.close()
        if self._server is not None:
            self._on_loop(self._end)

    def _open(self, on_failure: Callable[[BaseException], None]) -> None:
        if self._server is None:
            self._server = WaitressServer(
                self._app, self.listener.share(), self.config, self._loop, self._intake
            )
        self._server.on_failure = on_failure
        self._server.resume_accepting()

    def _pause(self) -> None:
        if self._server is not None:
            self._server.pause()

    def _begin_drain(self, timeout: float) -> None:
        server = self._server
        if server is None or server.draining:
            self._end()
            return
        server.stop_accepting()
        server.begin_drain()
        _log.info("draining", extra={"inflight": len(self._inflight)})
        self._step(Drain(self._inflight, timeout, self._loop.clock))

    def _step(self, drain: Drain) -> None:
        server = self._server
        if server is None:
            return
        drain.step([*server.channels()])
        server.close_lingering()
        if drain.finished:
            self._end()
        else:
            self._loop.call_later(DRAIN_TICK, lambda: self._step(drain))

    def _end(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
        self._ended.set()

    def _on_loop(self, work: Callable[[], object]) -> None:
        """Do ``work`` on the loop's thread and wait for it; raise what it raised."""
        if self._loop.on_loop:
            work()
            return
        done = threading.Event()
        raised: list[BaseException] = []

        def run() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001  # raised on the caller's thread
                raised.append(error)
            done.set()

        self._loop.call(run)
        if not done.wait(OPEN_TIMEOUT):
            raise TimeoutError("the event loop did not answer; it hangs in a handler")
        if raised:
            raise raised[0]
