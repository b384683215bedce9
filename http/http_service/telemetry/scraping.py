"""Lets the metrics be scraped, as often as anybody likes, at a bounded price.

Rendering many models' metrics takes a while, so it is done off the event loop, one at a time, for
all who asked before it began. What is large is handed out again for a second; what is small is
rendered anew, so that a scrape shows all that was before it. All who get the same rendering read
the same pieces of it: sixty answers take no more memory than one. A few large renderings may be
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
from http_service.telemetry.exposition import PIECE, content_type, wants_open_metrics
from http_service.telemetry.metrics import Metrics

__all__ = [
    "KEEP",
    "SMALL",
    "PiecesFile",
    "Rendering",
    "Scraping",
]

KEEP: Final = 1.0
"""Seconds for which a large rendering is handed out: far below the interval of any scraper."""

SMALL: Final = 64 * 1024
"""Bytes up to which a rendering is small: it took a millisecond or so."""

MAX_LARGE: Final = 5
"""Large renderings that are in memory at a time. SECURITY: else each connection that reads as
slowly as it may would keep another one, for hours."""


class Rendering:
    """All metrics as text, as they were at some moment."""

    __slots__ = ("__weakref__", "content_type", "length", "number", "pieces", "until")

    def __init__(self, number: int, pieces: tuple[bytes, ...], content_type: str) -> None:
        self.number: Final = number
        self.pieces: tuple[bytes, ...] = pieces
        """Each of ``PIECE`` bytes, but for the last."""
        self.length: Final = sum(map(len, pieces))
        self.content_type: Final = content_type
        self.until = 0.0
        """When it is not handed out any more."""

    def open(self) -> PiecesFile:
        """A file to read it from."""
        return PiecesFile(self)

    def revoke(self) -> None:
        """Free its memory; who still reads it can't go on."""
        self.pieces = ()


class PiecesFile:
    """A file to read a rendering from, whose pieces others read, too; one thread at a time.

    It reads to the end of a piece at most, so that what is read needs no copy: ``read`` may answer
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
        number, begin = divmod(self._at, PIECE)
        pieces = rendering.pieces
        if not pieces:
            raise OSError("newer metrics took its place")
        end = PIECE if size is None or size < 0 else begin + size
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
        self._begun = 0
        self._latest: dict[bool, Rendering] = {}
        self._large: deque[weakref.ref[Rendering]] = deque()
        """Every large rendering that may be in memory, the oldest first."""

    def answer(self, accept: str) -> Rendering:
        """The metrics as text, in the format that ``accept`` prefers.

        Raises ``WouldBlock`` where nobody may wait: writing a large text out takes a while, too.
        """
        if not may_block():
            raise WouldBlock
        open_metrics = wants_open_metrics(accept)
        begun = self._begun
        with self._lock:
            return self._good(open_metrics, begun) or self._render(open_metrics)

    def _good(self, open_metrics: bool, begun: int) -> Rendering | None:  # noqa: FBT001  # private
        """The latest rendering, if it is younger than who asks, or large and not old."""
        latest = self._latest.get(open_metrics)
        if latest is None or (latest.number <= begun and self._clock() >= latest.until):
            return None
        return latest

    def _render(self, open_metrics: bool) -> Rendering:  # noqa: FBT001  # private
        self._latest.pop(open_metrics, None)  # its memory is of use for the next one
        self._begun += 1
        pieces = (*self._metrics.registry.pieces(open_metrics=open_metrics),)
        made = Rendering(self._begun, pieces, content_type(open_metrics=open_metrics))
        if made.length > SMALL:
            made.until = self._clock() + KEEP
            self._hold(made)
        self._latest[open_metrics] = made
        return made

    def _hold(self, large: Rendering) -> None:
        """Have ``large`` and those before it be few."""
        self._large = deque(each for each in self._large if each() is not None)
        self._large.append(weakref.ref(large))
        while len(self._large) > MAX_LARGE:
            oldest = self._large.popleft()()
            if oldest is not None:
                oldest.revoke()
