"""The handle of a running tree: what a program holds to look at it, change it and stop it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

import pykka

from actors.supervision.actor_loop import ActorLoop
from actors.supervision.address import Address, watch_from_here
from actors.supervision.arguments import check_callable, check_path, check_seconds
from actors.supervision.base_supervisor import BaseSupervisor
from actors.supervision.describe import ChildView, TreeView
from actors.supervision.dynamic_supervisor import DynamicActor, DynamicChildren
from actors.supervision.errors import ChildStateError, NotDelivered, UnknownChild
from actors.supervision.events import Listener
from actors.supervision.exit import Cause, Exit
from actors.supervision.glance import children_of, snapshot_below
from actors.supervision.handle import Handle
from actors.supervision.latch import Latch
from actors.supervision.lifecycle import DeathWatch
from actors.supervision.notices import RunInSupervisor
from actors.supervision.spec import Child
from actors.supervision.start_context import TreeContext
from actors.supervision.supervisor import SupervisorActor

__all__ = ["Tree"]

LOOK_TIMEOUT: Final = 1.0
"""Seconds that a supervisor has to finish what it does before its children are looked at."""

K = TypeVar("K", bound=BaseSupervisor)


class Tree(Handle):
    """A running supervision tree. Every method may be called from any thread outside of it.

    From inside, ``stop`` waits for its own caller; and who calls the supervisor that is starting or
    stopping it gets ``AskCycle``.
    """

    def __init__(self, root: ActorLoop, address: Address, tree: TreeContext) -> None:
        self.name: Final = address.path
        self._root: Final = root
        self._address: Final = address
        self._tree: Final = tree

    def address(self, path: str) -> Address:
        """The address of a child, as ``"registry"`` or ``"serving/http"``; never goes stale.

        Raises :class:`UnknownChild`.
        """
        return self._tree.table.find(path)

    def start_child(self, child: Child, under: str = "") -> Address:
        """Start ``child`` as the last one of the supervisor at ``under`` (the root).

        Raises ``StartFailed`` with the root cause, or ``InvalidSpec`` for an id that is taken.
        """
        self._call(under, SupervisorActor, lambda supervisor: supervisor.add(child))
        return self.address(f"{under}/{child.id}" if under else child.id)

    def stop_child(self, path: str) -> None:
        """Stop a child within its ``shutdown`` and keep its specification.

        A temporary child, or one of a dynamic supervisor, is forgotten.
        """
        under, child = _split(path)
        self._call(under, BaseSupervisor, lambda supervisor: supervisor.stop_child(child))  # type: ignore[type-abstract]  # for isinstance only

    def restart_child(self, path: str) -> None:
        """Start a child that is down. Raises ``ChildStateError`` if it is not."""
        under, child = _split(path)
        self._call(under, SupervisorActor, lambda supervisor: supervisor.restart_child(child))

    def delete_child(self, path: str) -> None:
        """Forget a child that is down. Raises ``ChildStateError`` if it is not."""
        under, child = _split(path)
        self._call(under, SupervisorActor, lambda supervisor: supervisor.delete_child(child))

    def dynamic(self, under: str = "") -> DynamicChildren:
        """The children of the dynamic supervisor at ``under`` (the root), to add to.

        Each of its methods raises ``ChildStateError`` if that is no dynamic supervisor.
        """
        return DynamicChildren(
            lambda work: self._call(under, DynamicActor, work), lambda: self.children(under)
        )

    def on_event(self, listener: Listener) -> None:
        """Call ``listener(event)`` for each event of the tree from now on; it must not block."""
        check_callable("on_event", listener)
        self._tree.events.listen(listener)

    def on_exit(self, watcher: Callable[[Exit], object]) -> DeathWatch:
        """Call ``watcher(exit)`` once, when the root supervisor ends: stopped, or gave up."""
        check_callable("on_exit", watcher)
        return watch_from_here(self._root.lifecycle, watcher)

    def describe(self) -> TreeView:
        """The tree as it is this very moment; ``str()`` of it draws it.

        Waits for nobody: a supervisor that is stopping a slow child shows as busy, and a tree that
        has ended shows how.
        """
        return TreeView(self.name, snapshot_below(self._root), self._root.lifecycle.exit)

    def children(self, under: str = "") -> tuple[ChildView, ...]:
        """The children of one supervisor, in start order, after what it has in hand just now.

        If that takes longer than a second, or it has ended, they are shown as they are.
        """
        runtime = self._supervisor(under)
        with contextlib.suppress(pykka.Timeout, NotDelivered):
            self._address_of(under).ask(RunInSupervisor(_nothing), timeout=LOOK_TIMEOUT)
            runtime = self._supervisor(under)
        return snapshot_below(runtime)

    def counts(self, under: str = "") -> dict[str, int]:
        """How many children one supervisor has: ``specs``, ``active``, ``supervisors``."""
        views = self.children(under)
        return {
            "specs": len(views),
            "active": sum(view.state == "up" for view in views),
            "supervisors": sum(view.supervisor for view in views),
        }

    def stop(self, timeout: float) -> bool:
        """Stop every child in reverse order, each within its shutdown; then the supervisor.

        Waits ``timeout`` seconds at most. False if something was still stopping then: it was
        abandoned, with all its threads (they are daemons). Idempotent.
        """
        check_seconds("Tree.stop: timeout", timeout)
        ended = Latch()
        self._root.lifecycle.watch(lambda _exit: ended.set())
        self._root.stopped_by_supervisor = True
        self._root.actor.actor_ref.stop(block=False)
        done = ended.wait(timeout)
        if not done:
            self._root.abandon(Exit(Cause.HUNG))
        self._tree.clock.close()
        return done

    def _call(self, under: str, kind: type[K], work: Callable[[K], Any]) -> Any:
        """Run ``work`` on the supervisor at ``under``, which must be of that ``kind``."""

        def checked(supervisor: BaseSupervisor) -> Any:
            if isinstance(supervisor, kind):
                return work(supervisor)
            what, use = _KINDS[type(supervisor)]
            raise ChildStateError(f"{supervisor.name!r} is a {what}: use {use}", what)

        self._supervisor(under)
        return self._address_of(under).ask(RunInSupervisor(checked), timeout=threading.TIMEOUT_MAX)

    def _address_of(self, under: str) -> Address:
        return self.address(under) if under else self._address

    def _supervisor(self, under: str) -> ActorLoop | None:
        """The supervisor at ``under``; ``None`` while it is down."""
        check_path(under)
        runtime: ActorLoop | None = self._root
        for step in under.split("/") if under else ():
            found = (child for child, _ in children_of(runtime) if child.spec.id == step)
            child = next(found, None)
            if child is None:
                self.address(under)  # raises, unless a supervisor on the way is just down
                return None
            runtime = child.runtime
        if runtime is not None and not isinstance(runtime.actor, BaseSupervisor):
            raise ChildStateError(f"{under!r} is no supervisor, so it has no children", "actor")
        return runtime


_KINDS: Final[dict[type[BaseSupervisor], tuple[str, str]]] = {
    DynamicActor: ("dynamic supervisor", "tree.dynamic(path) and its methods"),
    SupervisorActor: ("supervisor of named children", "tree.start_child and tree.stop_child"),
}
"""What to tell who calls the one like the other."""


def _nothing(_supervisor: BaseSupervisor) -> None:
    """When this is answered, the supervisor has done what it had in hand."""


def _split(path: str) -> tuple[str, str]:
    check_path(path)
    under, _, child = path.rpartition("/")
    if not child:
        raise UnknownChild(f"{path!r} names no child: give its path, as in 'serving/http'")
    return under, child
