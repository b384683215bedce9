"""What happened, for operators: of the tree, of instances, of discovery, and what they did.

The tree and the pools put what happens into a :class:`~http_service.admin.ring.Ring`; the
``EventLog`` actor makes events of it, with words. While it is down, nothing is lost.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeAlias

from msgspec import Struct

from actors.engines.pool import Ejected, Pool, PoolListener, Readmitted
from actors.supervision import (
    Address,
    CallingThreadActor,
    Child,
    ChildAbandoned,
    ChildEnded,
    ChildRestarting,
    ChildStarted,
    SupervisorGaveUp,
    SupervisorShutDown,
    TreeEvent,
)
from http_service.admin.ring import Ring

__all__ = ["Event", "EventLog", "Events", "Happened", "Take", "child_of"]

SIZE: Final = 5_000
"""Events that are kept: some 2 MB at most."""

MAX_TEXT: Final = 500
"""Characters of an event's sentence: an exception's words may be of any length."""

INFO, WARNING, ERROR = "info", "warning", "error"


class Event(Struct):
    """One thing that happened; ``at`` is Unix time in seconds.

    ``level`` is ``info``, ``warning`` or ``error``; ``topic`` is ``tree``, ``instance``,
    ``discovery``, ``admin`` or ``service``; ``subject`` is a path of the tree, or
    ``kind/model/instance``. ``by`` is who did it, ``before`` and ``after`` what it changed; of the
    tree, ``after`` is the child's state from then on, where the event changed it.
    """

    sequence: int
    at: float
    level: str
    topic: str
    subject: str
    text: str
    before: Any = None
    after: Any = None
    by: str | None = None


@dataclass(frozen=True, slots=True)
class Happened:
    """An event without its number and its time."""

    level: str
    topic: str
    subject: str
    text: str
    before: Any = None
    after: Any = None
    by: str | None = None


@dataclass(frozen=True, slots=True)
class Take:
    """Ask the owner of a ring to take what is in its inbox."""


Raw: TypeAlias = "tuple[float, Happened | TreeEvent | Ejected | Readmitted]"


class Events(PoolListener):
    """Where everybody says what happened; any thread. ``tell`` it to ``log`` once that is known."""

    def __init__(self) -> None:
        self.ring: Final[Ring[Raw, Event]] = Ring(SIZE, event_of)
        self._log: Address | None = None

    def follow(self, log: Address) -> None:
        """Have the actor at ``log`` take what happens."""
        self._log = log

    def put(self, happened: Happened | TreeEvent | Ejected | Readmitted) -> None:
        """Note that this has happened now."""
        self.ring.inbox.append((time.time(), happened))
        log = self._log
        if log is not None and log.alive:  # else it takes this once it is up
            log.tell(Take())

    # A listener of pools.

    def pool_opened(self, pool: Pool) -> None:
        """A model is served from now on."""
        self.put(Happened(INFO, "discovery", f"{pool.kind}/{pool.model}", "is served"))

    def pool_closed(self, pool: Pool) -> None:
        """A model has gone."""
        self.put(Happened(INFO, "discovery", f"{pool.kind}/{pool.model}", "is served no more"))

    def ejected(self, event: Ejected) -> None:
        """An instance failed too often."""
        self.put(event)

    def readmitted(self, event: Readmitted) -> None:
        """An instance is back."""
        self.put(event)


class EventLog(CallingThreadActor):
    """Numbers the events of ``events``, on the thread on which each happened."""

    def __init__(self, events: Events) -> None:
        super().__init__()
        self._ring = events.ring

    def on_start(self) -> None:
        """Take what happened while it was down."""
        self._ring.take()

    def on_receive(self, message: Any) -> Any:
        """Take what has come; nothing else is a message of this actor."""
        del message
        self._ring.take()


def child_of(events: Events) -> Child:
    """The log as a supervised child."""
    return Child("events", partial(EventLog.start, events))


def event_of(sequence: int, raw: Raw) -> Event:
    """The event number ``sequence``, of what was put into the inbox; pure."""
    at, happened = raw
    said = happened if isinstance(happened, Happened) else _said(happened)
    return Event(
        sequence,
        round(at, 3),
        said.level,
        said.topic,
        said.subject,
        said.text[:MAX_TEXT],
        said.before,
        said.after,
        said.by,
    )


def _said(event: TreeEvent | Ejected | Readmitted) -> Happened:
    """What ``event`` says, in words."""
    match event:
        case Ejected(model, instance, kind, seconds, pool):
            text = f"ejected for {seconds:.1f} s: {kind}"
            return Happened(WARNING, "instance", f"{pool}/{model}/{instance}", text)
        case Readmitted(model, instance, pool):
            return Happened(INFO, "instance", f"{pool}/{model}/{instance}", "readmitted")
        case ChildStarted(path, epoch):
            text = "started" if epoch == 1 else f"started again: its life number {epoch}"
            return Happened(INFO, "tree", path, text, after="up")
        case ChildEnded(path, exit_):
            level = ERROR if exit_.abnormal else INFO
            return Happened(level, "tree", path, f"ended: {exit_}", after="down")
        case ChildRestarting(path, delay):
            text = f"is started again in {delay:.1f} s"
            return Happened(INFO, "tree", path, text, after="restarting")
        case ChildAbandoned(path):
            text = "was cut off; its thread may still run"
            return Happened(WARNING, "tree", path, text, after="down")
        case SupervisorGaveUp(path, restarts, reason):
            return Happened(ERROR, "tree", path, f"gave up after {restarts} restarts: {reason}")
        case SupervisorShutDown(path, child):
            return Happened(WARNING, "tree", path, f"ended because {child} has ended")
