"""A tree to look at: frozen records, and the text that they print as."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from actors.supervision.actor_loop import ActorLoop
from actors.supervision.base_supervisor import BaseSupervisor
from actors.supervision.child_runner import ChildRunner
from actors.supervision.lifecycle import Exit
from actors.supervision.plan import Status

__all__ = ["ChildView", "TreeView", "children_of", "snapshot_below"]


@dataclass(frozen=True, slots=True)
class ChildView:
    """One child at one moment.

    ``state`` is ``starting``, ``up``, ``restarting`` or ``down``; ``epoch`` counts incarnations
    from 1; ``mailbox_depth`` is how many messages wait; ``busy_for`` how many seconds the current
    message has taken so far (``None`` while idle); ``children`` are those of a nested supervisor;
    ``kind`` is a supervisor's strategy, or the class of an actor, "" while there is none.
    """

    id: str
    path: str
    state: str
    epoch: int
    mailbox_depth: int = 0
    busy_for: float | None = None
    last_exit: Exit | None = None
    supervisor: bool = False
    children: tuple[ChildView, ...] = ()
    kind: str = ""

    @property
    def restarts(self) -> int:
        """How often it was started again."""
        return max(0, self.epoch - 1)

    def __str__(self) -> str:
        parts = [self.id, self.state, f"epoch {self.epoch}"]
        if self.mailbox_depth:
            parts.append(f"{self.mailbox_depth} waiting")
        if self.busy_for is not None:
            parts.append(f"busy for {self.busy_for:.1f} s")
        if self.last_exit is not None:
            parts.append(f"last exit: {self.last_exit}")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class TreeView:
    """A whole tree at one moment; ``str()`` draws it.

    ``exit`` is how it ended, ``None`` while it runs.
    """

    name: str
    children: tuple[ChildView, ...]
    exit: Exit | None = None

    def __str__(self) -> str:
        title = self.name if self.exit is None else f"{self.name}, ended: {self.exit}"
        return "\n".join([title, *_lines(self.children, "")])


def _lines(children: tuple[ChildView, ...], indent: str) -> Iterator[str]:
    left = [(child, indent, at == 0) for at, child in enumerate(reversed(children))]
    while left:
        child, indent, last = left.pop()
        yield f"{indent}{'└─' if last else '├─'} {child}"
        indent += "   " if last else "│  "
        left += [(each, indent, at == 0) for at, each in enumerate(reversed(child.children))]


def children_of(loop: ActorLoop | None) -> list[tuple[ChildRunner, Status]]:
    """The children of the supervisor that ``loop`` runs; none if it is not one, or is down."""
    supervisor = None if loop is None else loop.actor
    return supervisor.snapshot() if isinstance(supervisor, BaseSupervisor) else []


def snapshot_below(loop: ActorLoop | None) -> tuple[ChildView, ...]:
    """The children of the supervisor that ``loop`` runs, each with everything below it."""
    top: list[ChildView] = []
    found = [(*each, each[0].loop, list[ChildView](), top) for each in children_of(loop)]
    for _, _, supervisor, own, _ in found:  # grows while it is walked, parents before children
        found += [(*each, each[0].loop, list[ChildView](), own) for each in children_of(supervisor)]
    for child, status, each, own, siblings in reversed(found):
        siblings.append(_view(child, status, each, tuple(reversed(own))))
    return tuple(reversed(top))


def _view(
    child: ChildRunner, status: Status, loop: ActorLoop | None, below: tuple[ChildView, ...]
) -> ChildView:
    return ChildView(
        id=child.spec.id,
        path=child.path,
        state=_state(loop, status, child.last_exit),
        epoch=child.address.epoch,
        mailbox_depth=0 if loop is None else loop.mailbox.depth,
        busy_for=None if loop is None else loop.busy_for,
        last_exit=child.last_exit,
        supervisor=loop is not None and isinstance(loop.actor, BaseSupervisor),
        children=below,
        kind=_kind(loop),
    )


def _kind(loop: ActorLoop | None) -> str:
    if loop is None:
        return ""
    actor = loop.actor
    return actor.strategy if isinstance(actor, BaseSupervisor) else type(actor).__name__


def _state(loop: ActorLoop | None, status: Status, last_exit: Exit | None) -> str:
    """What the child does: its incarnation knows better than the plan, if there is one."""
    if loop is not None:
        return "down" if loop.lifecycle.terminated else "up"
    if status is not Status.UP:
        return str(status.value)
    # Up for the plan, but there is no incarnation: not yet, or its end is still in the mailbox.
    return "starting" if last_exit is None else "down"
