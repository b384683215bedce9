"""What a supervisor does about an event: a pure function, no threads, no clock, no actors.

``plan(state, event) -> (state, actions)``. The rules are OTP's (``supervisor.erl``); the shell in
``base_supervisor`` executes the actions in order and feeds back what came of them.

Rules of this file: every decision about restarting is made here; nothing here waits.

The tables of children are what changes: ordered ones may be restarted together, unordered ones
alone. Both pass their events to :func:`plan`, on the supervisor's thread only; ``members`` may be
read from any.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from actors.supervision.spec import AutoShutdown, Restart, Strategy

__all__ = [
    "Action",
    "ChildState",
    "ChildTable",
    "Ended",
    "Event",
    "GiveUp",
    "OrderedChildren",
    "Plan",
    "Remove",
    "RestartFailed",
    "RetryDue",
    "ScheduleRestart",
    "ShutDown",
    "Start",
    "Status",
    "Stop",
    "SupervisorState",
    "UnorderedChildren",
    "plan",
]


class Status(enum.Enum):
    """The status of a child."""

    UP = "up"
    DOWN = "down"
    """Ended for good, or stopped; its specification is kept."""
    RESTARTING = "restarting"
    """Waiting for the next attempt, its own or that of a sibling it is restarted with."""


@dataclass(frozen=True, slots=True)
class ChildState:
    """A child as the plan sees it."""

    id: str
    restart: Restart = Restart.PERMANENT
    status: Status = Status.UP
    significant: bool = False
    attempt: int = 0
    """The number of the attempt that it waits for, while restarting."""

    def waits_for(self, attempt: int) -> bool:
        """Whether it comes back with the attempt of that number."""
        return self.status is Status.RESTARTING and self.attempt == attempt


@dataclass(frozen=True, slots=True)
class SupervisorState:
    """Children in start order, the moments of the latest restarts (seconds), and how many attempts
    there were: each has a number, so that the timer of an earlier one is known to be stale."""

    strategy: Strategy
    intensity: int
    period: float
    members: tuple[ChildState, ...] = ()
    restarts: tuple[float, ...] = ()
    auto_shutdown: AutoShutdown = AutoShutdown.NEVER
    attempts: int = 0

    def find(self, child: str) -> ChildState | None:
        """The member with that id."""
        return next((each for each in self.members if each.id == child), None)

    @property
    def exhausted(self) -> bool:
        """Whether the restart intensity is exceeded."""
        return len(self.restarts) > self.intensity

    def mark(self, child: str, status: Status) -> SupervisorState:
        """With ``child`` in ``status``."""
        return self._with({child}, status, 0)

    def wait(self, children: Collection[str], attempt: int) -> SupervisorState:
        """With ``children`` restarting, in the attempt with that number."""
        return self._with(children, Status.RESTARTING, attempt)

    def without(self, child: str) -> SupervisorState:
        """With ``child`` forgotten."""
        return replace(self, members=tuple(each for each in self.members if each.id != child))

    def _with(self, children: Collection[str], status: Status, attempt: int) -> SupervisorState:
        members = tuple(
            replace(each, status=status, attempt=attempt) if each.id in children else each
            for each in self.members
        )
        return replace(self, members=members)


@dataclass(frozen=True, slots=True)
class Ended:
    """A child ended by itself."""

    child: str
    abnormal: bool
    now: float


@dataclass(frozen=True, slots=True)
class RestartFailed:
    """A child that was to be restarted did not start."""

    child: str
    now: float


@dataclass(frozen=True, slots=True)
class RetryDue:
    """The delay before the attempt with this number is over."""

    child: str
    attempt: int


Event: TypeAlias = Ended | RestartFailed | RetryDue


@dataclass(frozen=True, slots=True)
class Start:
    """Start this child and mark it up; if it fails, drop the rest of the actions and report it."""

    child: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop this child within its shutdown."""

    child: str


@dataclass(frozen=True, slots=True)
class Remove:
    """Drop this child's specification."""

    child: str


