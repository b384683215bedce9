"""The handle of a running tree: what a program holds to look at it, change it and stop it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

import pykka

from actors.supervision.actor import StartContext, TreeContext, start_with_context
from actors.supervision.actor_loop import ActorLoop
from actors.supervision.address import Address, AddressTable, watch_from_current_actor
from actors.supervision.base_supervisor import BaseSupervisor, RunInSupervisor
from actors.supervision.clock import Clock, TimerThread
from actors.supervision.describe import ChildView, TreeView, children_of, snapshot_below
from actors.supervision.errors import ChildStateError, InvalidSpec, NotDelivered, UnknownChild
from actors.supervision.events import EventBus, Listener
from actors.supervision.lifecycle import Cause, DeathWatch, Exit, Latch
from actors.supervision.spec import AutoShutdown, Backoff, Child, Restart, Strategy, SupervisorFlags
from actors.supervision.supervisor import DynamicChildren, DynamicSupervisorActor, SupervisorActor
from actors.supervision.user_code import Handle, check_callable, check_path, check_seconds

__all__ = ["DynamicSupervisor", "Supervisor", "Tree"]

VIEW_TIMEOUT: Final = 1.0
"""Seconds that a supervisor has to finish its current message before its children are shown."""

K = TypeVar("K", bound=BaseSupervisor)


class Tree(Handle):
    """A running supervision tree. Every method may be called from any thread outside of it.

    From inside, ``stop`` waits for its own caller; and an actor that calls the supervisor which is
    starting or stopping it gets ``AskCycle``.
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

    def kill_child(self, path: str) -> None:
        """Cut a child off at once, as a hung one: its supervisor sees an abnormal end.

        Raises ``ChildStateError`` if it is not up.
        """
        under, child = _split(path)
        self._call(under, BaseSupervisor, lambda supervisor: supervisor.kill_child(child))  # type: ignore[type-abstract]  # for isinstance only

    def delete_child(self, path: str) -> None:
        """Forget a child that is down. Raises ``ChildStateError`` if it is not."""
        under, child = _split(path)
        self._call(under, SupervisorActor, lambda supervisor: supervisor.delete_child(child))

    def dynamic(self, under: str = "") -> DynamicChildren:
        """The children of the dynamic supervisor at ``under`` (the root), to add to.

        Each of its methods raises ``ChildStateError`` if that is not a dynamic supervisor.
        """
        return DynamicChildren(
            lambda work: self._call(under, DynamicSupervisorActor, work),
            lambda: self.children(under),
        )

    def on_event(self, listener: Listener) -> None:
        """Call ``listener(event)`` for each event of the tree from now on; it must not block."""
        check_callable("on_event", listener)
        self._tree.events.listen(listener)

    def on_exit(self, watcher: Callable[[Exit], object]) -> DeathWatch:
        """Call ``watcher(exit)`` once, when the root supervisor ends: stopped, or gave up."""
        check_callable("on_exit", watcher)
        return watch_from_current_actor(self._root.lifecycle, watcher)

    def describe(self) -> TreeView:
        """The tree at this moment; ``str()`` of it draws it.

        Never waits: a supervisor that is stopping a slow child shows as busy, and a tree that
        has ended shows how.
        """
        return TreeView(self.name, snapshot_below(self._root), self._root.lifecycle.exit)

    def children(self, under: str = "") -> tuple[ChildView, ...]:
        """The children of one supervisor, in start order, once its current message is finished.

        If that takes longer than a second, or it has ended, they are shown as they are.
        """
        loop = self._supervisor(under)
        with contextlib.suppress(pykka.Timeout, NotDelivered):
            self._address_of(under).ask(RunInSupervisor(_nothing), timeout=VIEW_TIMEOUT)
            loop = self._supervisor(under)
        return snapshot_below(loop)

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
        loop: ActorLoop | None = self._root
        for step in under.split("/") if under else ():
            found = (child for child, _ in children_of(loop) if child.spec.id == step)
            child = next(found, None)
            if child is None:
                self.address(under)  # raises, unless a supervisor on the way is just down
                return None
            loop = child.loop
        if loop is not None and not isinstance(loop.actor, BaseSupervisor):
            raise ChildStateError(f"{under!r} is not a supervisor, so it has no children", "actor")
        return loop


_KINDS: Final[dict[type[BaseSupervisor], tuple[str, str]]] = {
    DynamicSupervisorActor: ("dynamic supervisor", "tree.dynamic(path) and its methods"),
    SupervisorActor: ("supervisor of named children", "tree.start_child and tree.stop_child"),
}
"""Error text for calling a method of the wrong kind of supervisor."""


def _nothing(_supervisor: BaseSupervisor) -> None:
    """When this is answered, the supervisor has done what it had in hand."""


def _split(path: str) -> tuple[str, str]:
    check_path(path)
    under, _, child = path.rpartition("/")
    if not child:
        raise UnknownChild(f"{path!r} names no child: give its path, as in 'serving/http'")
    return under, child


CLOCKS: Final = ("monotonic", "call_later", "wait", "close")
"""What a clock can do."""
NESTED_START_WITHIN = 60.0
"""Seconds for all children of a nested supervisor together, unless said otherwise."""


