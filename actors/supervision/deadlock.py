"""The wait-for graph of actors: finds a cycle of asks at the moment that it would close.

Each thread knows the actors whose handlers it runs (several, where turn actors ask one another).
Before it blocks on a reply it writes that reply on all of them, *then* follows the replies from the
actor that it asked. Of two threads that close a cycle at the same time at least one therefore sees
the other. Only pending replies count, so an actor that was just answered is never taken for stuck.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Protocol

from actors.supervision.clock import Clock
from actors.supervision.errors import AskCycle

__all__ = [
    "LifecycleWait",
    "PendingWait",
    "SuccessorWait",
    "WaitNode",
    "blocked_on",
    "running",
    "this_thread",
    "waiting_for_lifecycle",
]


class PendingWait(Protocol):
    """A reply that a thread waits for."""

    @property
    def done(self) -> bool:
        """Whether it was settled."""
        ...

    @property
    def target(self) -> WaitNode | None:
        """The actor that was asked."""
        ...

    def abort(self, error: AskCycle) -> bool:
        """Have the waiting thread raise ``error``; False if others can't end this wait."""
        ...


class LifecycleWait:
    """The start or the end of ``target``, which its supervisor waits for as others for a reply."""

    __slots__ = ("_reached", "target")

    def __init__(self, target: WaitNode | None, reached: Callable[[], bool]) -> None:
        self.target = target
        self._reached = reached

    @property
    def done(self) -> bool:
        """Whether it has happened."""
        return self._reached()

    def abort(self, error: AskCycle) -> bool:  # noqa: ARG002  # see PendingWait
        """False: the supervisor keeps its own timeout; callers meanwhile get ``AskCycle``."""
        return False


class SuccessorWait:
    """The next incarnation of an actor that is down: it comes when ``target`` has acted."""

    __slots__ = ("_comes_from", "_reached", "_wake", "error")

    def __init__(
        self,
        comes_from: Callable[[], WaitNode | None],
        reached: Callable[[], bool],
        wake: Callable[[], object],
    ) -> None:
        self._comes_from = comes_from
        self._reached = reached
        self._wake = wake
        self.error: AskCycle | None = None
        """Why the wait is over; ``None`` while it goes on."""

    @property
    def done(self) -> bool:
        """Whether it has happened."""
        return self._reached()

    @property
    def target(self) -> WaitNode | None:
        """The actor that has to act now; later it is another one."""
        return self._comes_from()

    def abort(self, error: AskCycle) -> bool:
        """End the wait; see :class:`PendingWait`."""
        self.error = error
        self._wake()
        return True


class WaitNode(Protocol):
    """One actor in the wait-for graph."""

    name: str
    clock: Clock | None
    """By whose seconds an ask to this actor times out; ``None`` for the real ones."""
    waiting_for: PendingWait | None


class ThreadContext(threading.local):
    """The actors whose handlers this thread runs now, outermost first; and of those which are only
    starting, the addresses, which lead to no incarnation yet."""

    stack: list[WaitNode]
    starting: list[object]

    def __getattr__(self, name: str) -> Any:
        # Made when it is first looked for, in one step: a finalizer may run on a thread that is
        # only beginning, and would find half of what an __init__ makes.
        return self.__dict__.setdefault(name, [])


this_thread = ThreadContext()


class running:  # noqa: N801  # a context manager reads as a verb
    """Within the block this thread runs ``node``."""

    __slots__ = ("_node",)

    def __init__(self, node: WaitNode) -> None:
        self._node = node

    def __enter__(self) -> None:
        this_thread.stack.append(self._node)

    def __exit__(self, *_exc: object) -> None:
        this_thread.stack.pop()


class blocked_on:  # noqa: N801  # a context manager reads as a verb
    """Mark this thread's actors as waiting for ``reply``; :class:`AskCycle` if that cannot end."""

    __slots__ = ("_before", "_nodes", "_reply")

    def __init__(self, reply: PendingWait) -> None:
        self._reply = reply
        self._nodes = tuple(this_thread.stack)
        # Something, if this is a finalizer that ran while the thread waited already.
        self._before = [node.waiting_for for node in self._nodes] if self._nodes else ()

    def __enter__(self) -> None:
        for node in self._nodes:
            node.waiting_for = self._reply
        if self._nodes:
            try:
                self._check_for_cycle()
            except AskCycle:
                self.__exit__()
                raise

    def __exit__(self, *_exc: object) -> None:
        if self._nodes:
            for node, before in zip(self._nodes, self._before, strict=True):
                node.waiting_for = before

    def _check_for_cycle(self) -> None:
        names = [self._nodes[-1].name]
        node = self._reply.target
        seen: set[int] = set()
        while node is not None and id(node) not in seen:
            seen.add(id(node))
            names.append(node.name)
            if node in self._nodes:
                # This thread went from there to the one that asks, from handler to handler.
                within = self._nodes[self._nodes.index(node) + 1 :]
                raise AskCycle((*names, *(each.name for each in within)))
            pending = node.waiting_for
            node = None if pending is None or pending.done else pending.target


class waiting_for_lifecycle(blocked_on):  # noqa: N801  # a context manager reads as a verb
    """Mark this thread's actors as waiting for a :class:`LifecycleWait`.

    Nothing is raised here: callers that would have to wait for them meanwhile get the
    :class:`AskCycle`, also one that asked a moment ago.
    """

    __slots__ = ()

    def __enter__(self) -> None:
        for node in self._nodes:
            node.waiting_for = self._reply
        if self._nodes:
            self._abort_asker()

    def _abort_asker(self) -> None:
        """Follow the replies from the wait's actor; one that leads back here is called off."""
        chain: list[tuple[WaitNode, PendingWait]] = []
        node = self._reply.target
        while node is not None and node not in self._nodes:
            pending = node.waiting_for
            if pending is None or pending.done or any(each is node for each, _ in chain):
                return
            chain.append((node, pending))
            node = pending.target
        if node is None:
            return
        names = [each.name for each, _ in chain]
        held = [each.name for each in self._nodes[self._nodes.index(node) :]]
        for place, (asker, pending) in reversed([*enumerate(chain)]):
            if pending.abort(AskCycle((*names[place:], *held, *names[:place], asker.name))):
                return
