"""One child as its supervisor holds it: starting, stopping and abandoning its incarnations.

The effects of a supervisor's plan, one child at a time. Runs on the supervisor's thread only.
"""

from __future__ import annotations

import random
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Final, NoReturn, cast

from actors.supervision.actor import (
    HandoverState,
    StartContext,
    Supervised,
    TreeContext,
    detach_from_tree,
    is_plain_start,
    start_with_context,
)
from actors.supervision.actor_loop import ActorLoop, unregister
from actors.supervision.clock import Clock, Timer
from actors.supervision.deadlock import LifecycleWait, WaitNode, waiting_for_lifecycle
from actors.supervision.errors import ChildStateError, StartFailed
from actors.supervision.events import ChildAbandoned, ChildEnded, ChildRestarting, ChildStarted
from actors.supervision.lifecycle import Cause, Exit, Latch
from actors.supervision.spec import Child
from actors.supervision.user_code import log

__all__ = ["AbandonedThreads", "ChildRunner", "HangDetector"]

CHECKS_PER_HANG_AFTER: Final = 4
"""How often within the shortest ``hang_after`` hung children are looked for."""


class HangDetector:
    """Looks for hung children as long as there is one that may hang. The supervisor's thread only.

    ``remind()`` is called on the clock's thread and must lead to :meth:`check` on the supervisor's.
    """

    def __init__(
        self, clock: Clock, children: Mapping[str, ChildRunner], remind: Callable[[], object]
    ) -> None:
        self._clock = clock
        self._children = children
        self._remind = remind
        self._timer: Timer | None = None
        self._due = 0.0

    def arm(self, hang_after: float | None) -> None:
        """A child is up that hangs if a message takes it longer than ``hang_after`` seconds."""
        if hang_after is None:
            return
        due = self._clock.monotonic() + hang_after / CHECKS_PER_HANG_AFTER
        if self._timer is not None:
            if self._due <= due:
                return
            self._timer.cancel()
        self._due = due
        self._timer = self._clock.call_later(hang_after / CHECKS_PER_HANG_AFTER, self._remind)

    def check(self) -> None:
        """Abandon every child that hangs, and arm the next check."""
        self._timer = None
        now = self._clock.monotonic()
        children = [*self._children.values()]
        for child in children:
            child.abandon_if_hung(now)
        limits = [child.spec.hang_after for child in children]
        self.arm(min((each for each in limits if each is not None), default=None))


OnEnd = Callable[[ActorLoop, Exit], object]


