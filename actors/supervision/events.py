"""What happens in a tree, as frozen records for listeners: logs, metrics, tests."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from actors.supervision.lifecycle import Exit
from actors.supervision.user_code import call_all

__all__ = [
    "ChildAbandoned",
    "ChildEnded",
    "ChildRestarting",
    "ChildStarted",
    "EventBus",
    "Listener",
    "SupervisorGaveUp",
    "SupervisorShutDown",
    "TreeEvent",
]

_log = logging.getLogger("actors.supervision")


@dataclass(frozen=True, slots=True)
class ChildStarted:
    """An incarnation is up; ``epoch`` counts them from 1, so anything above is a restart."""

    path: str
    epoch: int


@dataclass(frozen=True, slots=True)
class ChildEnded:
    """An incarnation ended; ``exit`` says how."""

    path: str
    exit: Exit


@dataclass(frozen=True, slots=True)
class ChildRestarting:
    """The supervisor will start the child again in ``delay`` seconds."""

    path: str
    delay: float


@dataclass(frozen=True, slots=True)
class ChildAbandoned:
    """An incarnation did not stop, or hung: it was cut off; its thread may still run.

    ``stack`` is where that thread was, as Python prints it; empty if it is unknown.
    """

    path: str
    stack: str = ""


@dataclass(frozen=True, slots=True)
class SupervisorGaveUp:
    """The supervisor at ``path`` ended itself; ``restarts`` is how many its period saw."""

    path: str
    restarts: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SupervisorShutDown:
    """The supervisor at ``path`` ended itself because its significant ``child`` had ended."""

    path: str
    child: str


TreeEvent: TypeAlias = (
    ChildStarted
    | ChildEnded
    | ChildRestarting
    | ChildAbandoned
    | SupervisorGaveUp
    | SupervisorShutDown
)
Listener = Callable[[TreeEvent], object]


class EventBus:
    """Calls every listener with every event, on the thread on which it happened. Any thread."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Call ``listener(event)`` for each event from now on; it must not block."""
        self._listeners.append(listener)

    def publish(self, event: TreeEvent) -> None:
        """Hand ``event`` to every listener."""
        error_message = "a listener of tree events failed"
        call_all([*self._listeners], event, log=_log, error_message=error_message)
