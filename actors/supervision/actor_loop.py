"""What runs one actor: its envelopes one by one, its way up, its way to die.

All of it is here, and none of it on the actor's own class: a subclass that calls a method ``_run``
or ``_handle`` must not take the place of ours. What differs from Pykka's loop, each a defect of its
way to fail (``docs/why/pykka.md``):

1. The end is announced from the outermost frame of the thread, so no death goes unseen.
2. ``SystemExit``, ``KeyboardInterrupt`` and ``MemoryError`` in a handler end this actor only.
3. An exception on *ask* crashes the actor too, if it is one of its fatal ones.
4. The mailbox closes: an ask either reaches a handler or fails with ``NotDelivered``.
5. A reply may be settled from outside: the first writer wins.

Pykka's registry and its stop event hold a lock; ours hold none. A finalizer may run while another
thread holds such a lock, and call a tree: it would wait for a supervisor that waits for the lock.
One operation of a list needs none, and Pykka reads copies of its registry.
"""

from __future__ import annotations

import contextlib
import threading
import traceback
from collections.abc import Callable, Iterable
from types import CoroutineType
from typing import Any, Final, cast

import pykka
from pykka import ActorRef, ActorRegistry

from actors.supervision.deadlock import LifecycleWait, WaitNode, this_thread
from actors.supervision.errors import ActorCrashed, NotDelivered
from actors.supervision.lifecycle import (
    TRACEBACK_LIMIT,
    ActorLifecycle,
    Cause,
    Exit,
    Failure,
    Latch,
)
from actors.supervision.mailbox import Envelope, Mailbox, is_stop
from actors.supervision.reply import Reply
from actors.supervision.user_code import is_program_interrupt, log, refuse_coroutine

__all__ = ["ActorLoop", "StopFlag", "refs", "register", "unregister"]


_refs: Final = ActorRegistry._actor_refs  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # see above


def refs() -> list[ActorRef[Any]]:
    """Every actor's that lives now."""
    return [*_refs]


def register(ref: ActorRef[Any]) -> None:
    """Add ``ref``, of a new actor."""
    _refs.append(ref)


def unregister(ref: ActorRef[Any]) -> None:
    """Take ``ref`` out, if it is there."""
    with contextlib.suppress(ValueError):
        _refs.remove(ref)


class StopFlag(threading.Event):
    """An ``Event`` without the lock that one holds while it wakes others.

    A finalizer that stops the same actor within ``set`` would wait for it forever.
    """

    def __init__(self) -> None:
        self.latch: Final = Latch()
        """Opened when the actor stops. PERF: reading ``latch.opened`` is not a call."""

    def is_set(self) -> bool:
        """Whether the actor stops."""
        return self.latch.opened

    def set(self) -> None:
        """Stop for good."""
        self.latch.set()

    def clear(self) -> None:
        """Refused: an actor that has stopped stays so."""
        raise RuntimeError("an actor that has stopped can't go on: start another one")

    def wait(self, timeout: float | None = None) -> bool:
        """Wait so long for the stop; return whether it came."""
        return self.latch.wait(timeout)


_ALWAYS_FATAL: Final = (MemoryError, RecursionError)
"""After these the actor's own state is in doubt, on an ask as well."""


