"""The inbox of a supervised actor: two lanes, closable, never blocking a sender.

Invariants, each tested under its name:

1. *Nothing is lost silently*: each envelope is either taken by the actor or refused; a put that
   races with the close is refused by whichever of the two comes second.
2. *System messages first*: a stop, and a supervisor's own messages, overtake user messages.
3. *First in, first out* within a lane.
4. *Bounded on request*: beyond ``capacity`` user messages, ``overflow`` decides which is refused.
   Senders that race may each add one more; none ever waits for room.
5. *No wait at a closed mailbox*: ``close`` wakes the taker, who then gets ``None``.

Refusing means: an ask fails with ``NotDelivered`` (so it may be sent again), a stop counts as done,
a tell is handed to ``on_dead_letter``.
"""

from __future__ import annotations

import contextlib
import enum
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Final

import pykka
from pykka.messages import _ActorStop  # pyright: ignore[reportPrivateUsage]  # how Pykka says stop

from actors.supervision.cancellation import CancellationToken
from actors.supervision.clock import Clock
from actors.supervision.deadlock import PendingWait
from actors.supervision.errors import InvalidSpec, MailboxFull, NotDelivered
from actors.supervision.lifecycle import ActorLifecycle
from actors.supervision.reply import Reply

__all__ = ["UNANSWERED", "Envelope", "Mailbox", "Overflow", "SystemMessage", "is_stop"]


class Envelope:
    """A message and where its answer goes: what Pykka's loop reads from an inbox, duck-typed."""

    __slots__ = ("message", "reply_to")

    def __init__(self, message: Any, reply_to: pykka.Future[Any] | None = None) -> None:
        self.message = message
        self.reply_to = reply_to


class SystemMessage:
    """The base of messages that overtake every other; none of them is ever refused for room."""

    __slots__ = ()


SYSTEM_MESSAGES: Final = (_ActorStop, SystemMessage)
"""The types of the system lane."""

UNANSWERED: Final = object()
"""What :meth:`Mailbox.answer` returns when the message must be put."""


class Overflow(enum.Enum):
    """Which message is refused when a bounded mailbox is full."""

    REJECT = "reject"
    """The new one."""
    DROP_OLDEST = "drop_oldest"
    """The message that has waited longest."""


DeadLetter = Callable[[Any], object]

_WAKE: Final = Envelope(None)
"""Wakes a waiting actor for the system lane; never handled."""


def is_stop(message: object) -> bool:
    """Whether ``message`` is Pykka's order to stop."""
    return isinstance(message, _ActorStop)


def _ignore(_message: Any) -> None:
    """Drop a dead letter: no address counts them."""


