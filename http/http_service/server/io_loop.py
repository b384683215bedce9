"""The thread that owns a Waitress server: its connections, its workers, its end."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

from http_service.inflight import InflightRequests
from http_service.server.drain import Drain
from http_service.server.waitress_server import WaitressServer

__all__ = ["LOOP_NAME", "IoLoop"]

_log: Final = logging.getLogger("http_service.server")

LOOP_NAME: Final = "http-io"

TICK: Final = 1.0
"""Seconds a quiet loop sleeps at most; every event wakes it."""

DRAIN_TICK: Final = 0.05
"""Seconds between two looks at the connections while draining."""


class IoLoop(threading.Thread):
    """Steps ``server`` until it is drained, stopped or broken; then closes all of it.

    ``on_crash`` is called from this thread, at its very end, if it ended by an error.
    """

    def __init__(
        self,
        server: WaitressServer,
        inflight: InflightRequests,
        on_crash: Callable[[BaseException], None],
    ) -> None:
        super().__init__(name=LOOP_NAME, daemon=True)
        self._server = server
        self._inflight = inflight
        self._on_crash = on_crash
        self._stopped = False
        self._drain_timeout: float | None = None

    def drain(self, timeout: float) -> None:
        """Begin to end gracefully, within ``timeout`` seconds and the cut's grace. Any thread."""
        self._server.draining = True
        self._drain_timeout = timeout
        self._server.wake()

    def stop(self) -> None:
        """End at once. Any thread."""
        self._stopped = True
        self._server.wake()

    def run(self) -> None:
        """Serve, then drain, then close; an error in between is told after closing."""
        crash: BaseException | None = None
        try:
            self._serve()
            self._finish()
        except BaseException as error:  # noqa: BLE001  # told to the actor, which crashes with it
            crash = error
        finally:
            self._server.close()
        if crash is not None and not self._stopped:
            self._on_crash(crash)

    def _serve(self) -> None:
        while not self._stopped and self._drain_timeout is None:
            self._server.step(TICK)

    def _finish(self) -> None:
        if self._stopped or self._drain_timeout is None:
            return
        self._server.stop_accepting()
        _log.info("draining", extra={"inflight": len(self._inflight)})
        drain = Drain(self._inflight, self._drain_timeout)
        while not self._stopped:
            drain.step([*self._server.channels()])
            if drain.finished:
                return
            self._server.close_lingering()
            self._server.step(DRAIN_TICK)