class Supervisor:
    """Starts trees; never made itself. The running thing is a :class:`Tree`."""

    @staticmethod
    def start(
        *children: Child,
        strategy: Strategy = Strategy.ONE_FOR_ONE,
        intensity: int = 1,
        period: float = 5.0,
        auto_shutdown: AutoShutdown = AutoShutdown.NEVER,
        max_abandoned: int = 16,
        name: str = "root",
        clock: Clock | None = None,
    ) -> Tree:
        """Start ``children`` in order and watch over them; returns when every one is up.

        ``intensity`` restarts within ``period`` seconds are allowed; one more and the tree gives up
        (see :meth:`Tree.on_exit`). Raises ``InvalidSpec``, or ``StartFailed`` with the root cause,
        everything that was started already stopped again. Ctrl-C meanwhile has it stop, too.
        """
        flags = SupervisorFlags(strategy, intensity, period, auto_shutdown, max_abandoned)
        flags.check(children)
        return _start_tree(partial(SupervisorActor.start, children, flags), name, clock)

    @staticmethod
    def child(
        id: str,  # noqa: A002  # what Child calls it
        *children: Child,
        strategy: Strategy = Strategy.ONE_FOR_ONE,
        intensity: int = 1,
        period: float = 5.0,
        auto_shutdown: AutoShutdown = AutoShutdown.NEVER,
        max_abandoned: int = 16,
        restart: Restart = Restart.PERMANENT,
        backoff: Backoff | None = None,
        start_within: float = NESTED_START_WITHIN,
        significant: bool = False,
    ) -> Child:
        """A supervisor as a child of another one; it may take as long as it needs to stop."""
        flags = SupervisorFlags(strategy, intensity, period, auto_shutdown, max_abandoned)
        flags.check(children)
        return Child(
            id,
            partial(SupervisorActor.start, children, flags),
            restart=restart,
            shutdown=None,
            start_within=start_within,
            backoff=backoff or Backoff(),
            significant=significant,
        )


class DynamicSupervisor:
    """Starts supervisors whose children come and go, all made from one ``template``.

    The template is a :class:`Child` whose ``start`` takes further arguments, and whose id begins
    those of the children; ``tree.dynamic(path).start_child(...)`` starts one. It can't be
    significant. What was started dynamically is gone when the supervisor itself is restarted.
    """

    @staticmethod
    def start(
        template: Child,
        *,
        intensity: int = 1,
        period: float = 5.0,
        max_abandoned: int = 16,
        name: str = "root",
        clock: Clock | None = None,
    ) -> Tree:
        """Start a tree without children. Raises ``InvalidSpec``."""
        flags = SupervisorFlags(intensity=intensity, period=period, max_abandoned=max_abandoned)
        flags.check((template,))
        return _start_tree(partial(DynamicSupervisorActor.start, template, flags), name, clock)

    @staticmethod
    def child(
        id: str,  # noqa: A002  # what Child calls it
        template: Child,
        *,
        intensity: int = 1,
        period: float = 5.0,
        max_abandoned: int = 16,
        restart: Restart = Restart.PERMANENT,
        backoff: Backoff | None = None,
        significant: bool = False,
    ) -> Child:
        """A dynamic supervisor as a child of another; it may take as long as it needs to stop."""
        flags = SupervisorFlags(intensity=intensity, period=period, max_abandoned=max_abandoned)
        flags.check((template,))
        return Child(
            id,
            partial(DynamicSupervisorActor.start, template, flags),
            restart=restart,
            shutdown=None,
            backoff=backoff or Backoff(),
            significant=significant,
        )


def _start_tree(start: Callable[[], pykka.ActorRef[Any]], name: str, clock: Clock | None) -> Tree:
    """Start a root supervisor and wait until it is up."""
    if not isinstance(name, str) or not name.isprintable() or not name:  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without types
        raise InvalidSpec(f"name is {name!r}, but must be printable text")
    if clock is not None and not all(callable(getattr(clock, each, None)) for each in CLOCKS):
        raise InvalidSpec(f"clock is {clock!r}, but must be a Clock: {', '.join(CLOCKS)}")
    clock = clock or TimerThread(f"{name}-clock")
    # PERF: an ask waits by real seconds without going through the real clock, a µs cheaper.
    waits_by = None if type(clock) is TimerThread else clock
    tree = TreeContext(clock, AddressTable(waits_by), EventBus())
    context = StartContext("", Address(name), tree, awaits_admission=True)
    ref = start_with_context(context, start)
    root, _ = context.take(ref)
    try:
        root.lifecycle.start_finished.wait()
    except BaseException:  # Ctrl-C: the caller gets no handle to stop it by
        root.lifecycle.watch(lambda _exit: tree.clock.close())
        ref.stop(block=False)
        root.admit()
        raise
    if root.start_error is not None:
        tree.clock.close()
        raise root.start_error
    context.address.set_running(root.mailbox, root.lifecycle)
    root.lifecycle.watch(partial(_shut_down, tree, context.address))
    root.admit()
    return Tree(root, context.address, tree)


def _shut_down(tree: TreeContext, root: Address, _exit: Exit) -> None:
    """The root ended: asks fail at once, and no timer runs."""
    root.mark_stopped()
    tree.table.mark_stopped("")
    tree.clock.close()
