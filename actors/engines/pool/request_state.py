"""The life of a request in a pool: one literal table of states and events. Pure.

::

                       ┌───────────FINISH──────────────────┐
                       │                                   ▼
    WAITING ──ASK──▶ ASKED ──START──▶ STARTED ──FINISH──▶ FINISHED
       │ ▲             │                                   ▲
       │ └────LOSE─────┘  WAITING, ASKED, STARTED          │
       │                            ─ABORT─▶ ABORTED       │
       └──────────────────────GIVE_UP──────────────────────┘

An event that a state does not know is a defect of this package: :class:`IllegalEvent`. What may
come at any time (a late word of an engine, a client that leaves twice) is looked at before.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

__all__ = ["TRANSITIONS", "Event", "IllegalEvent", "State"]


class State(StrEnum):
    """Where a request is."""

    WAITING = "waiting"
    """No instance is at it: it is new, in the queue, or between two instances."""
    ASKED = "asked"
    """One instance or more were asked; none has begun to answer."""
    STARTED = "started"
    """One instance has begun to answer: it alone is heard, to its end."""
    FINISHED = "finished"
    """The client was told the end, well or with an error."""
    ABORTED = "aborted"
    """Ended from the client's side: it left, or the time for the answer was over."""


class Event(StrEnum):
    """What happens to a request."""

    ASK = "ask"
    """An instance is asked; also one more beside another (hedging)."""
    LOSE = "lose"
    """The only instance that was asked failed, or is left."""
    START = "start"
    """An instance begins to answer; the others are stopped."""
    FINISH = "finish"
    """The instance that answers ended its answer, well or with an error; a whole answer starts and
    ends at once."""
    GIVE_UP = "give up"
    """No instance answers: the client is told why."""
    ABORT = "abort"
    """The client's side ends it."""


class IllegalEvent(RuntimeError):
    """An event came in a state that does not know it."""

    def __init__(self, state: State, event: Event) -> None:
        super().__init__(f"a request that is {state.name} does not know {event.name}")
        self.state: Final = state
        self.event: Final = event


class _Row(dict[Event, State]):
    """What one state knows. PERF: a dict, so that a step in the table is no Python-level call."""

    def __init__(self, state: State, **known: State) -> None:
        super().__init__({Event[name]: after for name, after in known.items()})
        self._state: Final = state

    def __missing__(self, event: Event) -> State:
        raise IllegalEvent(self._state, event)


TRANSITIONS: Final[Mapping[State, Mapping[Event, State]]] = MappingProxyType(
    {
        State.WAITING: _Row(
            State.WAITING,
            ASK=State.ASKED,
            GIVE_UP=State.FINISHED,
            ABORT=State.ABORTED,
        ),
        State.ASKED: _Row(
            State.ASKED,
            ASK=State.ASKED,
            LOSE=State.WAITING,
            START=State.STARTED,
            FINISH=State.FINISHED,
            ABORT=State.ABORTED,
        ),
        State.STARTED: _Row(
            State.STARTED,
            FINISH=State.FINISHED,
            ABORT=State.ABORTED,
        ),
        State.FINISHED: _Row(State.FINISHED),
        State.ABORTED: _Row(State.ABORTED),
    }
)
"""``TRANSITIONS[state][event]`` is the state after ``event``; raises :class:`IllegalEvent`."""
