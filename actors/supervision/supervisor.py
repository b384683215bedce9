"""The supervisor of children that are known by name: started in order, stopped in reverse."""

from __future__ import annotations

from typing import Final

from actors.supervision.base_supervisor import BaseSupervisor
from actors.supervision.child_runner import ChildRunner
from actors.supervision.child_table import OrderedChildren
from actors.supervision.errors import ChildStateError
from actors.supervision.plan import Status, SupervisorState
from actors.supervision.spec import Child, Restart, SupervisorFlags

__all__ = ["SupervisorActor"]


class SupervisorActor(BaseSupervisor):
    """Starts ``children`` in order, restarts them by ``flags``, stops them in reverse order."""

    def __init__(self, children: tuple[Child, ...], flags: SupervisorFlags) -> None:
        state = SupervisorState(
            flags.strategy, flags.intensity, flags.period, auto_shutdown=flags.auto_shutdown
        )
        super().__init__(flags, OrderedChildren(state))
        self._specs: Final = children

    def on_start(self) -> None:
        """Start every child in order; on a failure stop them in reverse and raise."""
        try:
            for spec in self._specs:  # checked together when the supervisor was declared
                self._add(spec)
        except BaseException:
            self._stop_all()
            raise

    # What a tree may ask for, as ``RunInSupervisor``.

    def add(self, spec: Child) -> None:
        """Start a new child, last in the order. Raises ``InvalidSpec`` or ``StartFailed``."""
        self._flags.check_newcomer(spec, self._children)
        self._add(spec)

    def stop_child(self, child_id: str) -> None:
        """Stop a child and keep its specification; a temporary one is forgotten."""
        child = self._find(child_id)
        child.stop()
        self._table.mark(child_id, Status.DOWN)
        self._tree.table.mark_stopped(child.path)
        if child.spec.restart is Restart.TEMPORARY:
            self._forget(child_id)

    def restart_child(self, child_id: str) -> None:
        """Start a child that is down. Raises ``ChildStateError`` otherwise."""
        self._bring_up(self._find_down(child_id))

    def delete_child(self, child_id: str) -> None:
        """Forget a child that is down. Raises ``ChildStateError`` otherwise."""
        self._find_down(child_id)
        self._forget(child_id)

    @property
    def _declared(self) -> frozenset[str]:
        return frozenset(spec.id for spec in self._specs)

    def _stop_all(self, longest: float | None = None) -> None:
        self._leave_registry()
        for child in reversed([*self._children.values()]):
            child.stop(longest)
            self._table.mark(child.spec.id, Status.DOWN)

    def _find_down(self, child_id: str) -> ChildRunner:
        child = self._find(child_id)
        member = self._table.find(child_id)
        status = member.status if member is not None else Status.DOWN
        if status is not Status.DOWN:
            raise ChildStateError(
                f"child {child_id!r} is {status.value}: stop it first", status.value
            )
        return child
