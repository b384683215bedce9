"""From running supervisors to the records of ``describe``, waiting for nobody.

Reads single attributes of what other threads change: each value was true a moment ago, even if all
of them never were at the same moment.
"""

from __future__ import annotations

from actors.supervision.actor_loop import ActorLoop
from actors.supervision.base_supervisor import BaseSupervisor
from actors.supervision.child_runner import ChildRunner
from actors.supervision.describe import ChildView
from actors.supervision.exit import Exit
from actors.supervision.roster import Status

__all__ = ["children_of", "snapshot_below"]


def children_of(runtime: ActorLoop | None) -> list[tuple[ChildRunner, Status]]:
    """The children of the supervisor that ``runtime`` runs; none if it is none, or is down."""
    supervisor = None if runtime is None else runtime.actor
    return supervisor.glance() if isinstance(supervisor, BaseSupervisor) else []


def snapshot_below(runtime: ActorLoop | None) -> tuple[ChildView, ...]:
    """The children of the supervisor that ``runtime`` runs, each with everything below it."""
    top: list[ChildView] = []
    found = [(*each, each[0].runtime, list[ChildView](), top) for each in children_of(runtime)]
    for _, _, supervisor, own, _ in found:  # grows while it is walked, parents before children
        found += [
            (*each, each[0].runtime, list[ChildView](), own) for each in children_of(supervisor)
        ]
    for child, status, each, own, siblings in reversed(found):
        siblings.append(_view(child, status, each, tuple(reversed(own))))
    return tuple(reversed(top))


def _view(
    child: ChildRunner, status: Status, runtime: ActorLoop | None, below: tuple[ChildView, ...]
) -> ChildView:
    return ChildView(
        id=child.spec.id,
        path=child.path,
        state=_state(runtime, status, child.last_exit),
        epoch=child.address.epoch,
        mailbox_depth=0 if runtime is None else runtime.mailbox.depth,
        busy_for=None if runtime is None else runtime.busy_for,
        last_exit=child.last_exit,
        supervisor=runtime is not None and isinstance(runtime.actor, BaseSupervisor),
        children=below,
    )


def _state(runtime: ActorLoop | None, status: Status, last_exit: Exit | None) -> str:
    """What the child does: its incarnation knows better than the plan, if there is one."""
    if runtime is not None:
        return "down" if runtime.lifecycle.over else "up"
    if status is not Status.UP:
        return str(status.value)
    # The plan has it up, but nobody is: not yet, or no more, and the plan is about to hear of it.
    return "starting" if last_exit is None else "down"
