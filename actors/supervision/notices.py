"""What reaches a supervisor as a control message, ahead of whatever users send it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from actors.supervision.exits import Exit
from actors.supervision.mailbox import Control
from actors.supervision.plan import RetryDue
from actors.supervision.runtime import Runtime

__all__ = ["Call", "Down", "Due", "LookForHung"]


@dataclass(frozen=True, slots=True)
class Down(Control):
    """The incarnation ``runtime`` of ``child`` ended by itself."""

    child: str
    runtime: Runtime
    exit: Exit


@dataclass(frozen=True, slots=True)
class Due(Control):
    """A child's backoff is over."""

    event: RetryDue


@dataclass(frozen=True, slots=True)
class Call(Control):
    """Run ``work(supervisor)`` on the supervisor's thread and answer its result."""

    work: Callable[[Any], Any]


class LookForHung(Control):
    """Time to look whether a child hangs."""
