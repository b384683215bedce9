"""The life of one incarnation: it ends once, and whoever watches is told exactly once.

There is no lock, which a finalizer could find taken by its own thread: who tells a watcher is who
takes it out of the dict.
"""

from __future__ import annotations

import logging
from _thread import allocate_lock
from collections.abc import Callable, Iterable

from actors.supervision.exits import Exit
from actors.supervision.foreign import call_each
from actors.supervision.handle import Handle
from actors.supervision.latch import Latch
from actors.supervision.waits import Party

__all__ = ["Life", "Watch", "Watcher"]

_log = logging.getLogger("actors.supervision")

Watcher = Callable[[Exit], object]


class Life:
    """Begin, end and watchers of one incarnation. Any thread."""

    __slots__ = ("_once", "_watchers", "exit", "party", "settled")

    def __init__(self) -> None:
        self._once = allocate_lock()
        self._watchers: dict[Watch, Watcher] = {}
        self.exit: Exit | None = None
        """How it ended; ``None`` while it lives."""
        self.settled = Latch()
        """Set when the incarnation is up, or will never be."""
        self.party: Party | None = None
        """Whose life it is, until its supervisor was told of the end, or else every watcher."""

    @property
    def over(self) -> bool:
        """Whether it ended."""
        return self.exit is not None

    def end(self, exit_: Exit) -> bool:
        """Record how it ended and tell the watchers. False if it had ended before.

        Watchers run on this thread; one that raises stops no other.
        """
        if not self._once.acquire(blocking=False):
            return False
        self.exit = exit_
        self.settled.set()
        try:
            taken = [self._take(watch) for watch in [*self._watchers]]
            _tell((watcher for watcher in taken if watcher is not None), exit_)
        finally:
            self.party = None
        return True

    def lose(self, exit_: Exit) -> None:
        """Have it count as ended, and tell nobody."""
        self._once.acquire(blocking=False)
        self._watchers.clear()
        self.party = None
        self.exit = exit_
        self.settled.set()

    def watch(self, watcher: Watcher, until: Life | None = None) -> Watch:
        """Call ``watcher(exit)`` exactly once: at the end, or now if that was before.

        It is taken back when the life ``until``, of who watches, ends first.
        """
        watch = Watch(self)
        self._watchers[watch] = watcher
        if until is not None and until is not self:
            watch.leash = until.watch(lambda _exit: watch.unwatch())
        if self.exit is not None and self._take(watch) is not None:
            _tell((watcher,), self.exit)
        return watch

    def unwatch(self, watch: Watch) -> bool:
        """Take a watcher back; see :meth:`Watch.unwatch`."""
        return self._take(watch) is not None

    def _take(self, watch: Watch) -> Watcher | None:
        """The watcher, for whoever comes first; nobody else tells it, or takes it back."""
        watcher = self._watchers.pop(watch, None)
        leash, watch.leash = watch.leash, None
        if leash is not None:
            leash.unwatch()
        return watcher


class Watch(Handle):
    """One watcher's place at the end of an incarnation."""

    __slots__ = ("_life", "leash")

    def __init__(self, life: Life) -> None:
        self._life = life
        self.leash: Watch | None = None
        """Takes this one back at the end of the actor that watches."""

    def unwatch(self) -> bool:
        """Take the watcher back. False if it was told already, is just now, or was taken back."""
        return self._life.unwatch(self)


def _tell(watchers: Iterable[Watcher], exit_: Exit) -> None:
    call_each(watchers, exit_, log=_log, complaint="a death watcher failed")
