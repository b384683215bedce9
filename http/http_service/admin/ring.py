"""A bounded list that numbers what it takes: the newest are kept, and a reader goes on after one.

What happens is put into the inbox, from any thread, at the cost of one append;
the one owner of the ring moves it over. So what a dead owner did not take is not lost, and a
reader never waits for the owner.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Final, Generic, Protocol, TypeVar

__all__ = ["Numbered", "Ring"]


class Numbered(Protocol):
    """What is kept in a ring."""

    @property
    def sequence(self) -> int:
        """Its number: 1 for the first one, and one more for each."""
        ...


RawT = TypeVar("RawT")
KeptT = TypeVar("KeptT", bound=Numbered)

_sequence: Final = attrgetter("sequence")


class Ring(Generic[RawT, KeptT]):
    """Keeps the newest ``size`` items; ``made(sequence, raw)`` makes one of what was put in."""

    def __init__(self, size: int, made: Callable[[int, RawT], KeptT]) -> None:
        self.inbox: Final[deque[RawT]] = deque(maxlen=size)
        """What the owner has not taken yet; the oldest make room. PERF: append to it directly."""
        self.newest = 0
        """The sequence of the item taken last; 0 before the first one."""
        self._made: Final = made
        self._kept: Final[deque[KeptT]] = deque(maxlen=size)

    def take(self) -> None:
        """Number and keep what is in the inbox. The owner only."""
        inbox, made, keep, newest = self.inbox, self._made, self._kept.append, self.newest
        try:
            while inbox:
                newest += 1
                keep(made(newest, inbox.popleft()))
        finally:
            self.newest = newest

    def all(self) -> list[KeptT]:
        """Every item that is kept, the oldest first. Any thread."""
        return [*self._kept.copy()]  # in C, so of one moment: the owner may append meanwhile

    def after(self, sequence: int | None, limit: int) -> tuple[Sequence[KeptT], int]:
        """At most ``limit`` items after ``sequence``, the oldest first, and what to go on after.

        Without ``sequence``, or for one that is still to come (of an earlier process), the newest.
        Any thread.
        """
        kept = self.all()
        newest = kept[-1].sequence if kept else 0
        if sequence is None or sequence > newest:
            found = kept[max(len(kept) - limit, 0) :]
        else:
            begin = bisect_right(kept, sequence, key=_sequence)
            found = kept[begin : begin + limit]
        return found, found[-1].sequence if found else newest