class ActorLoop:
    """Runs ``actor`` from ``on_start`` to its end; ``receive`` handles a message."""

    __slots__ = (
        "_admitted",
        "_fatal",
        "_handling",
        "_receive",
        "actor",
        "busy_since",
        "cut_off_reason",
        "exit",
        "interrupt",
        "lifecycle",
        "mailbox",
        "name",
        "now",
        "on_abandoned",
        "start_error",
        "stopped",
        "stopped_by_supervisor",
        "supervised",
        "thread",
    )

    def __init__(
        self,
        actor: pykka.Actor,
        name: str,
        mailbox: Mailbox,
        now: Callable[[], float],
        receive: Callable[[Any], Any],
        fatal: tuple[type[BaseException], ...],
        *,
        supervised: bool,
    ) -> None:
        self.actor: Final = actor
        self.name = name
        self.mailbox: Final = mailbox
        self.lifecycle: Final = ActorLifecycle()
        mailbox.lifecycle = self.lifecycle
        self.lifecycle.node = mailbox
        self.thread: threading.Thread | None = None
        self.busy_since: float | None = None
        """When the current message was taken, by the tree's clock; ``None`` while idle."""
        self.interrupt: BaseException | None = None
        """Ctrl-C, or another word of the user to the program, that hit a handler on its way."""
        self.start_error: BaseException | None = None
        """What ``on_start`` raised; for the supervisor that waits for it."""
        self.stopped_by_supervisor = False
        """Set by the supervisor before it sends the order to stop."""
        self.exit: Exit | None = None
        """How the actor will have ended, as soon as that is decided."""
        self.on_abandoned: Callable[[], Iterable[threading.Thread]] = tuple
        """Ends what lived by the actor, a supervisor's children, and answers the threads that were
        abandoned by it; called by the thread that abandons the actor."""
        self.now = now
        """The tree's clock."""
        self.stopped: Final = cast("StopFlag", actor.actor_stopped).latch
        """Open when the actor takes no further message."""
        self.cut_off_reason = ""
        """Why the result of the current handler is discarded; empty if it is not."""
        self.supervised = supervised
        """Whether a supervisor logs how it ended."""
        self._admitted: Final = Latch()
        self._receive = receive
        self._fatal = (*fatal, *_ALWAYS_FATAL)
        self._handling: Envelope | None = None

    @property
    def stopping(self) -> bool:
        """Whether the actor takes no further message."""
        return self.stopped.opened

    @property
    def busy_for(self) -> float | None:
        """Seconds that the current message has taken so far; ``None`` while idle. Any thread."""
        since = self.busy_since
        return None if since is None else self.now() - since

    def start_thread(self) -> None:
        """Give the actor a thread of its own."""
        # Daemons: a hung actor must not keep the process from exiting.
        self.thread = threading.Thread(target=self._live, name=self.name, daemon=True)
        try:
            self.thread.start()
        except RuntimeError as error:  # no more threads
            self.terminate(Exit.of(Cause.START, error))
            raise

    def _live(self) -> None:
        """The whole lifecycle of the thread; its end is announced whatever happened."""
        this_thread.stack.append(self.mailbox)
        try:
            if self.start_up():
                self._admitted.wait()
                self._receive_loop()
        except BaseException as error:  # noqa: BLE001  # e.g. an exception raised into the thread
            self.exit = self.exit or Exit.of(Cause.CRASH, error)
        finally:
            self.terminate()

    def _receive_loop(self) -> None:
        """Handle envelope by envelope, until stopped or cut off."""
        while not self.stopping:
            envelope = self.mailbox.get()
            if envelope is None:
                return
            if self.lifecycle.terminated:
                self.mailbox.put(envelope)  # closed by now: it refuses what was taken too late
            else:
                self.handle(envelope)
            del envelope  # an idle actor must not keep its last message alive

    def admit(self) -> None:
        """Let the actor handle its messages, as soon as it is up."""
        if not self.lifecycle.terminated:
            self.mailbox.begin(self)
        self._admitted.set()

    def wait_for_admission(self, by: WaitNode | None) -> None:
        """Have asks that come before :meth:`admit` count as waiting for the supervisor ``by``."""
        self.mailbox.waiting_for = LifecycleWait(by, lambda: self._admitted.opened)

    def start_up(self) -> bool:
        """Run ``on_start``; return whether the actor is up."""
        this_thread.starting.append(getattr(self.actor, "address", None))
        try:
            answer = cast("Any", self.actor.on_start)()
            if answer.__class__ is CoroutineType:
                refuse_coroutine(f"{self.name}: on_start", answer)
        except BaseException as error:  # noqa: BLE001  # whatever it was, the starter must hear of it
            self.decide_end(Exit.of(Cause.START, error))
            # The starter chains it; the summary above keeps no frames.
            self.start_error = error
            self._note(error)
            return False
        finally:
            this_thread.starting.pop()
        self.lifecycle.start_finished.set()
        return True

    def handle(self, envelope: Envelope) -> None:
        """Handle one message with all its consequences; never raises."""
        message, reply = envelope.message, envelope.reply_to
        if isinstance(reply, Reply) and reply.withdrawn:
            return
        self._handling, self.busy_since = envelope, self.now()
        try:
            answer = None
            if is_stop(message):
                self._stop()
            else:
                answer = self._receive(message)
                if answer.__class__ is CoroutineType:
                    refuse_coroutine(f"{self.name}: the handler", answer)
        except BaseException as error:  # noqa: BLE001  # sorted by failed
            self.failed(error, reply, asked=reply is not None)
        else:
            if reply is not None:
                reply.set(answer)
        finally:
            self._handling = self.busy_since = None

    def decide_end(self, exit_: Exit) -> None:
        """Take no further message, and end as ``exit_`` says. On the actor's own turn."""
        self.exit = exit_
        self.actor.actor_stopped.set()

    def abandon(self, exit_: Exit) -> None:
        """Cut the actor off: its thread may go on, but its results are discarded. Any thread.

        The asker of the message in hand gets ``ActorCrashed`` now, not ``Timeout`` later.
        """
        self.cut_off_reason = f"{self.name} was abandoned while it handled this"
        self.terminate(exit_)
        envelope = self._handling
        if envelope is not None and isinstance(envelope.reply_to, Reply):
            envelope.reply_to.fail(ActorCrashed(self.cut_off_reason))

    def invalidate(self, why: str) -> None:
        """This process was forked from the actor's: fail every ask, and call no watcher."""
        self.cut_off_reason = why
        self.exit = Exit.of(Cause.CRASH, NotDelivered(why))
        self.lifecycle.invalidate(self.exit)
        self.mailbox.invalidate(why)
        envelope = self._handling
        if envelope is not None and isinstance(envelope.reply_to, Reply):
            lost = ActorCrashed(why)
            envelope.reply_to.fail(lost)
        unregister(self.actor.actor_ref)

    def terminate(self, exit_: Exit | None = None) -> None:
        """Close the mailbox, then announce the end. Idempotent: watchers are called once."""
        self.actor.actor_stopped.set()
        unregister(self.actor.actor_ref)
        self._admitted.set()
        self.mailbox.token.cancel()
        self.mailbox.close()
        self.lifecycle.end(exit_ or self.exit or Exit(Cause.NORMAL))

    def failed(
        self, error: BaseException, reply: pykka.Future[Any] | None, *, asked: bool
    ) -> BaseException:
        """Decide what an exception means, an answer or the end; return what the asker hears."""
        ordinary = isinstance(error, Exception)
        reported = error if ordinary else ActorCrashed(f"{self.name} crashed: {Failure(error)}")
        if reply is not None:
            # Before on_failure runs, which is foreign code and may take its time.
            reply.set_exception((type(reported), reported, None))
        if not asked or not ordinary or isinstance(error, self._fatal):
            self._note(error)
            self._crash(error)
        return reported

    def _note(self, error: BaseException) -> None:
        """Keep what is meant for the program, for whose thread this runs on."""
        if is_program_interrupt(error):
            self.interrupt = error

    def _crash(self, error: BaseException) -> None:
        self.decide_end(Exit.of(Cause.CRASH, error))
        if not self.supervised:  # else its supervisor says so, once
            trace = "".join(traceback.format_exception(error, limit=TRACEBACK_LIMIT))
            extra = {"actor": self.name, "stack": trace}
            log.error("actor %s crashed: %s", self.name, self.exit, extra=extra)
        try:
            self.actor.on_failure(type(error), error, error.__traceback__)
        except BaseException as failure:  # noqa: BLE001  # foreign code; the crash itself is what counts
            self._note(failure)
            log.exception("on_failure of %s failed", self.name)

    def _stop(self) -> None:
        """Pykka's order to stop, on the actor's turn."""
        self.decide_end(Exit(Cause.SHUTDOWN if self.stopped_by_supervisor else Cause.NORMAL))
        self.mailbox.token.cancel()
        try:
            self.actor.on_stop()
        except BaseException as error:  # noqa: BLE001  # recorded as how it ended
            self.exit = Exit.of(Cause.CRASH, error)
            self._note(error)
            log.exception("on_stop of %s failed", self.name)
