"""What became of each instance that a request asked, where it was more than one. For people.

Short, and without a reference to an instance: it outlives its request.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["Try", "answering", "note_end"]

LEFT = "cancelled"
"""Why a try ended that another one made superfluous."""


class Try:
    """One instance that was asked; times are on the pool's clock, ``None`` for what never came."""

    __slots__ = ("answered", "ended", "error", "instance", "started")

    def __init__(self, instance: str, started: float) -> None:
        self.instance = instance
        self.started = started
        self.answered: float | None = None
        """When it began to answer."""
        self.ended: float | None = None
        """When it was heard no more although the request went on."""
        self.error: str | None = None
        """Why, as a failure's kind."""


def note_end(tries: Iterable[Try], instance: str, now: float, error: str = LEFT) -> None:
    """The try at ``instance`` ended; no instance is tried twice. A later word on why counts."""
    for each in tries:
        if each.instance == instance:
            each.ended = each.ended or now
            each.error = error


def answering(tries: Iterable[Try]) -> str:
    """The instance that answered, or was asked last; at least one was."""
    return [*sorted(tries, key=lambda each: (each.ended is None, each.started))][-1].instance