class AbandonedThreads:
    """The threads of abandoned incarnations."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []

    def __len__(self) -> int:
        """How many of them still run."""
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        return len(self._threads)

    def __iter__(self) -> Iterator[threading.Thread]:
        """Each of them, the dead included."""
        return iter(self._threads)

    def add(self, thread: threading.Thread) -> None:
        """Count ``thread`` as long as it runs."""
        self._threads.append(thread)


class ChildRunner:
    """The incarnations of one child, at most one of them up."""

    def __init__(
        self,
        spec: Child,
        path: str,
        tree: TreeContext,
        abandoned: AbandonedThreads,
        supervisor: WaitNode | None = None,
    ) -> None:
        self.spec = spec
        self.path: Final = path
        self.address: Final = tree.table.register(path)
        """The child's address, the same for all its incarnations."""
        # An abandoned supervisor may still be at it while its successor brings up its own.
        self.address.set_owner(self, supervisor)
        self.loop: ActorLoop | None = None
        self.failures = 0
        self.last_exit: Exit | None = None
        self._tree = tree
        self._supervisor = supervisor
        self._handover = HandoverState()
        self._up_since = 0.0
        self._not_ended: dict[ActorLoop, None] = {}
        self._abandoned = abandoned

    def start(self, on_end: OnEnd) -> None:
        """Bring a new incarnation up; ``on_end(loop, exit)`` is called when it ends.

        Raises :class:`StartFailed` when it is not up within ``start_within`` seconds.
        """
        spec = self.spec
        # Each incarnation gets a state of its own: an abandoned one may go on saving.
        self._handover = HandoverState(self._handover.state if spec.hand_over else None)
        awaits_admission = is_plain_start(spec.start)
        loop = self._make(
            StartContext(
                self.path, self.address, self._tree, self._handover, self, awaits_admission
            )
        )
        try:
            self._wait_until_up(loop)
            if awaits_admission:
                loop.wait_for_admission(self._supervisor)
            # In this order: once the incarnation answers, the listeners have seen its event.
            self._tree.events.publish(ChildStarted(self.path, self.address.begin_epoch()))
            self.address.set_running(loop.mailbox, loop.lifecycle, self)
            loop.lifecycle.watch(partial(on_end, loop))
        finally:
            loop.admit()

    def _wait_until_up(self, loop: ActorLoop) -> None:
        spec, start_finished = self.spec, loop.lifecycle.start_finished
        self._not_ended[loop] = None
        self.address.set_starting(loop.mailbox, loop.lifecycle, self)
        with waiting_for_lifecycle(LifecycleWait(loop.mailbox, partial(start_finished.wait, 0))):
            up = self._tree.clock.wait(start_finished.wait, spec.start_within)
        error = loop.start_error
        if not up:
            self._abandon(loop)
            error = TimeoutError(f"on_start took longer than {spec.start_within:g} s")
        if error is not None:
            self.address.clear(loop.mailbox)
            del self._not_ended[loop]
            raise StartFailed(spec.id, error)
        self.loop = loop
        self._up_since = self._tree.clock.monotonic()

    def ended(self, exit_: Exit) -> None:
        """Note that the current incarnation ended by itself."""
        if self._tree.clock.monotonic() - self._up_since >= self.spec.backoff.reset_after:
            self.failures = 0
        if self.loop is not None:
            self._gone(self.loop, exit_)
        self._log_end(exit_)

    @property
    def owns_address(self) -> bool:
        """Whether the child's address is still this one's, and not a successor's."""
        return self.address.owner is self

    def stop(self, longest: float | None = None) -> None:
        """Stop the current incarnation; abandon it if it takes longer than its ``shutdown``, or
        than ``longest`` seconds where that is ``None``."""
        self.order_to_stop()
        self.wait_for_end(longest if self.spec.shutdown is None else self.spec.shutdown)

    def kill(self) -> None:
        """Abandon the current incarnation, whatever it does. Raises ``ChildStateError`` without."""
        loop = self.loop
        if loop is None or loop.lifecycle.terminated:
            raise ChildStateError(f"child {self.spec.id!r} is not up: nothing to kill", "down")
        self._abandon(loop, "it was killed")

    def leave_registry(self) -> None:
        """Have Pykka's registry forget the current incarnation, which is about to be stopped."""
        if self.loop is not None:
            unregister(self.loop.actor.actor_ref)

    def order_to_stop(self) -> None:
        """Tell the current incarnation to stop, and don't wait."""
        loop = self.loop
        if loop is not None:
            loop.stopped_by_supervisor = True
            if self.spec.shutdown != 0:
                loop.actor.actor_ref.stop(block=False)

    def wait_for_end(self, within: float | None) -> None:
        """Wait for the end that was ordered; after ``within`` seconds abandon the incarnation."""
        loop = self.loop
        if loop is None:
            return
        ended = Latch()  # bears any number of seconds, as a shutdown may be
        loop.lifecycle.watch(lambda _exit: ended.set())
        with waiting_for_lifecycle(LifecycleWait(loop.mailbox, partial(ended.wait, 0))):
            in_time = self._tree.clock.wait(ended.wait, within)
        if not in_time:
            self._abandon(loop)
        self._gone(loop, loop.lifecycle.exit or Exit(Cause.SHUTDOWN))

    def never_again(self) -> None:
        """Keep nothing of what the child was started with: it will not be started again."""
        self.spec = replace(self.spec, start=_never)

    def abandon_if_hung(self, now: float) -> bool:
        """Cut the incarnation off if its current message takes longer than ``hang_after``."""
        loop, limit = self.loop, self.spec.hang_after
        # Read once: the actor's own thread may be done with the message between two looks.
        since = None if loop is None else loop.busy_since
        if loop is None or limit is None or since is None or now - since <= limit:
            return False
        self._abandon(loop)
        return True

    def delay(self, rng: random.Random) -> float:
        """Seconds until the next attempt, by the backoff and how often it failed lately."""
        delay = self.spec.backoff.delay(self.failures, rng)
        self.failures += 1
        self._tree.events.publish(ChildRestarting(self.path, delay))
        return delay

    def _make(self, context: StartContext) -> ActorLoop:
        try:
            loop, others = context.take(start_with_context(context, self.spec.start))
            for each in others:
                detach_from_tree(cast("Supervised", each.actor))
            return loop
        except BaseException as error:  # e.g. sys.exit() in a constructor: not the supervisor's end
            context.stop_created()
            if isinstance(error, StartFailed):
                raise
            raise StartFailed(self.spec.id, error) from error

    def _gone(self, loop: ActorLoop, exit_: Exit) -> None:
        # An abandoned supervisor, and the thread that ends its children, may see the same end.
        if self._not_ended.pop(loop, loop) is loop:
            return
        self.loop = None
        self.last_exit = exit_
        self.address.clear(loop.mailbox)
        self._tree.events.publish(ChildEnded(self.path, exit_))

    def _abandon(self, loop: ActorLoop, why: str = "it did not end in time") -> None:
        stack = _stack_of(loop.thread)
        log.error("abandoned %s: %s", self.path, why, extra={"stack": stack})
        self._tree.events.publish(ChildAbandoned(self.path, stack))
        loop.abandon(Exit(Cause.HUNG))
        if loop.thread is not None:
            self._abandoned.add(loop.thread)
        for thread in loop.on_abandoned():
            self._abandoned.add(thread)

    def _log_end(self, exit_: Exit) -> None:
        if exit_.abnormal:
            trace = exit_.error.traceback if exit_.error is not None else ""
            log.error("%s ended: %s", self.path, exit_, extra={"stack": trace})
        else:
            log.info("%s ended: %s", self.path, exit_)


def _never() -> NoReturn:
    raise AssertionError("a temporary child is never started again")


def _stack_of(thread: threading.Thread | None) -> str:
    """Where ``thread`` currently is, as Python prints it."""
    frame = sys._current_frames().get(thread.ident or 0) if thread is not None else None  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # documented
    return "".join(traceback.format_stack(frame)) if frame is not None else ""
