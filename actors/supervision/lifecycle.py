"""The lifecycle of one incarnation: it ends once, and each watcher is called exactly once.

There is no lock, which a finalizer could find taken by its own thread: the thread that takes a
watcher out of the dict is the one that calls it.
"""

from __future__ import annotations

import logging
import threading
from _thread import allocate_lock
from collections.abc import Callable, Iterable

from actors.supervision.arguments import Handle
from actors.supervision.callbacks import call_all
from actors.supervision.deadlock import WaitNode
from actors.supervision.exit import Exit

__all__ = ["ActorLifecycle", "DeathWatch", "Latch", "Watcher"]


class Latch:
    """Closed until :meth:`set` was called, and open ever after. Any thread.

    PERF: two raw locks. An ``Event`` does the same and is a kilobyte, one for each idle actor; and
    it holds a lock while it allocates, so a finalizer that sets it could wait for itself.
    """

    __slots__ = ("_gate", "_once", "opened")

    def __init__(self) -> None:
        self.opened = False
        """Whether :meth:`set` was called."""
        self._once = allocate_lock()
        self._gate = allocate_lock()
        self._gate.acquire()

    def set(self) -> None:
        """Release all current and future waiters. Idempotent."""
        if self._once.acquire(blocking=False):
            self.opened = True
            self._gate.release()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait so long (``None``: forever) for the latch to open; return whether it is."""
        if self.opened:  # a finalizer may come here while its own thread passes the gate below
            return True
        timeout = -1.0 if seconds is None else min(max(0.0, seconds), threading.TIMEOUT_MAX)
        if not self._gate.acquire(timeout=timeout):
            return self.opened
        self._gate.release()
        return True


_log = logging.getLogger("actors.supervision")

Watcher = Callable[[Exit], object]


class ActorLifecycle:
    """Begin, end and watchers of one incarnation. Any thread."""

    __slots__ = ("_once", "_watchers", "exit", "node", "start_finished")

    def __init__(self) -> None:
        self._once = allocate_lock()
        self._watchers: dict[DeathWatch, Watcher] = {}
        self.exit: Exit | None = None
        """How it ended; ``None`` while it lives."""
        self.start_finished = Latch()
        """Set when the incarnation is up, or will never be."""
        self.node: WaitNode | None = None
        """Whose lifecycle it is, until its supervisor, or else every watcher, has the end."""

    @property
    def terminated(self) -> bool:
        """Whether it ended."""
        return self.exit is not None

    def end(self, exit_: Exit) -> bool:
        """Record how it ended and call the watchers. False if it had ended before.

        Watchers run on this thread; one that raises stops no other.
        """
        if not self._once.acquire(blocking=False):
            return False
        self.exit = exit_
        self.start_finished.set()
        try:
            taken = [self._take(watch) for watch in [*self._watchers]]
            _call((watcher for watcher in taken if watcher is not None), exit_)
        finally:
            self.node = None
        return True

    def invalidate(self, exit_: Exit) -> None:
        """Have it count as ended, and call no watcher."""
        self._once.acquire(blocking=False)
        self._watchers.clear()
        self.node = None
        self.exit = exit_
        self.start_finished.set()

    def watch(self, watcher: Watcher, until: ActorLifecycle | None = None) -> DeathWatch:
        """Call ``watcher(exit)`` exactly once: at the end, or now if that was before.

        It is unregistered when ``until``, the lifecycle of the watching actor, ends first.
        """
        watch = DeathWatch(self)
        self._watchers[watch] = watcher
        if until is not None and until is not self:
            watch.owner_watch = until.watch(lambda _exit: watch.unwatch())
        if self.exit is not None and self._take(watch) is not None:
            _call((watcher,), self.exit)
        return watch

    def unwatch(self, watch: DeathWatch) -> bool:
        """Unregister a watcher; see :meth:`DeathWatch.unwatch`."""
        return self._take(watch) is not None

    def _take(self, watch: DeathWatch) -> Watcher | None:
        """The watcher, for the first caller; ``None`` for any other."""
        watcher = self._watchers.pop(watch, None)
        owner_watch, watch.owner_watch = watch.owner_watch, None
        if owner_watch is not None:
            owner_watch.unwatch()
        return watcher


class DeathWatch(Handle):
    """One registered watcher of an incarnation's end."""

    __slots__ = ("_lifecycle", "owner_watch")

    def __init__(self, lifecycle: ActorLifecycle) -> None:
        self._lifecycle = lifecycle
        self.owner_watch: DeathWatch | None = None
        """Unregisters this one at the end of the watching actor."""

    def unwatch(self) -> bool:
        """Unregister the watcher. False if it was called, is being called, or was unregistered."""
        return self._lifecycle.unwatch(self)


def _call(watchers: Iterable[Watcher], exit_: Exit) -> None:
    call_all(watchers, exit_, log=_log, error_message="a death watcher failed")