@dataclass(frozen=True, slots=True)
class ScheduleRestart:
    """Come back with :class:`RetryDue` after the child's backoff, through the mailbox."""

    child: str
    attempt: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Too many restarts: stop all children in reverse order and end."""

    restarts: int


@dataclass(frozen=True, slots=True)
class ShutDown:
    """Significant children ended, this one last: stop all children in reverse order and end."""

    child: str


Action: TypeAlias = Start | Stop | Remove | ScheduleRestart | GiveUp | ShutDown
Plan: TypeAlias = tuple[SupervisorState, tuple[Action, ...]]


def plan(state: SupervisorState, event: Event) -> Plan:
    """What to do about ``event``: the state after it, and the actions in order."""
    return _RULES[type(event)](state, event)


def _ended(state: SupervisorState, event: Ended) -> Plan:
    """The truth table of restart type and reason (OTP, "Child ended by itself")."""
    member = state.find(event.child)
    if member is None:
        return state, ()
    if member.restart is Restart.TEMPORARY:
        state = state.without(member.id)
        return state, (Remove(member.id), *_shut_down(state, member))
    if member.restart is Restart.TRANSIENT and not event.abnormal:
        state = state.mark(member.id, Status.DOWN)
        return state, _shut_down(state, member)
    state = _count(state, event.now)
    if state.exhausted:
        return state, (GiveUp(len(state.restarts)),)
    state, stops = _stop(state, _others(state, member))
    return _wait(state, member, stops)


def _shut_down(state: SupervisorState, ended: ChildState) -> tuple[Action, ...]:
    """Whether the end of a child that stays away ends the supervisor, too."""
    if not ended.significant or state.auto_shutdown is AutoShutdown.NEVER:
        return ()
    others = any(each.significant and each.status is not Status.DOWN for each in state.members)
    if others and state.auto_shutdown is AutoShutdown.ALL_SIGNIFICANT:
        return ()
    return (ShutDown(ended.id),)


def _start_failed(state: SupervisorState, event: RestartFailed) -> Plan:
    """Try again. Those of the group that did start stay up until then, as in OTP."""
    member = state.find(event.child)
    if member is None:
        return state, ()
    state = _count(state, event.now)
    if state.exhausted:
        return state, (GiveUp(len(state.restarts)),)
    return _wait(state, member)


def _count(state: SupervisorState, now: float) -> SupervisorState:
    """With one restart more, and a new number for the attempt."""
    window = (now, *(each for each in state.restarts if each >= now - state.period))
    return replace(state, restarts=window, attempts=state.attempts + 1)


def _wait(state: SupervisorState, member: ChildState, stops: tuple[Action, ...] = ()) -> Plan:
    """Have ``member``, and those of its group that are down with it, wait for the new attempt."""
    group = _others(state, member)
    waiting = {member.id, *(each.id for each in group if each.status is Status.RESTARTING)}
    return state.wait(waiting, state.attempts), (*stops, ScheduleRestart(member.id, state.attempts))


def _retry(state: SupervisorState, event: RetryDue) -> Plan:
    """Apply the strategy: stop those that are up again; start all in start order.

    If the child itself was stopped by hand while it waited, its siblings come back without it.
    """
    waiting = tuple(each for each in state.members if each.waits_for(event.attempt))
    member = next((each for each in waiting if each.id == event.child), None)
    group = waiting if member is None else _concerned(state, member)
    state, stops = _stop(state, tuple(each for each in group if each not in waiting))
    starting = [each.id for each in group if state.find(each.id) is not None]
    return state.wait(starting, event.attempt), (*stops, *(Start(each) for each in starting))


def _stop(state: SupervisorState, group: tuple[ChildState, ...]) -> Plan:
    """Stop those of ``group`` that are up, in reverse order, until the next attempt.

    Temporary ones are removed.
    """
    up = [each.id for each in group if each.status is Status.UP]
    gone = [each.id for each in group if each.restart is Restart.TEMPORARY]
    state = state.wait(up, state.attempts)
    for each in gone:
        state = state.without(each)
    return state, (*(Stop(each) for each in reversed(up)), *(Remove(each) for each in gone))


def _others(state: SupervisorState, member: ChildState) -> tuple[ChildState, ...]:
    """Which children are restarted with ``member``, without itself."""
    return tuple(each for each in _concerned(state, member) if each.id != member.id)


def _concerned(state: SupervisorState, member: ChildState) -> tuple[ChildState, ...]:
    """Which children are restarted with ``member``, in start order."""
    match state.strategy:
        case Strategy.ONE_FOR_ONE:
            return (member,)
        case Strategy.ONE_FOR_ALL:
            return state.members
        case Strategy.REST_FOR_ONE:
            return state.members[_position(state, member) :]


def _position(state: SupervisorState, member: ChildState) -> int:
    return next(i for i, each in enumerate(state.members) if each.id == member.id)


_RULES: Final[Mapping[type, Callable[[SupervisorState, Any], Plan]]] = {
    Ended: _ended,
    RestartFailed: _start_failed,
    RetryDue: _retry,
}


class ChildTable:
    """The members of one supervisor by id, in start order: no step but a plan looks at several."""

    def __init__(self, state: SupervisorState) -> None:
        self._state = state
        self._members: dict[str, ChildState] = {}

    @property
    def members(self) -> Sequence[ChildState]:
        """All of them, in start order."""
        return [*self._members.values()]

    @property
    def restarts(self) -> int:
        """How many restarts the period has seen."""
        return len(self._state.restarts)

    def find(self, child: str) -> ChildState | None:
        """The member with that id."""
        return self._members.get(child)

    def add(self, member: ChildState) -> None:
        """Add a new one, as the last."""
        self._members[member.id] = member

    def mark(self, child: str, status: Status) -> None:
        """Note the status of a member, if it is known."""
        member = self._members.get(child)
        if member is not None:
            self._members[child] = replace(member, status=status, attempt=0)

    def drop(self, child: str) -> None:
        """Remove a member, if it is known."""
        self._members.pop(child, None)

    def plan(self, event: Event) -> tuple[Action, ...]:
        """What to do about ``event``."""
        raise NotImplementedError

    def _plan(self, members: tuple[ChildState, ...], event: Event) -> Plan:
        """The plan for ``members``; what it counted is kept."""
        after, actions = plan(replace(self._state, members=members), event)
        self._state = replace(after, members=())
        return after, actions


class OrderedChildren(ChildTable):
    """Members in start order that may be restarted together."""

    def plan(self, event: Event) -> tuple[Action, ...]:
        """See :class:`ChildTable`."""
        after, actions = self._plan(tuple(self._members.values()), event)
        self._members = {each.id: each for each in after.members}
        return actions


class UnorderedChildren(ChildTable):
    """Members that share nothing but the restart intensity.

    Each event goes to the plan as if its child were the only one, so that an event costs no more
    with ten thousand children than with ten.
    """

    def __init__(self, intensity: int, period: float) -> None:
        super().__init__(SupervisorState(Strategy.ONE_FOR_ONE, intensity, period))

    def plan(self, event: Event) -> tuple[Action, ...]:
        """See :class:`ChildTable`."""
        member = self._members.get(event.child)
        if member is None:
            return ()
        after, actions = self._plan((member,), event)
        for changed in after.members:
            self._members[changed.id] = changed
            if changed.status is Status.DOWN:
                # OTP: there is no way to start it again, so nothing of it is kept.
                return (*actions, Remove(changed.id))
        return actions
