"""The address of a child: a name that survives its restarts.

``NotDelivered`` proves that a message was never handled, so :meth:`Address.ask` may send it again
to the next incarnation, within its timeout. An exception of the handler, or a timeout, proves
nothing and is never retried.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar, overload

from actors.supervision.clock import Clock
from actors.supervision.errors import AskCycle, MailboxFull, NotDelivered
from actors.supervision.exits import Exit
from actors.supervision.life import Life, Watch
from actors.supervision.mailbox import Letter
from actors.supervision.reply import Reply
from actors.supervision.waits import here

__all__ = ["Address", "Question"]

_log = logging.getLogger("actors.supervision")

R = TypeVar("R")

LOGGED_DEAD_LETTERS: Final = 10
"""Dead letters of one address that are logged one by one; after that each power of two is."""


class Question(Generic[R]):
    """The base of a message that promises the type of its answer: ``ask`` returns ``R``."""

    __slots__ = ()


class Address:
    """Where to send messages for one child of a tree. Any thread; never stale."""

    def __init__(self, path: str, clock: Clock | None = None, book: object = None) -> None:
        self.path: Final = path
        self.book: Final = book
        """Where the addresses of its tree are; ``None`` outside of one."""
        self.clock = clock
        """By whose seconds its timeouts go: the tree's; ``None`` for the real ones."""
        self.epoch = 0
        """How many incarnations there were so far."""
        self.dead_letters = 0
        """Messages told to nobody: the actor was down, or died before it handled them."""
        self.owner: object = None
        """Who brings the child up; nobody else may point the address to an incarnation."""
        self._inbox: Any = None
        self._life: Life | None = None
        self._retired = False
        self._changed = threading.Condition()

    def __repr__(self) -> str:
        state = "up" if self.alive else "down"
        return f"<Address {self.path} {state}, epoch {self.epoch}>"

    @property
    def id(self) -> str:
        """The child's id: the last part of its path."""
        return self.path.rpartition("/")[2]

    @property
    def alive(self) -> bool:
        """Whether an incarnation is up now."""
        return self._inbox is not None

    def tell(self, message: Any) -> None:
        """Send ``message`` and forget it. Never raises: to a dead actor it is a dead letter."""
        inbox = self._inbox
        if inbox is None:
            self.dead_letter(message)
        else:
            inbox.put(Letter(message))

    @overload
    def ask(self, message: Question[R], *, timeout: float) -> R: ...

    @overload
    def ask(self, message: Any, *, timeout: float) -> Any: ...

    def ask(self, message: Any, *, timeout: float) -> Any:
        """Send ``message`` and wait up to ``timeout`` seconds, by the tree's clock, for its answer.

        While the actor is down, waits for its next incarnation. Raises what the handler raised,
        ``pykka.Timeout``, ``NotDelivered`` (no incarnation handled it in time; ``MailboxFull`` at
        once), or ``AskCycle``.
        """
        inbox, left = self._inbox, timeout
        if inbox is not None:
            reply = Reply()
            inbox.put(Letter(message, reply))
            try:
                return reply.get(timeout=timeout)
            except BaseException as error:
                reply.forget_error()
                # One of our own mailbox, and not one that the handler met and passed on.
                refused = reply.refused and isinstance(error, NotDelivered)
                if not refused or isinstance(error, MailboxFull):
                    raise
                left -= reply.waited
        return self._ask_next(message, inbox, left)

    def watch(self, watcher: Callable[[Exit], object]) -> Watch:
        """Call ``watcher(exit)`` once, when the current incarnation ends; now if none is up.

        The answer takes it back: ``watch.unwatch()``.
        """
        life = self._life
        if life is None:
            raise NotDelivered(f"{self.path} was never started: there is nothing to watch")
        return life.watch(watcher)

    def wait_up(self, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds for an incarnation; tell whether one is up."""
        return self._wait_until(lambda: self._inbox is not None, timeout)

    def dead_letter(self, message: Any) -> None:
        """Count a message that nobody will handle; log it, unless there were many."""
        self.dead_letters += 1
        count = self.dead_letters
        if count <= LOGGED_DEAD_LETTERS or count & (count - 1) == 0:
            _log.warning(
                "dead letter",
                extra={"address": self.path, "count": count, "letter": type(message).__name__},
            )

    def begin_epoch(self) -> int:
        """Count a new incarnation, before it is pointed to. Called by its supervisor only."""
        self.epoch += 1
        return self.epoch

    def point_to(self, inbox: Any, life: Life, owner: object = None) -> None:
        """Send everything to a new incarnation from now on, if ``owner`` still brings them up."""
        with self._changed:
            if self.owner is not owner:
                return
            self._retired = False
            self._life = life
            self._inbox = inbox
            self._changed.notify_all()

    def clear(self, inbox: Any) -> None:
        """The incarnation with ``inbox`` is gone."""
        with self._changed:
            if self._inbox is inbox:
                self._inbox = None

    def retire(self) -> None:
        """No successor is to be expected: askers fail now. A new incarnation may come anyway."""
        with self._changed:
            self._retired, self._inbox = True, None
            self._changed.notify_all()

    def _ask_next(self, message: Any, refused_by: Any, timeout: float) -> Any:
        """Try every incarnation that comes within ``timeout``, after ``refused_by``."""
        self._check_not_rising()
        now = time.monotonic if self.clock is None else self.clock.monotonic
        deadline = now() + timeout
        while True:
            inbox = self._next_inbox(refused_by, deadline - now())
            if inbox is None:
                raise NotDelivered(self._why_down(timeout))
            reply = Reply()
            inbox.put(Letter(message, reply))
            try:
                return reply.get(timeout=deadline - now())
            except NotDelivered as error:
                if not reply.refused or isinstance(error, MailboxFull):
                    raise
                refused_by = inbox

    def _check_not_rising(self) -> None:
        """Raise ``AskCycle`` if it is this thread that brings up who is asked, or a child of it."""
        for rising in here.rising:
            if isinstance(rising, Address) and (
                rising is self
                or (
                    (rising.book is self.book is not None)
                    and rising.path.startswith(f"{self.path}/")
                )
            ):
                cycle = (rising.path, self.path) if rising is self else None
                raise AskCycle(cycle or (rising.path, self.path, rising.path))

    def _why_down(self, waited: float) -> str:
        if self._retired:
            return f"{self.path} has ended, and nobody is going to start it again"
        return f"{self.path} was down for {max(0.0, waited):g} seconds"

    def _next_inbox(self, refused_by: Any, timeout: float) -> Any:
        """The inbox of an incarnation other than that of ``refused_by``; ``None`` in vain."""
        found: Any = None

        def settled() -> bool:
            # NOTE: kept as it was seen under the lock: looked at again it may have died meanwhile,
            # and then its successor is waited for, which only its refusal leads to.
            nonlocal found
            found = None if self._inbox is refused_by else self._inbox
            return self._retired or found is not None

        self._wait_until(settled, timeout)
        return found

    def _wait_until(self, settled: Callable[[], bool], timeout: float) -> bool:
        """Wait until ``settled()``, which may become so with a change only; tell whether it is."""

        def ready(seconds: float | None) -> bool:
            with self._changed:
                return self._changed.wait_for(settled, seconds)

        left = min(max(0.0, timeout), threading.TIMEOUT_MAX)
        return ready(left) if self.clock is None else self.clock.wait(ready, left)
