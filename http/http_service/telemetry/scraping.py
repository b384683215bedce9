"""Serves the metrics to scrapers, however often they ask, at a bounded cost.

Rendering many models' metrics takes a while, so it is done off the event loop, one at a time, for
all who asked before it began. What is large is handed out again for a second; what is small is
rendered again, so that a scrape shows all that was before it. All who get the same rendering read
the same pieces of it: sixty responses take no more memory than one. A few large renderings may be
read at a time; when there are more, those who still read the oldest are cut off.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Final

from http_service.inline import WouldBlock, may_block
from http_service.telemetry.exposition import PIECE_BYTES, content_type, wants_open_metrics
from http_service.telemetry.metrics import Metrics

__all__ = [
    "KEEP_SECONDS",
    "SMALL_BYTES",
    "PiecesFile",
    "Rendering",
    "Scraping",
]

KEEP_SECONDS: Final = 1.0
"""Seconds for which a large rendering is handed out: far below the interval of any scraper."""

SMALL_BYTES: Final = 64 * 1024
"""Bytes up to which a rendering is small: it took a millisecond or so."""

MAX_LARGE: Final = 5
"""Large renderings that are in memory at a time. SECURITY: else each connection that reads as
slowly as it may would keep another one, for hours."""


class Rendering:
    """All metrics as text, as they were at some moment."""

    __slots__ = ("__weakref__", "content_type", "expires_at", "length", "number", "pieces")

    def __init__(self, number: int, pieces: tuple[bytes, ...], content_type: str) -> None:
        self.number: Final = number
        self.pieces: tuple[bytes, ...] = pieces
        """Each of ``PIECE_BYTES`` bytes, but for the last."""
        self.length: Final = sum(map(len, pieces))
        self.content_type: Final = content_type
        self.expires_at = 0.0
        """When it is not handed out any more."""

    def open(self) -> PiecesFile:
        """A file to read it from."""
        return PiecesFile(self)

    def revoke(self) -> None:
        """Free its memory; readers of it can't go on."""
        self.pieces = ()


class PiecesFile:
    """A file to read a rendering from, whose pieces others read, too; one thread at a time.

    It reads to the end of a piece at most, so that what is read needs no copy: ``read`` may return
    less than was asked for before the end.
    """

    __slots__ = ("_at", "_rendering")

    def __init__(self, rendering: Rendering) -> None:
        self._rendering: Rendering | None = rendering
        self._at = 0

    def read(self, size: int | None = None, /) -> bytes:
        """Some bytes, ``size`` at most; none at the end. Raises ``OSError`` if it was revoked."""
        rendering = self._rendering
        if rendering is None or self._at >= rendering.length:
            return b""
        number, begin = divmod(self._at, PIECE_BYTES)
        pieces = rendering.pieces
        if not pieces:
            raise OSError("newer metrics took its place")
        end = PIECE_BYTES if size is None or size < 0 else begin + size
        piece = pieces[number][begin:end]
        self._at += len(piece)
        return piece

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go there: a file's ``seek``."""
        length = 0 if self._rendering is None else self._rendering.length
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: length}[whence]
        return self._at

    def close(self) -> None:
        """Let go of the rendering. Idempotent."""
        self._rendering = None


class Scraping:
    """Renders ``metrics`` for scrapers; thread-safe. ``clock`` is injected by tests."""

    def __init__(self, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._metrics = metrics
        self._clock = clock
        self._lock = threading.Lock()
        self._started = 0
        self._latest: dict[bool, Rendering] = {}
        self._large: deque[weakref.ref[Rendering]] = deque()
        """Every large rendering that may be in memory, the oldest first."""

    def rendering(self, accept: str) -> Rendering:
        """The metrics as text, in the format that ``accept`` prefers.

        Raises ``WouldBlock`` where the caller may not wait: writing a large text takes a while.
        """
        if not may_block():
            raise WouldBlock
        open_metrics = wants_open_metrics(accept)
        started = self._started
        with self._lock:
            return self._reusable(open_metrics, started) or self._render(open_metrics)

    def _reusable(self, open_metrics: bool, started: int) -> Rendering | None:  # noqa: FBT001  # private
        """The latest rendering, if it is younger than the scrape, or large and not old."""
        latest = self._latest.get(open_metrics)
        if latest is None or (latest.number <= started and self._clock() >= latest.expires_at):
            return None
        return latest

    def _render(self, open_metrics: bool) -> Rendering:  # noqa: FBT001  # private
        self._latest.pop(open_metrics, None)  # its memory is of use for the next one
        self._started += 1
        pieces = (*self._metrics.registry.pieces(open_metrics=open_metrics),)
        made = Rendering(self._started, pieces, content_type(open_metrics=open_metrics))
        if made.length > SMALL_BYTES:
            made.expires_at = self._clock() + KEEP_SECONDS
            self._limit_large(made)
        self._latest[open_metrics] = made
        return made

    def _limit_large(self, large: Rendering) -> None:
        """Have ``large`` and those before it be few."""
        self._large = deque(held for held in self._large if held() is not None)
        self._large.append(weakref.ref(large))
        while len(self._large) > MAX_LARGE:
            oldest = self._large.popleft()()
            if oldest is not None:
                oldest.revoke()