class Mailbox:
    """Many senders, one taker. ``put`` may be called from any thread and never blocks.

    It stands for its actor in the search for ask cycles, so it has a name.
    """

    def __init__(
        self,
        capacity: int | None = None,
        overflow: Overflow = Overflow.REJECT,
    ) -> None:
        _check(capacity, overflow)
        # PERF: SimpleQueue is C; a Condition around a deque costs ten times as much a message.
        self._user: SimpleQueue[Envelope] = SimpleQueue()
        self._system: deque[Envelope] = deque()
        self._held: Envelope | None = None
        self._closed = False
        self._why = "the actor has ended"
        self.capacity: Final = capacity
        self.overflow: Final = overflow
        self.refused = 0
        self.on_dead_letter: DeadLetter = _ignore
        self.name = "an actor"
        self.clock: Clock | None = None
        """The clock by which an ask times out; ``None`` for real seconds."""
        self.token: Final = CancellationToken()
        """Cancelled as soon as a stop is put, so that a handler which takes long can see it."""
        self.waiting_for: PendingWait | None = None
        """The reply that the actor's handler waits for."""
        self.lifecycle: ActorLifecycle | None = None
        """That of its actor."""

    def begin(self, loop: Any) -> None:
        """``loop`` was admitted: its thread takes what waits, so there is nothing to do here."""

    @property
    def depth(self) -> int:
        """User messages that wait; approximate while others put and take."""
        return self._user.qsize()

    def put(self, envelope: Any, /) -> None:
        """Take ``envelope`` in, or refuse it."""
        self._address_reply(envelope)
        if isinstance(envelope.message, SYSTEM_MESSAGES):
            self._put_system(envelope)
            self._user.put(_WAKE)
        elif self.capacity is not None and self._user.qsize() >= self.capacity:
            self._overflow(envelope)
        else:
            self._user.put(envelope)
        if self._closed:
            self._refuse_all()

    def answer(self, message: Any) -> Any:  # noqa: ARG002  # see CallingThreadMailbox
        """What ``message`` is answered, if the sender's thread may handle it now; raises what the
        handler raised. Else ``UNANSWERED``, and no handler saw it."""
        return UNANSWERED

    def get(self) -> Any:
        """The next :class:`Envelope`, control before user; ``None`` once closed. Blocks."""
        while not self._closed:
            envelope = self._held or self._user.get()
            self._held = None
            if self._system:
                if envelope is not _WAKE:
                    self._held = envelope
                return self._system.popleft()
            if envelope is not _WAKE:
                return envelope
        return None

    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._system and self._held is None and self._user.empty()

    def close(self, why: str = "the actor has ended") -> None:
        """Refuse what waits, and whatever comes from now on. Idempotent."""
        self._why = why
        self._closed = True
        self._refuse_all()
        self._user.put(_WAKE)

    def invalidate(self, why: str) -> None:
        """Refuse asks, as :meth:`close` does, but report no dead letters."""
        self.on_dead_letter = _ignore
        self.close(why)

    def _address_reply(self, envelope: Envelope) -> None:
        """Note the asked actor on the reply."""
        reply = envelope.reply_to
        if isinstance(reply, Reply):
            reply.target = self

    def _put_system(self, envelope: Envelope) -> None:
        self._system.append(envelope)
        if is_stop(envelope.message):
            self.token.cancel()

    def _overflow(self, envelope: Envelope) -> None:
        """There is no room: refuse ``envelope``, or put it in the place of the oldest."""
        refused: Envelope | None = envelope
        if self.overflow is Overflow.DROP_OLDEST:
            refused = self._take_oldest()
            self._append(envelope)
        if refused is not None:
            full = f"the mailbox of {self.name} holds {self.capacity} messages already"
            self._refuse(refused, MailboxFull(full))

    def _take_oldest(self) -> Envelope | None:
        """The user message that waited longest; ``None`` if it was taken meanwhile."""
        for _ in range(self._user.qsize()):
            try:
                oldest = self._user.get_nowait()
            except Empty:
                return None
            if oldest is not _WAKE:
                return oldest
            self._user.put(_WAKE)  # belongs to a system message, which may not be dropped
        return None

    def _append(self, envelope: Envelope) -> None:
        self._user.put(envelope)

    def _refuse_all(self) -> None:
        with contextlib.suppress(IndexError):  # two threads may empty it at once
            while True:
                self._refuse(self._system.popleft(), NotDelivered(self._why))
        held, self._held = self._held, None
        if held is not None:
            self._refuse(held, NotDelivered(self._why))
        while True:
            try:
                envelope = self._user.get_nowait()
            except Empty:
                return
            if envelope is not _WAKE:
                self._refuse(envelope, NotDelivered(self._why))

    def _refuse(self, envelope: Envelope, error: NotDelivered) -> None:
        reply = envelope.reply_to
        if is_stop(envelope.message):
            if reply is not None:
                reply.set(None)
            return
        self.refused += 1
        if isinstance(reply, Reply):
            reply.refuse(error)
        elif reply is not None:
            reply.set_exception((type(error), error, None))
        elif not isinstance(envelope.message, SystemMessage):  # else no user sent it
            self.on_dead_letter(envelope.message)


def _check(capacity: int | None, overflow: Overflow) -> None:
    if capacity is not None and (type(capacity) is not int or capacity < 1):
        raise InvalidSpec(
            f"mailbox_capacity is {capacity!r}, but must be None or a whole number ≥ 1"
        )
    if not isinstance(overflow, Overflow):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without types
        raise InvalidSpec(f"mailbox_overflow is {overflow!r}, but must be an Overflow")
