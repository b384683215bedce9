"""Closes the engines that left, later and elsewhere: ``close`` may wait for requests in flight."""

from __future__ import annotations

import logging
import queue
import threading
import time
from typing import Final

from actors.engines.contract import Engine

__all__ = ["GRACE", "EngineCloser"]

_log = logging.getLogger("discovery.engines")

GRACE: Final = 1.0
"""Seconds between leaving the registry and the close: whoever got the engine before may start."""


class EngineCloser:
    """One thread that closes engines in the order in which they came, each after ``grace`` seconds.

    The thread starts with the first engine and is a daemon; every method returns at once.
    """

    def __init__(self, grace: float = GRACE) -> None:
        self._grace: Final = grace
        self._queue: Final[queue.SimpleQueue[tuple[float, Engine] | None]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def close_later(self, engine: Engine) -> None:
        """Close ``engine`` after the grace; nothing happens to one that has no ``close``."""
        if not hasattr(engine, "close"):
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="engine-closer", daemon=True)
            self._thread.start()
        self._queue.put((time.monotonic() + self._grace, engine))

    def stop(self) -> None:
        """No engine comes any more: end after the last one is closed. Does not wait for that."""
        self._queue.put(None)

    def _work(self) -> None:
        pause = threading.Event()  # never set: a wait that costs nothing
        while (job := self._queue.get()) is not None:
            due, engine = job
            pause.wait(max(0.0, due - time.monotonic()))
            _close(engine)


def _close(engine: Engine) -> None:
    try:
        engine.close()  # type: ignore[attr-defined]  # the contract leaves it out; checked above
    except Exception:  # noqa: BLE001  # foreign code; the engine is gone all the same
        _log.exception("an engine failed to close; it was dropped all the same")
