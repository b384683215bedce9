"""The address of a child: a name that survives its restarts.

``NotDelivered`` proves that a message was never handled, so :meth:`Address.ask` may send it again
to the next incarnation, within its timeout. An exception of the handler, or a timeout, proves
nothing and is never retried.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Generic, TypeVar, cast, overload

from actors.supervision.clock import Clock
from actors.supervision.deadlock import SuccessorWait, WaitNode, blocked_on, this_thread
from actors.supervision.errors import AskCycle, MailboxFull, NotDelivered, UnknownChild
from actors.supervision.lifecycle import ActorLifecycle, DeathWatch, Exit, Latch
from actors.supervision.mailbox import UNANSWERED, Envelope, Mailbox
from actors.supervision.reply import Reply
from actors.supervision.user_code import Handle, check_callable, check_seconds, log

__all__ = ["Address", "AddressTable", "Question", "watch_from_current_actor"]

R = TypeVar("R")

LOGGED_DEAD_LETTERS: Final = 10
"""Dead letters of one address that are logged one by one; after that each power of two is."""


class Question(Generic[R]):
    """The base of a message that promises the type of its answer: ``ask`` returns ``R``."""

    __slots__ = ()


class _Slot:
    """One owner's view of an address; the next owner gets a slot of its own.

    So an abandoned supervisor that still runs writes to a slot that is no longer read.
    """

    __slots__ = ("inbox", "lifecycle", "owner", "starting", "stopped_reason", "supervisor")

    def __init__(
        self, owner: object, supervisor: WaitNode | None, lifecycle: ActorLifecycle | None
    ) -> None:
        self.owner = owner
        self.supervisor = supervisor
        """The supervisor, which has to act before an incarnation is up."""
        self.lifecycle = lifecycle
        """Of the current incarnation or, while none is up, of the last one."""
        self.inbox: Any = None
        """Of the incarnation that is up."""
        self.starting: Any = None
        """The inbox of the one that starts: it takes tells, and handles them once it is up."""
        self.stopped_reason = ""
        """Why no successor is to be expected; empty if one is."""


class Address(Handle):
    """Where to send messages for one child of a tree. Any thread; never stale."""

    def __init__(self, path: str, clock: Clock | None = None, table: object = None) -> None:
        self.path: Final = path
        self.table: Final = table
        """Where the addresses of its tree are; ``None`` outside of one."""
        self.clock = clock
        """By whose seconds its timeouts go: the tree's; ``None`` for the real ones."""
        self.epoch = 0
        """How many incarnations there were so far."""
        self.dead_letters = 0
        """Tells that were not handled: the actor was down, or died before it handled them."""
        self._slot = _Slot(None, None, None)
        # No lock, which a finalizer could find taken by its own thread: a waiting thread adds a
        # latch and checks again; a change is written first, and then opens every latch.
        self._waiting: dict[Latch, None] = {}

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
        return self._slot.inbox is not None

    @property
    def owner(self) -> object:
        """The :class:`ChildRunner` that starts the child; only it may change the incarnation."""
        return self._slot.owner

    def tell(self, message: Any) -> None:
        """Send ``message`` and forget it. Never raises: to a dead actor it is a dead letter."""
        inbox = self._slot.inbox or self._slot.starting
        if inbox is None:
            self.dead_letter(message)
        else:
            inbox.put(Envelope(message))

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
        try:
            patient = timeout >= 0
        except TypeError:
            patient = False
        if not patient:  # PERF: one comparison for whom it is right
            check_seconds(f"{self.path}: the timeout of ask", timeout)
        inbox = self._slot.inbox
        if inbox is None:
            return self._ask_next(message, None, timeout)
        answer = inbox.answer(message)
        return self._ask_and_wait(inbox, message, timeout) if answer is UNANSWERED else answer

    def watch(self, watcher: Callable[[Exit], object]) -> DeathWatch:
        """Call ``watcher(exit)`` once, when the current incarnation ends; now if none is up.

        ``watch.unwatch()`` of what is returned takes it back. So does the end of the actor that
        watches: the one whose method ``watcher`` is, else the one whose handler calls this.
        """
        check_callable(f"{self.path}: watch", watcher)
        lifecycle = self._slot.lifecycle
        if lifecycle is None:
            raise NotDelivered(f"{self.path} was never started: there is nothing to watch")
        return watch_from_current_actor(lifecycle, watcher)

    def wait_up(self, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds for an incarnation; return whether one is up."""
        check_seconds(f"{self.path}: the timeout of wait_up", timeout)
        return self._wait_for(lambda: self._slot.inbox, timeout) is not None

    def dead_letter(self, message: Any) -> None:
        """Count a message that will not be handled; log it, unless there were many."""
        self.dead_letters += 1
        count = self.dead_letters
        if count <= LOGGED_DEAD_LETTERS or count & (count - 1) == 0:
            kind = type(message).__name__
            extra = {"address": self.path, "count": count, "envelope": kind}
            log.warning("dead letter for %s: %s, number %d", self.path, kind, count, extra=extra)

    def begin_epoch(self) -> int:
        """Count a new incarnation, before it is pointed to. Called by its supervisor only."""
        self.epoch += 1
        return self.epoch

    def set_owner(self, owner: object, supervisor: WaitNode | None = None) -> None:
        """From now on ``owner`` starts the incarnations; ``supervisor`` is its supervisor."""
        self._slot = _Slot(owner, supervisor, self._slot.lifecycle)

    def set_starting(self, inbox: Any, lifecycle: ActorLifecycle, owner: object = None) -> None:
        """An incarnation starts: it takes tells and watchers already, but no asks."""
        slot = self._slot
        if slot.owner is owner:
            slot.starting, slot.lifecycle = inbox, lifecycle

    def set_running(self, inbox: Any, lifecycle: ActorLifecycle, owner: object = None) -> None:
        """Send everything to a new incarnation from now on, if ``owner`` still brings them up."""
        slot = self._slot
        if slot.owner is owner:
            slot.stopped_reason = ""
            slot.lifecycle = lifecycle
            slot.inbox = inbox
            slot.starting = None
            self._wake()

    def clear(self, inbox: Any) -> None:
        """The incarnation with ``inbox`` is gone."""
        slot = self._slot
        if slot.inbox is inbox:
            slot.inbox = None
        if slot.starting is inbox:
            slot.starting = None

    def mark_stopped(self, why: str = "has ended, and will not be started again") -> None:
        """No successor is to be expected: askers fail now. A new incarnation may come anyway."""
        slot = self._slot
        slot.stopped_reason, slot.inbox, slot.starting = why, None, None
        self._wake()

    def _wake(self) -> None:
        for latch in [*self._waiting]:
            latch.set()

    def _ask_and_wait(self, inbox: Any, message: Any, timeout: float) -> Any:
        """Wait for the answer of the incarnation with ``inbox``, or of its successors."""
        reply, left = Reply(), timeout
        inbox.put(Envelope(message, reply))
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

    def _ask_next(self, message: Any, refused_by: Any, timeout: float) -> Any:
        """Try every incarnation that comes within ``timeout``, after ``refused_by``."""
        self._check_not_starting()
        now = time.monotonic if self.clock is None else self.clock.monotonic
        deadline = now() + timeout
        while True:
            inbox = self._next_inbox(refused_by, deadline - now())
            if inbox is None:
                raise NotDelivered(self._why_down(timeout))
            reply = Reply()
            inbox.put(Envelope(message, reply))
            try:
                return reply.get(timeout=deadline - now())
            except NotDelivered as error:
                if not reply.refused or isinstance(error, MailboxFull):
                    raise
                refused_by = inbox

    def _check_not_starting(self) -> None:
        """Raise ``AskCycle`` if this thread is starting the asked actor, or a child of it."""
        for starting in this_thread.starting:
            if isinstance(starting, Address) and (
                starting is self
                or (
                    (starting.table is self.table is not None)
                    and starting.path.startswith(f"{self.path}/")
                )
            ):
                cycle = (starting.path, self.path) if starting is self else None
                raise AskCycle(cycle or (starting.path, self.path, starting.path))

    def _why_down(self, waited: float) -> str:
        if self._slot.stopped_reason:
            return f"{self.path} {self._slot.stopped_reason}"
        return f"{self.path} was down for {max(0.0, waited):g} seconds"

    def _next_inbox(self, refused_by: Any, timeout: float) -> Any:
        """The inbox of an incarnation other than that of ``refused_by``; ``None`` on timeout."""

        def look() -> Any:
            slot = self._slot
            found = None if slot.inbox is refused_by else slot.inbox
            return _NONE_EXPECTED if found is None and slot.stopped_reason else found

        found = self._wait_for(look, timeout)
        return None if found is _NONE_EXPECTED else found

    def _successor_comes_from(self) -> WaitNode | None:
        """The actor that has to act next: the one that is ending, then its supervisor."""
        slot = self._slot
        ending = (
            None if slot.lifecycle is None or slot.starting is not None else slot.lifecycle.node
        )
        return slot.supervisor if ending is None else ending

    def _wait_for(self, look: Callable[[], Any], timeout: float) -> Any:
        """Wait until ``look()`` is not ``None``, which only a change brings about; return it.

        Raises ``AskCycle`` if what has to act, the incarnation that is ending or its supervisor,
        waits for this very thread.
        """
        found = look()
        if found is not None or timeout <= 0:
            return found

        def ready(seconds: float | None) -> bool:
            # NOTE: kept as it was seen: looked at again it may have died meanwhile, and then its
            # successor is waited for, which only its refusal leads to.
            nonlocal found
            deadline = time.monotonic() + (threading.TIMEOUT_MAX if seconds is None else seconds)
            while True:
                latch = Latch()
                self._waiting[latch] = None
                try:
                    found = look()
                    if found is not None or expected.error is not None:
                        return True
                    if not latch.wait(deadline - time.monotonic()):
                        return False
                finally:
                    del self._waiting[latch]

        expected = SuccessorWait(self._successor_comes_from, lambda: look() is not None, self._wake)
        left = min(timeout, threading.TIMEOUT_MAX)
        with blocked_on(expected):
            _ = ready(left) if self.clock is None else self.clock.wait(ready, left)
        if expected.error is not None:
            raise expected.error
        return found


_NONE_EXPECTED: Final = object()
"""Stands for the next incarnation where none is to be expected."""


def watch_from_current_actor(
    lifecycle: ActorLifecycle, watcher: Callable[[Exit], object]
) -> DeathWatch:
    """Have ``watcher`` watch ``lifecycle`` for as long as the actor lives that watches."""
    function: Any = watcher
    while isinstance(function, partial):
        function = cast("partial[object]", function).func
    bound = getattr(function, "__self__", None)
    inbox: Any = getattr(bound, "actor_inbox", None)  # of an actor, or of its ref
    if not isinstance(inbox, Mailbox):
        inbox = this_thread.stack[-1] if this_thread.stack else None
    return lifecycle.watch(watcher, None if inbox is None else inbox.lifecycle)


MAX_LISTED_PATHS: Final = 20
"""Paths that the message about an unknown one lists."""


class AddressTable:
    """Every address of one tree, by path; outlives nested supervisors. Any thread.

    No lock, which a finalizer could find taken by its own thread: each step is one operation of a
    dict, and the second of two threads sees what the first did.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock
        self._addresses: dict[str, Address] = {}
        # PERF: without it, forgetting one of ten thousand children would look at all of them.
        self._below: dict[str, dict[str, None]] = {}

    def register(self, path: str) -> Address:
        """The address of ``path``, made now if it is new."""
        address = self._addresses.get(path)
        if address is None:
            address = self._addresses.setdefault(path, Address(path, self._clock, self))
            parent = _parent(path)
            while True:
                siblings = self._below.setdefault(parent, {})
                siblings[path] = None
                if self._below.get(parent) is siblings:
                    break  # else the parent was removed meanwhile, and its list with it
        return address

    def find(self, path: str) -> Address:
        """The address of ``path``. Raises :class:`UnknownChild`."""
        address = self._addresses.get(path)
        if address is None:
            known = sorted(self._addresses)
            listed, more = (
                ", ".join(known[:MAX_LISTED_PATHS]),
                ", …" if len(known) > MAX_LISTED_PATHS else "",
            )
            raise UnknownChild(f"there is no child {path!r}; there are: {listed or 'none'}{more}")
        return address

    def remove(self, path: str) -> None:
        """Forget ``path`` and whatever is below it: the child was deleted."""
        self._below.get(_parent(path), {}).pop(path, None)
        removed = [path]
        for each in removed:  # grows while it is walked
            removed.extend(self._below.pop(each, ()))
        for each in removed:
            address = self._addresses.pop(each, None)
            if address is not None:
                address.mark_stopped()

    def mark_stopped(self, path: str) -> None:
        """Expect no successor for ``path`` nor for what is below it; ``""`` is the whole tree."""
        found = [path]
        for each in found:  # grows while it is walked
            found.extend(self._below.get(each, ()))
        for address in [self._addresses.get(each) for each in found]:
            if address is not None:
                address.mark_stopped()

    def all(self) -> list[Address]:
        """Every address, in the order of entering."""
        return [*self._addresses.values()]


def _parent(path: str) -> str:
    return path.rpartition("/")[0]
