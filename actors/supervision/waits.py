"""Who waits for whom: finds a cycle of asks at the moment that it would close.

Each thread knows the actors whose handlers it runs (several, where turn actors ask one another).
Before it blocks on a reply it writes that reply on all of them, *then* follows the replies from the
actor that it asked. Of two threads that close a cycle at the same time at least one therefore sees
the other. Only pending replies count, so an actor that was just answered is never taken for stuck.
"""

from __future__ import annotations

import threading
from typing import Protocol

from actors.supervision.clock import Clock
from actors.supervision.errors import AskCycle

__all__ = ["Party", "Pending", "blocked_on", "here"]


class Pending(Protocol):
    """A reply somebody waits for."""

    @property
    def done(self) -> bool:
        """Whether it was settled."""
        ...

    @property
    def target(self) -> Party | None:
        """The actor that was asked."""
        ...


class Party(Protocol):
    """One actor in the wait-for graph."""

    name: str
    clock: Clock | None
    """By whose seconds an ask to this actor times out; ``None`` for the real ones."""
    waiting_for: Pending | None


class Here(threading.local):
    """The actors whose handlers this thread runs now, outermost first."""

    def __init__(self) -> None:
        self.stack: list[Party] = []


here = Here()


class blocked_on:  # noqa: N801  # a context manager reads as a verb
    """Mark this thread's actors as waiting for ``reply``; :class:`AskCycle` if that cannot end."""

    __slots__ = ("_parties", "_reply")

    def __init__(self, reply: Pending) -> None:
        self._reply = reply
        self._parties = tuple(here.stack)

    def __enter__(self) -> None:
        for party in self._parties:
            party.waiting_for = self._reply
        if self._parties:
            try:
                self._look_for_cycle()
            except AskCycle:
                self.__exit__()
                raise

    def __exit__(self, *_exc: object) -> None:
        for party in self._parties:
            party.waiting_for = None

    def _look_for_cycle(self) -> None:
        names = [self._parties[-1].name]
        party = self._reply.target
        seen: set[int] = set()
        while party is not None and id(party) not in seen:
            seen.add(id(party))
            names.append(party.name)
            if party in self._parties:
                # This thread went from there to the one that asks, from handler to handler.
                within = self._parties[self._parties.index(party) + 1 :]
                raise AskCycle((*names, *(each.name for each in within)))
            pending = party.waiting_for
            party = None if pending is None or pending.done else pending.target
