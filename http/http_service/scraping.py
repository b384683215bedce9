"""Lets the metrics be scraped, as often as anybody likes, at a bounded price.

Rendering many models' metrics takes a while, so it is done off the event loop, one at a time, for
all who asked before it began. What is large is handed out again for a second; what is small is
rendered anew, so that a scrape shows all that was before it. All who get the same rendering read
the same pieces of it: sixty answers take no more memory than one.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Final

from http_service.exposition import PIECE, content_type, wants_open_metrics
from http_service.inline import WouldBlock, may_block
from http_service.metrics import Metrics

__all__ = ["KEEP", "SMALL", "PiecesFile", "Rendering", "Scraping"]

KEEP: Final = 1.0
"""Seconds for which a large rendering is handed out: far below the interval of any scraper."""

SMALL: Final = 64 * 1024
"""Bytes up to which a rendering is small: it took a millisecond or so."""


class Rendering:
    """All metrics as text, as they were at some moment; never changes."""

    __slots__ = ("content_type", "length", "number", "pieces", "until")

    def __init__(self, number: int, pieces: tuple[bytes, ...], content_type: str) -> None:
        self.number: Final = number
        self.pieces: Final = pieces
        """Each of ``PIECE`` bytes, but for the last."""
        self.length: Final = sum(map(len, pieces))
        self.content_type: Final = content_type
        self.until = 0.0
        """When it is not handed out any more."""

    def open(self) -> PiecesFile:
        """A file to read it from."""
        return PiecesFile(self.pieces, self.length)


class PiecesFile:
    """A file to read, made of pieces that others read, too; one thread at a time.

    It reads to the end of a piece at most, so that what is read needs no copy: ``read`` may answer
    less than was asked for before the end.
    """

    __slots__ = ("_at", "_length", "_pieces")

    def __init__(self, pieces: tuple[bytes, ...], length: int) -> None:
        self._pieces = pieces
        self._length = length
        self._at = 0

    def read(self, size: int | None = None, /) -> bytes:
        """Some bytes, ``size`` at most; none at the end."""
        number, begin = divmod(self._at, PIECE)
        if number >= len(self._pieces):
            return b""
        piece = self._pieces[number]
        end = PIECE if size is None or size < 0 else begin + size
        piece = piece[begin:end]
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
        begin = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._length}[whence]
        self._at = begin + offset
        return self._at

    def close(self) -> None:
        """Let go of the pieces. Idempotent."""
        self._pieces = ()


class Scraping:
    """Renders ``metrics`` for scrapers; thread-safe. ``clock`` is injected by tests."""

    def __init__(self, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._metrics = metrics
        self._clock = clock
        self._lock = threading.Lock()
        self._begun = 0
        self._latest: dict[bool, Rendering] = {}

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
        made.until = self._clock() + (KEEP if made.length > SMALL else 0.0)
        self._latest[open_metrics] = made
        return made
