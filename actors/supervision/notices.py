"""What reaches a supervisor as a control message, ahead of whatever users send it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from actors.supervision.actor_loop import ActorLoop
from actors.supervision.exit import Exit
from actors.supervision.mailbox import SystemMessage
from actors.supervision.plan import RetryDue

__all__ = ["BackoffOver", "CheckHung", "Down", "RunInSupervisor"]


@dataclass(frozen=True, slots=True)
class Down(SystemMessage):
    """The incarnation ``runtime`` of ``child`` ended by itself."""

    child: str
    runtime: ActorLoop
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
