"""The two supervisors: of children known by name, and of children that come and go.

The first starts its children in order and stops them in reverse. The second is OTP's
``simple_one_for_one``: one template, no initial children; each is started with arguments of its own
and restarted with the same. They have no order: each is restarted alone, and at the end all are
stopped at once and share one deadline. No step costs more with ten thousand children than with ten.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final

from actors.supervision.address import Address
from actors.supervision.base_supervisor import BaseSupervisor
from actors.supervision.child_runner import ChildRunner
from actors.supervision.describe import ChildView
from actors.supervision.errors import ChildStateError
from actors.supervision.plan import OrderedChildren, Status, SupervisorState, UnorderedChildren
from actors.supervision.spec import Child, Restart, SupervisorFlags

__all__ = ["DynamicChildren", "DynamicSupervisorActor", "SupervisorActor"]


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


class DynamicSupervisorActor(BaseSupervisor):
    """Starts any number of children from ``template``, each by its own arguments."""

    def __init__(self, template: Child, flags: SupervisorFlags) -> None:
        super().__init__(flags, UnorderedChildren(flags.intensity, flags.period))
        self._template: Final = template
        self._numbers: Final = itertools.count(1)

    def add(self, *args: Any, **kwargs: Any) -> Address:
        """Start a child with these arguments. Raises ``StartFailed``; then nothing is kept."""
        template = self._template
        child = self._add(
            replace(
                template,
                id=f"{template.id}-{next(self._numbers)}",
                start=partial(template.start, *args, **kwargs),
            )
        )
        if template.restart is Restart.TEMPORARY:
            child.never_again()
        return child.address

    def stop_child(self, child_id: str) -> None:
        """Stop a child within its ``shutdown`` and forget it. Raises ``UnknownChild``."""
        self._find(child_id).stop()
        self._forget(child_id)

    def _stop_all(self, longest: float | None = None) -> None:
        self._leave_registry()
        shutdown = longest if self._template.shutdown is None else self._template.shutdown
        children = [*self._children.values()]
        for child in children:
            child.order_to_stop()
        now = self._tree.clock.monotonic
        deadline = None if shutdown is None else now() + shutdown
        for child in children:
            left = None if deadline is None else max(0.0, deadline - now())
            child.wait_for_end(left)
            self._table.mark(child.spec.id, Status.DOWN)


class DynamicChildren:
    """The children of one dynamic supervisor: what :meth:`Tree.dynamic` returns. Any thread."""

    def __init__(
        self,
        call: Callable[[Callable[[DynamicSupervisorActor], Any]], Any],
        look: Callable[[], tuple[ChildView, ...]],
    ) -> None:
        self._call = call
        self._look = look

    def start_child(self, *args: Any, **kwargs: Any) -> Address:
        """Start a child with these arguments and return its address, whose ``id`` was made up.

        The arguments come after those that the template's ``start`` has already; every restart
        gets the same. Raises ``StartFailed`` with the root cause; nothing is kept of it then.
        """
        address: Address = self._call(lambda supervisor: supervisor.add(*args, **kwargs))
        return address

    def terminate_child(self, child: str | Address) -> None:
        """Stop a child, by its id or address, and forget it. Raises ``UnknownChild``."""
        child_id = child.id if isinstance(child, Address) else child
        self._call(lambda supervisor: supervisor.stop_child(child_id))

    def count(self) -> int:
        """How many children there are, up or being restarted."""
        return len(self._look())

    def children(self) -> tuple[ChildView, ...]:
        """Their current state, in the order of their starts."""
        return self._look()
