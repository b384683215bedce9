"""The life of one incarnation: it ends once, and whoever watches is told exactly once."""

from __future__ import annotations

import logging
from _thread import allocate_lock
from collections.abc import Callable, Iterable

from actors.supervision.exits import Exit
from actors.supervision.foreign import call_each
from actors.supervision.latch import Latch

__all__ = ["Life", "Watch", "Watcher"]

_log = logging.getLogger("actors.supervision")

Watcher = Callable[[Exit], object]


class Life:
    """Begin, end and watchers of one incarnation. Any thread."""

    __slots__ = ("_lock", "_watchers", "exit", "settled")

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._watchers: dict[Watch, Watcher] = {}
        self.exit: Exit | None = None
        """How it ended; ``None`` while it lives."""
        self.settled = Latch()
        """Set when the incarnation is up, or will never be."""

    @property
    def over(self) -> bool:
        """Whether it ended."""
        return self.exit is not None

    def end(self, exit_: Exit) -> bool:
        """Record how it ended and tell the watchers. False if it had ended before.

        Watchers run on this thread, outside the lock; one that raises stops no other.
        """
        with self._lock:
            if self.exit is not None:
                return False
            self.exit = exit_
            watchers, self._watchers = self._watchers, {}
        self.settled.set()
        _tell(watchers.values(), exit_)
        return True

    def watch(self, watcher: Watcher) -> Watch:
        """Call ``watcher(exit)`` exactly once: at the end, or now if that was before."""
        watch = Watch(self)
        with self._lock:
            if self.exit is None:
                self._watchers[watch] = watcher
                return watch
        _tell((watcher,), self.exit)
        return watch

    def unwatch(self, watch: Watch) -> bool:
        """Take a watcher back; see :meth:`Watch.unwatch`."""
        with self._lock:
            return self._watchers.pop(watch, None) is not None


class Watch:
    """One watcher's place at the end of an incarnation."""

    __slots__ = ("_life",)

    def __init__(self, life: Life) -> None:
        self._life = life

    def unwatch(self) -> bool:
        """Take the watcher back. False if it was told already, is just now, or was taken back."""
        return self._life.unwatch(self)


def _tell(watchers: Iterable[Watcher], exit_: Exit) -> None:
    call_each(watchers, exit_, log=_log, complaint="a death watcher failed")
