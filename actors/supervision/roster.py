"""What a plan knows of the children: who there is, in which order, where each one stands."""

from __future__ import annotations

import enum
from collections.abc import Collection
from dataclasses import dataclass, replace

from actors.supervision.spec import Restart

__all__ = ["AutoShutdown", "Member", "State", "Status", "Strategy"]


class Strategy(enum.Enum):
    """Who is restarted with a child that ended (OTP's words)."""

    ONE_FOR_ONE = "one_for_one"
    """That child alone."""
    ONE_FOR_ALL = "one_for_all"
    """All of them."""
    REST_FOR_ONE = "rest_for_one"
    """That child and those started after it."""


class AutoShutdown(enum.Enum):
    """Whether a supervisor ends when significant children ended by themselves (OTP's words)."""

    NEVER = "never"
    ANY_SIGNIFICANT = "any_significant"
    """As soon as one of them ended and will not come back."""
    ALL_SIGNIFICANT = "all_significant"
    """When the last of them ended and will not come back."""


class Status(enum.Enum):
    """Where a child stands."""

    UP = "up"
    DOWN = "down"
    """Ended for good, or stopped; its specification is kept."""
    RESTARTING = "restarting"
    """Waiting for the next attempt, its own or that of a sibling it is restarted with."""


@dataclass(frozen=True, slots=True)
class Member:
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
class State:
    """Children in start order, the moments of the latest restarts (seconds), and how many attempts
    there were: each has a number, so that the timer of an earlier one is known to be stale."""

    strategy: Strategy
    intensity: int
    period: float
    members: tuple[Member, ...] = ()
    restarts: tuple[float, ...] = ()
    auto_shutdown: AutoShutdown = AutoShutdown.NEVER
    attempts: int = 0

    def find(self, child: str) -> Member | None:
        """The member with that id."""
        return next((each for each in self.members if each.id == child), None)

    @property
    def exhausted(self) -> bool:
        """Whether there were more restarts within the period than are borne."""
        return len(self.restarts) > self.intensity

    def mark(self, child: str, status: Status) -> State:
        """With ``child`` in ``status``."""
        return self._with({child}, status, 0)

    def wait(self, children: Collection[str], attempt: int) -> State:
        """With ``children`` restarting, in the attempt with that number."""
        return self._with(children, Status.RESTARTING, attempt)

    def without(self, child: str) -> State:
        """With ``child`` forgotten."""
        return replace(self, members=tuple(each for each in self.members if each.id != child))

    def _with(self, children: Collection[str], status: Status, attempt: int) -> State:
        members = tuple(
            replace(each, status=status, attempt=attempt) if each.id in children else each
            for each in self.members
        )
        return replace(self, members=members)
