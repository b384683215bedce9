"""What every kind of supervisor does: receives the ends of its children, and executes the plan.

An actor itself: it handles one thing at a time, so nothing of it is locked. Deaths, retries and
calls reach it as system messages, ahead of any user message; one about an incarnation that is not
the current one is stale and ignored. If a supervisor ends by itself, its children end before its
end is announced; if it is abandoned, the thread that abandons it ends them.
"""

from __future__ import annotations

import logging
import random
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Final

from actors.supervision.actor import Supervised, TreeContext
from actors.supervision.actor_loop import ActorLoop
from actors.supervision.child_runner import AbandonedThreads, ChildRunner, HangDetector
from actors.supervision.errors import GaveUp, StartFailed, UnknownChild
from actors.supervision.events import SupervisorGaveUp, SupervisorShutDown
from actors.supervision.lifecycle import Cause, Exit
from actors.supervision.mailbox import Envelope, SystemMessage
from actors.supervision.plan import (
    Action,
    ChildState,
    ChildTable,
    Ended,
    Event,
    GiveUp,
    Remove,
    RestartFailed,
    RetryDue,
    ScheduleRestart,
    ShutDown,
    Start,
    Status,
    Stop,
)
from actors.supervision.spec import Child, SupervisorFlags

__all__ = ["BackoffOver", "BaseSupervisor", "CheckHung", "ChildDown", "RunInSupervisor"]


@dataclass(frozen=True, slots=True)
class ChildDown(SystemMessage):
    """The incarnation ``loop`` of ``child`` ended by itself."""

    child: str
    loop: ActorLoop
    exit: Exit


@dataclass(frozen=True, slots=True)
class BackoffOver(SystemMessage):
    """A child's backoff is over."""

    event: RetryDue


@dataclass(frozen=True, slots=True)
class RunInSupervisor(SystemMessage):
    """Run ``work(supervisor)`` on the supervisor's thread and answer its result."""

    work: Callable[[Any], Any]


class CheckHung(SystemMessage):
    """Time to look whether a child hangs."""


_log = logging.getLogger("actors.supervision")

ORPHANS_SHUTDOWN: Final = 5.0
"""Seconds that a child of an abandoned supervisor has to stop if its ``shutdown`` is ``None``."""


