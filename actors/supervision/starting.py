"""How trees begin: the two kinds of supervisors, each as a root or as somebody's child."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import pykka

from actors.supervision.actor import start_under
from actors.supervision.address import Address
from actors.supervision.address_table import AddressTable
from actors.supervision.clock import Clock, TimerThread
from actors.supervision.dynamic_supervisor import DynamicActor
from actors.supervision.errors import InvalidSpec
from actors.supervision.events import EventBus
from actors.supervision.exit import Exit
from actors.supervision.flags import SupervisorFlags
from actors.supervision.roster import AutoShutdown, Strategy
from actors.supervision.spec import Backoff, Child, Restart
from actors.supervision.start_context import StartContext, TreeContext
from actors.supervision.supervisor import SupervisorActor
from actors.supervision.tree import Tree

__all__ = ["DynamicSupervisor", "Supervisor"]

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

        ``intensity`` restarts within ``period`` seconds are borne; one more and the tree gives up
        (see :meth:`Tree.on_exit`). Raises ``InvalidSpec``, or ``StartFailed`` with the root cause,
        everything that was started already stopped again. Ctrl-C meanwhile has it stop, too.
        """
        flags = SupervisorFlags(strategy, intensity, period, auto_shutdown, max_abandoned)
        flags.check(children)
        return _grow(partial(SupervisorActor.start, children, flags), name, clock)

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
        return _grow(partial(DynamicActor.start, template, flags), name, clock)

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
            partial(DynamicActor.start, template, flags),
            restart=restart,
            shutdown=None,
            backoff=backoff or Backoff(),
            significant=significant,
        )


def _grow(start: Callable[[], pykka.ActorRef[Any]], name: str, clock: Clock | None) -> Tree:
    """Start a root supervisor and wait until it is up."""
    if not isinstance(name, str) or not name.isprintable() or not name:  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without types
        raise InvalidSpec(f"name is {name!r}, but must be printable text")
    if clock is not None and not all(callable(getattr(clock, each, None)) for each in CLOCKS):
        raise InvalidSpec(f"clock is {clock!r}, but must be a Clock: {', '.join(CLOCKS)}")
    clock = clock or TimerThread(f"{name}-clock")
    # PERF: an ask waits by real seconds without going through the real clock, a µs cheaper.
    waits_by = None if type(clock) is TimerThread else clock
    tree = TreeContext(clock, AddressTable(waits_by), EventBus())
    context = StartContext("", Address(name), tree, admits=True)
    ref = start_under(context, start)
    root, _ = context.take(ref)
    try:
        root.lifecycle.settled.wait()
    except BaseException:  # Ctrl-C: nobody gets a handle to stop it by
        root.lifecycle.watch(lambda _exit: tree.clock.close())
        ref.stop(block=False)
        root.admit()
        raise
    if root.start_error is not None:
        tree.clock.close()
        raise root.start_error
    context.address.point_to(root.mailbox, root.lifecycle)
    root.lifecycle.watch(partial(_turn_off, tree, context.address))
    root.admit()
    return Tree(root, context.address, tree)


def _turn_off(tree: TreeContext, root: Address, _exit: Exit) -> None:
    """The root ended: nobody waits for a successor any more, and no timer runs."""
    root.retire()
    tree.table.retire("")
    tree.clock.close()
