"""Supervision on Pykka: knows actors, and nothing of models, HTTP or etcd.

Layers, lowest first: what is passed around (``errors user_code lifecycle reply mailbox
events``), one actor (``address actor_loop actor calling_thread_actor``), one child (``spec
child_runner``), the decision (``plan``), what executes it (``base_supervisor`` and its two kinds in
``supervisor``), the handle of it all (``describe tree``).
"""

from actors.supervision.actor import Supervised
from actors.supervision.address import Address, Question
from actors.supervision.calling_thread_actor import CallingThreadActor
from actors.supervision.cancellation import CancellationToken, DropGuard, Registration
from actors.supervision.clock import Clock, Timer, TimerThread
from actors.supervision.describe import ChildView, TreeView
from actors.supervision.errors import (
    ActorCrashed,
    ActorsError,
    AskCycle,
    Cancelled,
    ChildStateError,
    GaveUp,
    InvalidSpec,
    MailboxFull,
    NotDelivered,
    StartFailed,
    UnknownChild,
)
from actors.supervision.events import (
    ChildAbandoned,
    ChildEnded,
    ChildRestarting,
    ChildStarted,
    SupervisorGaveUp,
    SupervisorShutDown,
    TreeEvent,
)
from actors.supervision.lifecycle import Cause, DeathWatch, Exit, Failure
from actors.supervision.mailbox import Overflow
from actors.supervision.spec import AutoShutdown, Backoff, Child, Restart, Strategy
from actors.supervision.supervisor import DynamicChildren
from actors.supervision.tree import DynamicSupervisor, Supervisor, Tree

__all__ = [
    "ActorCrashed",
    "ActorsError",
    "Address",
    "AskCycle",
    "AutoShutdown",
    "Backoff",
    "CallingThreadActor",
    "CancellationToken",
    "Cancelled",
    "Cause",
    "Child",
    "ChildAbandoned",
    "ChildEnded",
    "ChildRestarting",
    "ChildStarted",
    "ChildStateError",
    "ChildView",
    "Clock",
    "DeathWatch",
    "DropGuard",
    "DynamicChildren",
    "DynamicSupervisor",
    "Exit",
    "Failure",
    "GaveUp",
    "InvalidSpec",
    "MailboxFull",
    "NotDelivered",
    "Overflow",
    "Question",
    "Registration",
    "Restart",
    "StartFailed",
    "Strategy",
    "Supervised",
    "Supervisor",
    "SupervisorGaveUp",
    "SupervisorShutDown",
    "Timer",
    "TimerThread",
    "Tree",
    "TreeEvent",
    "TreeView",
    "UnknownChild",
]
