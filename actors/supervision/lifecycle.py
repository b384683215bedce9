"""The lifecycle of one incarnation: how it ended, and its watchers, each called exactly once.

There is no lock, which a finalizer could find taken by its own thread: the thread that takes a
watcher out of the dict is the one that calls it. An end is kept without pinning a single frame.
"""

from __future__ import annotations

import enum
import logging
import threading
import traceback
from _thread import allocate_lock
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Self

from actors.supervision.deadlock import WaitNode
from actors.supervision.user_code import Handle, call_all

__all__ = ["ActorLifecycle", "Cause", "DeathWatch", "Exit", "Failure", "Latch", "Watcher"]


TRACEBACK_LIMIT: Final = -50
"""The innermost frames that a summary keeps: a runaway recursion must not cost a megabyte."""


class Cause(enum.Enum):
    """Why an incarnation ended."""

    NORMAL = "normal"
    """It stopped by itself, or was stopped from outside the tree."""
    SHUTDOWN = "shutdown"
    """Its supervisor stopped it; for a supervisor also: it gave up, or shut down by itself."""
    CRASH = "crash"
    """A handler or ``on_stop`` raised."""
    START = "start"
    """``on_start`` raised, or took longer than ``start_within``."""
    HUNG = "hung"
    """It was busy for too long and was abandoned; its thread may still run, fenced."""


class Failure:
    """What was raised: type, text and traceback, without the exception and its frames."""

    __slots__ = ("_summary", "message", "type")

    def __init__(self, error: BaseException) -> None:
        summary = traceback.TracebackException(
            type(error), error, error.__traceback__, limit=TRACEBACK_LIMIT, lookup_lines=False
        )
        self.type: Final = type(error).__qualname__
        self.message: Final = str(summary)
        self._summary: Final = summary

    @property
    def traceback(self) -> str:
        """The traceback as Python prints it. Formatted on each call; source lines are read now."""
        return "".join(self._summary.format())

    def __str__(self) -> str:
        return f"{self.type}: {self.message}" if self.message else self.type

    def __repr__(self) -> str:
        return f"Failure({self!s})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Failure):
            return NotImplemented
        return self.type == other.type and self.message == other.message

    def __hash__(self) -> int:
        return hash((self.type, self.message))


_ABNORMAL: Final = frozenset({Cause.CRASH, Cause.START, Cause.HUNG})


@dataclass(frozen=True, slots=True)
class Exit:
    """The end of one incarnation.

    ``error`` is the summary of what was raised. A supervisor that gave up ends, as in OTP, with
    ``Cause.SHUTDOWN``, which is not abnormal; its ``error`` is then a ``GaveUp``.
    """

    cause: Cause
    error: Failure | None = None

    @classmethod
    def of(cls, cause: Cause, error: BaseException) -> Self:
        """The exit that ``error`` caused."""
        return cls(cause, Failure(error))

    @property
    def abnormal(self) -> bool:
        """Whether a transient child is restarted after it."""
        return self.cause in _ABNORMAL

    def __str__(self) -> str:
        return self.cause.value if self.error is None else f"{self.cause.value} ({self.error})"


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
