"""The children of one supervisor: ordered ones may be restarted together, unordered ones alone.

Both pass their events to :func:`~actors.supervision.plan.plan`. Changed on the supervisor's thread
only; ``members`` may be read from any.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from actors.supervision.plan import (
    Action,
    ChildState,
    Event,
    Plan,
    Remove,
    Status,
    SupervisorState,
    plan,
)
from actors.supervision.spec import Strategy

__all__ = ["ChildTable", "OrderedChildren", "UnorderedChildren"]


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