class BaseSupervisor(Supervised):
    """The shell around the plan: every effect, no decision."""

    def __init__(self, flags: SupervisorFlags, table: ChildTable) -> None:
        super().__init__()
        context = self._actor_start_context
        if context is None:
            raise RuntimeError("start a supervisor with Supervisor.start or as Supervisor.child")
        # A supervisor is asked by the tree's methods only, whose timeouts are in real seconds.
        self.address.clock = self._supervised_loop.mailbox.clock = None
        self._path: Final = context.path
        self._tree: Final[TreeContext] = context.tree
        self._flags: Final = flags
        self._table: Final = table
        self._children: Final[dict[str, ChildRunner]] = {}
        self._abandoned: Final = AbandonedThreads()
        self._hang_detector: Final = HangDetector(
            context.tree.clock, self._children, partial(self._post, CheckHung())
        )
        self._supervised_loop.on_abandoned = self._end_orphans
        self.lifecycle.watch(self._release_undeclared)
        # Not for secrets: spreads restarts in time.
        self._rng: Final = random.Random()  # noqa: S311

    # The hooks: all on the supervisor's own thread.

    def on_receive(self, message: Any) -> Any:
        """Handle a death, a retry, a call, or the time to look for hung children."""
        try:
            return self._dispatch(message)
        finally:
            self._gave_up_on_abandoned()

    def _dispatch(self, message: Any) -> Any:
        match message:
            case RunInSupervisor():
                return message.work(self)
            case ChildDown():
                self._on_down(message)
            case BackoffOver():
                self._decide(message.event)
            case CheckHung():
                self._hang_detector.check()
            case _:
                super().on_receive(message)
        return None

    def on_stop(self) -> None:
        """Stop every child."""
        self._stop_all()

    def on_failure(
        self,
        exception_type: type[BaseException] | None,  # noqa: ARG002  # Pykka's signature
        exception_value: BaseException | None,  # noqa: ARG002
        traceback: TracebackType | None,  # noqa: ARG002
    ) -> None:
        """Crashed: the children must not outlive it."""
        self._stop_all()

    # For trees.

    @property
    def strategy(self) -> str:
        """Which children end with one that ended. Any thread."""
        return str(self._flags.strategy.value)

    def snapshot(self) -> list[tuple[ChildRunner, Status]]:
        """The children in start order, with where they stand. Any thread; also after the end."""
        known = ((self._children.get(each.id), each.status) for each in self._table.members)
        return [(child, status) for child, status in known if child is not None]

    @abstractmethod
    def stop_child(self, child_id: str) -> None:
        """Stop a child within its ``shutdown``."""

    def kill_child(self, child_id: str) -> None:
        """Abandon a child's incarnation; what follows is as for any end of its own.

        Raises ``ChildStateError`` if it has none.
        """
        self._find(child_id).kill()

    # The shell around ``plan``.

    @abstractmethod
    def _stop_all(self, longest: float | None = None) -> None:
        """Stop every child and mark it down; wait ``longest`` for one without a ``shutdown``."""

    @property
    def _declared(self) -> frozenset[str]:
        """The ids of the children that come back when the supervisor itself is restarted."""
        return frozenset()

    def _end_orphans(self) -> AbandonedThreads:
        """Stop the children of an abandoned supervisor, on the caller's thread."""
        self._stop_all(ORPHANS_SHUTDOWN)
        return self._abandoned

    def _release_undeclared(self, _exit: Exit) -> None:
        """It ended: asks to a child that was not declared must not wait for a successor."""
        if not self._path:
            return  # the root: it has no successor, and all addresses are marked stopped
        declared = self._declared
        for child in [*self._children.values()]:
            if child.spec.id not in declared:
                self._remove_address(child)

    def _leave_registry(self) -> None:
        """Take every child out of Pykka's registry, the first one first."""
        # PERF: the registry is a list, searched from its front. Of ten thousand children that leave
        # it in any other order, each would be looked for among all others.
        for child in [*self._children.values()]:
            child.leave_registry()

    def _add(self, spec: Child) -> ChildRunner:
        """Start a new child, as the last one; nothing is kept of one that fails to start."""
        mailbox = self._supervised_loop.mailbox
        child = ChildRunner(spec, self._path_of(spec.id), self._tree, self._abandoned, mailbox)
        self._children[spec.id] = child
        self._table.add(ChildState(spec.id, spec.restart, significant=spec.significant))
        try:
            self._bring_up(child)
        except BaseException:
            self._drop(spec.id)
            if spec.id not in self._declared:  # else the supervisor's next incarnation has it again
                self._remove_address(child)
            raise
        return child

    def _bring_up(self, child: ChildRunner) -> None:
        self._check_not_abandoned(child)
        child.start(partial(self._post_down, child.spec.id))
        self._check_not_abandoned(child)
        try:
            self._hang_detector.arm(child.spec.hang_after)
        except RuntimeError as error:  # no thread for the clock: a hang would go unnoticed
            child.stop(ORPHANS_SHUTDOWN)
            raise StartFailed(child.spec.id, error) from error
        self._table.mark(child.spec.id, Status.UP)

    def _check_not_abandoned(self, child: ChildRunner) -> None:
        """Its children were ended when it was abandoned: start no more of them."""
        if self.lifecycle.terminated:
            child.stop(ORPHANS_SHUTDOWN)
            cause = RuntimeError(f"{self.name} was abandoned meanwhile")
            raise StartFailed(child.spec.id, cause)

    def _on_down(self, down: ChildDown) -> None:
        child = self._children.get(down.child)
        if child is None or child.loop is not down.loop:
            return  # stale: of an incarnation that was stopped or replaced meanwhile
        child.ended(down.exit)
        self._decide(Ended(down.child, down.exit.abnormal, self._tree.clock.monotonic()))
        if self.actor_stopped.is_set():
            return  # gave up: a supervisor above may bring everything back
        member = self._table.find(down.child)
        if member is not None and member.status is Status.DOWN:
            self._tree.table.mark_stopped(child.path)

    def _decide(self, event: Event) -> None:
        for action in self._table.plan(event):
            if not self._execute(action):
                break

    def _execute(self, action: Action) -> bool:
        """Carry one action out; False if the rest of the plan is void."""
        match action:
            case Stop(child):
                self._children[child].stop()
                return not self._gave_up_on_abandoned()
            case Start(child):
                return self._start_again(self._children[child])
            case Remove(child):
                self._forget(child)
            case ScheduleRestart(child, attempt):
                self._retry_later(RetryDue(child, attempt))
            case GiveUp(restarts):
                period = self._flags.period
                self._give_up(f"{restarts} restarts within {period:g} seconds")
            case ShutDown(child):
                self._tree.events.publish(SupervisorShutDown(self.name, child))
                self._end(Exit(Cause.SHUTDOWN))
        return True

    def _start_again(self, child: ChildRunner) -> bool:
        try:
            self._bring_up(child)
        except StartFailed as error:
            child.last_exit = Exit.of(Cause.START, error)
            if not self.lifecycle.terminated and not self._gave_up_on_abandoned():
                self._decide(RestartFailed(child.spec.id, self._tree.clock.monotonic()))
            return False
        return True

    def _retry_later(self, due: RetryDue) -> None:
        # Through the mailbox even without a delay: a stop can get in between.
        delay = self._children[due.child].delay(self._rng)
        if delay > 0:
            try:
                self._tree.clock.call_later(delay, partial(self._post, BackoffOver(due)))
            except RuntimeError:  # no thread for the clock: too early is better than never
                _log.exception("no timer for the restart of %s: it is tried at once", due.child)
                self._post(BackoffOver(due))
        else:
            self._post(BackoffOver(due))

    def _gave_up_on_abandoned(self) -> bool:
        """Whether too many abandoned threads run: replacing more would only add to them."""
        count = len(self._abandoned)
        if count <= self._flags.max_abandoned or self.actor_stopped.is_set():
            return False
        self._give_up(f"{count} abandoned threads still run")
        return True

    def _give_up(self, reason: str) -> None:
        """End with ``SHUTDOWN``, as in OTP: only a permanent supervisor is started again."""
        self._tree.events.publish(SupervisorGaveUp(self.name, self._table.restarts, reason))
        self._end(Exit.of(Cause.SHUTDOWN, GaveUp(f"{self.name}: {reason}")))

    def _end(self, exit_: Exit) -> None:
        """End by its own decision; the children first."""
        self._supervised_loop.decide_end(exit_)
        self._stop_all()

    def _post(self, message: SystemMessage) -> None:
        """Send ``message`` to this supervisor itself. Any thread."""
        self._supervised_loop.mailbox.put(Envelope(message))

    def _post_down(self, child_id: str, loop: ActorLoop, exit_: Exit) -> None:
        if not loop.stopped_by_supervisor:
            self._post(ChildDown(child_id, loop, exit_))
        loop.lifecycle.node = (
            None  # asks that wait for a successor wait for this supervisor from now on
        )

    def _find(self, child_id: str) -> ChildRunner:
        child = self._children.get(child_id)
        if child is None:
            known = ", ".join(self._children) or "none"
            raise UnknownChild(f"{self.name} has no child {child_id!r}; it has: {known}")
        return child

    def _forget(self, child_id: str) -> None:
        child = self._drop(child_id)
        if child is not None:
            self._remove_address(child)

    def _drop(self, child_id: str) -> ChildRunner | None:
        self._table.drop(child_id)
        return self._children.pop(child_id, None)

    def _remove_address(self, child: ChildRunner) -> None:
        """It will not be started again: asks fail at once."""
        if child.owns_address:
            self._tree.table.remove(child.path)

    def _path_of(self, child_id: str) -> str:
        return f"{self._path}/{child_id}" if self._path else child_id
