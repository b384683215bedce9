"""What a sick network does to a stream of bytes, as pure functions: when which piece arrives.

toxiproxy's vocabulary. A :class:`Shape` is what one direction suffers from; :func:`plan` turns one
piece of data into the pieces that come out and the moments at which they do.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

__all__ = ["CLEAN", "Passage", "Shape", "end_due", "plan", "struck"]

BURST: Final = 0.05
"""Seconds' worth of bytes that a limited line passes on at once."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What one direction of a connection suffers from; seconds and bytes."""

    latency: float = 0.0
    jitter: float = 0.0
    bandwidth: float = 0.0
    """Bytes a second; 0 for no limit."""
    slice_size: int = 0
    slice_delay: float = 0.0
    limit: int | None = None
    """Bytes after which the connection is closed."""
    swallow: float | None = None
    """All data vanish, and the connection is closed after so many seconds; 0 for never."""
    reset: float | None = None
    """Seconds after which the connection is reset."""
    slow_close: float = 0.0
    """Seconds by which the end of the stream is late."""
    blocked: bool = False
    """Nothing passes until that ends; then everything does, as TCP sends again what was lost."""

    @property
    def clean(self) -> bool:
        """Whether data pass as they come."""
        return self == CLEAN


CLEAN: Final = Shape()


@dataclass(slots=True)
class Passage:
    """What one direction of one connection must remember between two pieces."""

    passed: int = 0
    free_at: float = 0.0
    """When the line has passed on everything so far."""


def plan(
    shape: Shape, passage: Passage, data: bytes, now: float, rng: random.Random
) -> list[tuple[float, bytes]]:
    """The pieces of ``data`` that come out, in order, each with its moment."""
    if shape.swallow is not None:
        return []
    if shape.limit is not None:
        data = data[: max(0, shape.limit - passage.passed)]
    passage.passed += len(data)
    delay = shape.latency + shape.jitter * rng.uniform(-1.0, 1.0)
    moment = max(passage.free_at, now + max(0.0, delay))
    pieces: list[tuple[float, bytes]] = []
    for number, piece in enumerate(_cut(shape, data)):
        if number and shape.slice_size:
            moment += shape.slice_delay
        if shape.bandwidth:
            moment += len(piece) / shape.bandwidth
        pieces.append((moment, piece))
    passage.free_at = moment
    return pieces


def end_due(shape: Shape, passage: Passage, now: float, rng: random.Random) -> float | None:
    """When the end of the stream comes out, FIN or RST; ``None``: it vanishes, as data do.

    It is late by what data are late by, and never overtakes them.
    """
    if shape.swallow is not None:
        return None
    delay = shape.latency + shape.jitter * rng.uniform(-1.0, 1.0)
    return max(passage.free_at, now + max(0.0, delay)) + shape.slow_close


def struck(shape: Shape, data: bytes) -> tuple[str, ...]:
    """The names of the fields that change how one piece of data comes out; of an end, for b""."""
    names = [name for name in ("latency", "jitter", "blocked") if getattr(shape, name)]
    if shape.swallow is not None:
        names.append("swallow")
    if not data:
        return (*names, "slow_close") if shape.slow_close else tuple(names)
    if shape.bandwidth:
        names.append("bandwidth")
    if 0 < shape.slice_size < len(data):
        names.append("slice_size")
    return tuple(names)


def _cut(shape: Shape, data: bytes) -> Iterator[bytes]:
    burst = max(1, int(shape.bandwidth * BURST)) if shape.bandwidth else len(data)
    size = max(1, min(shape.slice_size or len(data), burst, len(data) or 1))
    for start in range(0, len(data), size):
        yield data[start : start + size]
