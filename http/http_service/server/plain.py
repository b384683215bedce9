"""The fallback: stock Waitress, an answer a thread, where our own server can't stand on it.

Same promises as :class:`~http_service.server.serving.Serving`, at the price of a worker thread for
each unfinished answer; a client's leaving is noticed at the next write. Uses only what Waitress
documents, and ``close``.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from waitress.server import create_server

from actors.shutdown import ABORT_GRACE
from http_service.config import HttpServiceConfig
from http_service.errors import Draining
from http_service.server.limits import waitress_settings
from http_service.server.listener import Listener
from http_service.streaming.exchange import InflightRequests

__all__ = ["PlainServing"]

_log: Final = logging.getLogger("http_service.server")

WORKERS: Final = 64
"""Answers at once, each on a thread of its own: 16 KB resident each."""

LOOK: Final = 0.05
"""Seconds between two looks at what is in flight while draining."""


class PlainServing:
    """Serves ``app`` on ``listener`` by stock Waitress; any thread."""

    def __init__(
        self,
        app: Callable[..., Any],
        listener: Listener,
        config: HttpServiceConfig,
        inflight: InflightRequests,
    ) -> None:
        self.listener: Final = listener
        self.config: Final = config
        self._app = app
        self._inflight = inflight
        self._server: Any = None
        self._ended = threading.Event()

    def open(self, on_broken: Callable[[BaseException], None]) -> None:
        """Serve; a server that runs already is left alone. Raises ``OSError`` without listener."""
        if self._server is not None:
            return
        settings: dict[str, Any] = waitress_settings(self.config) | {"threads": WORKERS}
        make: Callable[..., Any] = (
            create_server  # it ships no types, and its guessed ones are wrong
        )
        self._server = make(self._app, sockets=[self.listener.share()], **settings)
        threading.Thread(
            target=self._run, args=(self._server, on_broken), name="plain-http", daemon=True
        ).start()

    @property
    def connections(self) -> tuple[int, int]:
        """Nothing: stock Waitress refuses nobody, it lets them wait."""
        return 0, 0

    def pause(self) -> None:
        """Nothing: stock Waitress accepts until it is closed."""

    def drain(self, timeout: float) -> threading.Event:
        """Let what is in flight finish for ``timeout`` seconds, then cut it; set when all ended."""
        threading.Thread(target=self._drain, args=(timeout,), name="drain", daemon=True).start()
        return self._ended

    def close(self) -> None:
        """End at once. Idempotent."""
        self.listener.close()
        server, self._server = self._server, None
        if server is not None:
            server.close()
            server.task_dispatcher.shutdown(timeout=ABORT_GRACE)
        self._ended.set()

    def _run(self, server: Any, on_broken: Callable[[BaseException], None]) -> None:
        try:
            server.run()
        except Exception as error:  # noqa: BLE001  # the actor dies of it, unless it is the end
            if self._server is server:
                self._server = None
                on_broken(error)

    def _drain(self, timeout: float) -> None:
        pause = threading.Event()
        deadline = time.monotonic() + timeout
        _log.info("draining", extra={"inflight": len(self._inflight)})
        while self._inflight and time.monotonic() < deadline:
            pause.wait(LOOK)
        if cut := self._inflight.terminate_all(Draining()):
            names = [f"{each.request_id} ({each.model})" for each in cut]
            _log.warning("the drain deadline cut requests", extra={"requests": names})
            pause.wait(ABORT_GRACE)
        self.close()
