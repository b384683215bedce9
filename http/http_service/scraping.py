"""Lets the metrics be scraped, as often as anybody likes, at a bounded price.

Rendering many models' metrics takes a while, so it is done off the event loop, one at a time, for
all who asked before it began. What is large is handed out again for a second; what is small is
rendered anew, so that a scrape shows all that was before it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from http_service.exposition import wants_open_metrics
from http_service.inline import NeedsWorker, may_block
from http_service.metrics import Metrics

__all__ = ["KEEP", "SMALL", "Scraping"]

KEEP: Final = 1.0
"""Seconds for which a large rendering is handed out: far below the interval of any scraper."""

SMALL: Final = 64 * 1024
"""Bytes up to which a rendering is small: it took a millisecond or so."""


@dataclass(frozen=True, slots=True)
class _Rendering:
    number: int
    until: float
    body: bytes
    content_type: str


class Scraping:
    """Renders ``metrics`` for scrapers; thread-safe. ``clock`` is injected by tests."""

    def __init__(self, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._metrics = metrics
        self._clock = clock
        self._lock = threading.Lock()
        self._begun = 0
        self._latest: dict[bool, _Rendering] = {}

    def answer(self, accept: str) -> tuple[bytes, str]:
        """The metrics as text, and its content type, in the format that ``accept`` prefers.

        Raises ``NeedsWorker`` where nobody may wait: writing a large text out takes a while, too.
        """
        if not may_block():
            raise NeedsWorker
        open_metrics = wants_open_metrics(accept)
        begun = self._begun
        with self._lock:
            found = self._good(open_metrics, begun) or self._render(open_metrics)
        return found.body, found.content_type

    def _good(self, open_metrics: bool, begun: int) -> _Rendering | None:  # noqa: FBT001  # private
        """The latest rendering, if it is younger than who asks, or large and not old."""
        latest = self._latest.get(open_metrics)
        if latest is None or (latest.number <= begun and self._clock() >= latest.until):
            return None
        return latest

    def _render(self, open_metrics: bool) -> _Rendering:  # noqa: FBT001  # private
        self._begun += 1
        number = self._begun
        body, content_type = self._metrics.registry.render(open_metrics=open_metrics)
        until = self._clock() + (KEEP if len(body) > SMALL else 0.0)
        made = _Rendering(number, until, body, content_type)
        self._latest[open_metrics] = made
        return made
