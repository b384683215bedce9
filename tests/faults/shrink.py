"""The shortest part of a schedule that still breaks an invariant: delta debugging; pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

__all__ = ["shrunk"]

T = TypeVar("T")


def shrunk(
    items: Sequence[T], breaks: Callable[[Sequence[T]], bool], tries: int = 1_000_000
) -> tuple[tuple[T, ...], int]:
    """A part of ``items``, in order, for which ``breaks`` is true, and how often it was asked.

    ``items`` itself must break. With tries enough the result is 1-minimal: without any one of its
    items it no longer breaks.
    """
    current, parts, asked = tuple(items), 2, 0
    while len(current) > 1 and asked < tries:
        size = max(1, -(-len(current) // parts))
        chunks = [current[n : n + size] for n in range(0, len(current), size)]
        smaller = None
        for number in range(len(chunks)):
            if asked >= tries:
                break
            rest = tuple(x for n, chunk in enumerate(chunks) if n != number for x in chunk)
            asked += 1
            if rest and breaks(rest):
                smaller = rest
                break
        if smaller is not None:
            current, parts = smaller, max(2, parts - 1)
        elif size == 1:
            break
        else:
            parts = min(len(current), parts * 2)
    return current, asked
