"""An actor without a thread.

The sender of a message takes the turn, if it is free, and runs the mailbox to empty (Akka calls
it CallingThreadDispatcher, others flat combining). One message at a time, first in first out, and
the same way to crash; an ask costs microseconds, because no thread has to wake up.

The price: handlers run on the asker's thread, so they must take microseconds, do no I/O and
call no foreign code; ``timeout=`` can't protect a caller whose own thread runs the turn.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from _thread import allocate_lock
from collections import deque
from functools import partial
from types import CoroutineType
from typing import Any, Final

from pykka.messages import ProxyCall, ProxyGetAttr, ProxySetAttr

from actors.supervision.actor import Supervised, launch
from actors.supervision.actor_loop import ActorLoop
from actors.supervision.deadlock import running, this_thread
from actors.supervision.errors import ActorCrashed, NotDelivered
from actors.supervision.mailbox import SYSTEM_MESSAGES, UNANSWERED, Envelope, Mailbox, Overflow
from actors.supervision.user_code import refuse_coroutine

__all__ = ["CallingThreadActor"]

MAX_MESSAGES_PER_TURN: Final = 64
"""Messages that one sender handles before it may go (Akka's throughput is of that order): under a
flood it bounds the work that one sender does for the others."""


MAX_NESTED_TURNS: Final = 16
"""Actors that may run on top of each other on one thread, each asked by the one below: the next
one is handed to another thread, or a long chain would end in a ``RecursionError`` of the last."""


_NOT_FOR_ON_RECEIVE: Final = (*SYSTEM_MESSAGES, ProxyCall, ProxyGetAttr, ProxySetAttr)
"""Messages that ``on_receive`` does not see."""


class CallingThreadMailbox(Mailbox):
    """A mailbox whose putter runs the actor."""

    def __init__(self, capacity: int | None = None, overflow: Overflow = Overflow.REJECT) -> None:
        super().__init__(capacity, overflow)
        # PERF: a deque's append and popleft are atomic and a third of a SimpleQueue's price.
        self._envelopes: deque[Envelope] = deque()
        self._turn = allocate_lock()
        self.loop: ActorLoop | None = None

    def begin(self, loop: ActorLoop) -> None:
        """Handle what waits for ``loop``, and from now on whatever comes."""
        self.loop = loop
        self.run()

    @property
    def depth(self) -> int:
        """Messages that wait."""
        return len(self._envelopes)

    def put(self, envelope: Any, /) -> None:
        """Take ``envelope`` in and, if the turn is free, handle what waits."""
        self._address_reply(envelope)
        if isinstance(envelope.message, SYSTEM_MESSAGES):
            self._put_system(envelope)
        elif self.capacity is not None and len(self._envelopes) >= self.capacity:
            self._overflow(envelope)
        else:
            self._envelopes.append(envelope)
        if self._closed:
            self._refuse_all()
        else:
            self.run()

    def answer(self, message: Any) -> Any:
        """See :class:`Mailbox`. It is what :meth:`put` and :meth:`run` do with one message that
        finds the turn free and nothing before it, without an envelope, a reply and a wait.

        PERF: one function from here to the handler and back, because most requests ask.
        """
        loop, stack, turn = self.loop, this_thread.stack, self._turn
        if (
            loop is None
            or len(stack) >= MAX_NESTED_TURNS
            or isinstance(message, _NOT_FOR_ON_RECEIVE)
        ):
            return UNANSWERED
        answer = error = None
        stack.append(self)
        try:
            if not turn.acquire(blocking=False):
                return UNANSWERED
            try:
                if self._system or self._envelopes or self._closed:
                    return UNANSWERED
                loop.busy_since = loop.now()
                try:
                    answer = loop.actor.on_receive(message)
                    if answer.__class__ is CoroutineType:
                        refuse_coroutine(f"{self.name}: the handler", answer)
                except BaseException as caught:  # noqa: BLE001  # sorted by failed
                    error = loop.failed(caught, None, asked=True)
                finally:
                    loop.busy_since = None
                if loop.stopped.opened:
                    _terminate(loop)
            finally:
                turn.release()
        finally:
            stack.pop()
        if self._system or self._envelopes:  # as in run; one of this sender's share is done
            self.run(MAX_MESSAGES_PER_TURN - 1)
        if error is None and not loop.cut_off_reason:
            return answer
        try:
            raise (
                ActorCrashed(loop.cut_off_reason) if error is None or loop.cut_off_reason else error
            )
        finally:
            error = None  # its traceback holds this frame: a cycle, see Reply.forget_error

    def run(self, most: int | None = MAX_MESSAGES_PER_TURN) -> None:
        """Handle up to ``most`` waiting envelopes; a thread that handles them already goes on."""
        system, envelopes, turn, loop = self._system, self._envelopes, self._turn, self.loop
        if loop is None:
            return  # not up yet: what waits is handled as soon as it is
        stack = this_thread.stack
        if len(stack) >= MAX_NESTED_TURNS:
            self._hand_over_backlog()
            return
        left = sys.maxsize if most is None else most
        # Before the turn is taken: a finalizer that asks this actor from within must be refused.
        stack.append(self)
        try:
            # Looked at again after the turn was given back: a message that came in between, whose
            # sender found the turn taken, would wait forever.
            while (system or envelopes) and turn.acquire(blocking=False):
                try:
                    while (system or envelopes) and left:
                        left -= 1
                        try:
                            envelope = (system or envelopes).popleft()
                        except (
                            IndexError
                        ):  # refused meanwhile: its place was needed, or the mailbox closed
                            continue
                        self._next(loop, envelope)
                finally:
                    turn.release()
                if not left:
                    self._hand_over_backlog()
                    return
        finally:
            stack.pop()

    def _hand_over_backlog(self) -> None:
        """Let a thread that lives no longer than the backlog do the rest."""
        if self.empty():
            return
        try:
            name = f"{self.name}-backlog"
            threading.Thread(target=self.run, args=(None,), name=name, daemon=True).start()
        except RuntimeError:  # no more threads: better a slow caller than a lost message
            self.run(None)

    def close(self, why: str = "the actor has ended") -> None:
        """Refuse what waits, and whatever comes from now on."""
        self._why = why
        self._closed = True
        self._refuse_all()

    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._system and not self._envelopes

    def _take_oldest(self) -> Envelope | None:
        try:
            return self._envelopes.popleft()
        except IndexError:
            return None

    def _append(self, envelope: Envelope) -> None:
        self._envelopes.append(envelope)

    def _refuse_all(self) -> None:
        # Without the turn: a handler that hangs may hold it forever.
        with contextlib.suppress(IndexError):  # empty, or emptied by another thread
            while True:
                self._refuse((self._system or self._envelopes).popleft(), NotDelivered(self._why))

    def _next(self, loop: ActorLoop, envelope: Envelope) -> None:
        if self._closed:
            self._refuse(envelope, NotDelivered(self._why))
            return
        loop.handle(envelope)
        if loop.stopping:
            _terminate(loop)


class CallingThreadActor(Supervised):
    """A supervised actor whose handlers run on the sender's thread, one at a time."""

    @classmethod
    def _create_actor_inbox(cls) -> CallingThreadMailbox:
        return CallingThreadMailbox(cls.mailbox_capacity, cls.mailbox_overflow)

    def _start_actor_loop(self) -> None:
        launch(self, partial(_start, self._supervised_loop))


def _start(loop: ActorLoop) -> None:
    """Run ``on_start`` on the thread that starts the actor."""
    with running(loop.mailbox):
        if not loop.start_up():
            _terminate(loop)


def _terminate(loop: ActorLoop) -> None:
    """Announce the end; then pass on what hit the actor on its sender's thread, as Ctrl-C does."""
    loop.terminate()
    interrupt, loop.interrupt = loop.interrupt, None
    if interrupt is not None:
        raise interrupt
