"""The supervised actor: Pykka's hooks and refs, OTP's way to die.

A subclass shares its namespace with every base, so this one adds few names to Pykka's, all public
but one: whatever runs the actor is in its :class:`~actors.supervision.actor_loop.ActorLoop`.

Pykka's ``start`` makes the object and runs it in one call, so there is no argument to pass a name
by. A supervisor puts a :class:`StartContext` on the starting thread instead, for the one object
that ``Supervised.start`` makes: actors that are started meanwhile, as in that one's ``__init__`` or
by a finalizer, get none.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Final, Self, TypeVar, cast

import pykka

from actors.supervision.actor_loop import ActorLoop, StopFlag, refs, register
from actors.supervision.address import Address, AddressTable
from actors.supervision.cancellation import CancellationToken
from actors.supervision.clock import Clock
from actors.supervision.events import EventBus
from actors.supervision.lifecycle import ActorLifecycle
from actors.supervision.mailbox import Mailbox, Overflow
from actors.supervision.reply import Reply
from actors.supervision.user_code import check_sync

__all__ = [
    "HandoverState",
    "StartContext",
    "Supervised",
    "TreeContext",
    "actor_loops",
    "claim_start_context",
    "current_start_context",
    "detach_from_tree",
    "for_next_actor",
    "invalidate_every_actor",
    "is_plain_start",
    "launch",
    "start_context",
    "start_with_context",
]


@dataclass(slots=True)
class HandoverState:
    """The state that an incarnation saved last, for the next one."""

    state: Any = None


@dataclass(frozen=True, slots=True)
class TreeContext:
    """What every actor of one tree shares."""

    clock: Clock
    table: AddressTable
    events: EventBus


@dataclass(frozen=True, slots=True)
class StartContext:
    """What one incarnation gets: the child's path in the tree, its address, the saved state."""

    path: str
    address: Address
    tree: TreeContext
    handover: HandoverState = field(default_factory=HandoverState)
    owner: object = None
    """The :class:`ChildRunner` that starts it; see :meth:`Address.set_owner`."""
    awaits_admission: bool = False
    """Whether the actor's first message waits until its supervisor has admitted it."""
    created: list[ActorLoop] = field(default_factory=list[ActorLoop])
    """Of every actor that was made with this context: one may be dead before ``start`` returns."""

    def take(self, ref: object) -> tuple[ActorLoop, list[ActorLoop]]:
        """The loop of the actor whose ``ref`` was returned by ``start``, and those of the others
        that ``start`` made; ``TypeError`` if that actor is none of them."""
        for loop in self.created:
            if loop.actor.actor_ref is ref:
                others = [each for each in self.created if each is not loop]
                self.created.clear()
                return loop, others
        wanted = "the ref of a Supervised actor that it made"
        raise TypeError(f"start must return {wanted}, not {ref!r}")

    def stop_created(self) -> None:
        """Order every actor that was made with this context to stop: none became the child."""
        for loop in self.created:
            loop.actor.actor_ref.stop(block=False)
        self.created.clear()


class _StartLocal(threading.local):
    context: StartContext | None = None
    """For every actor that a function of the user's own starts on this thread."""
    next_actor: StartContext | None = None
    """For the next actor that is made on this thread."""


_start_local = _StartLocal()


@contextmanager
def start_context(context: StartContext | None) -> Generator[None]:
    """Give ``context`` to every actor that is started on this thread within the block."""
    before, _start_local.context = _start_local.context, context
    try:
        yield
    finally:
        _start_local.context = before


@contextmanager
def for_next_actor(context: StartContext | None) -> Generator[None]:
    """Have the first actor that is made within the block claim ``context``, and no other."""
    before = _start_local.context, _start_local.next_actor
    _start_local.context, _start_local.next_actor = None, context
    try:
        yield
    finally:
        _start_local.context, _start_local.next_actor = before


def current_start_context() -> StartContext | None:
    """The context for an actor that is started on this thread."""
    return _start_local.context


def claim_start_context() -> StartContext | None:
    """The context of the actor that is being made; ``None`` outside a tree, and a second time."""
    context, _start_local.next_actor = _start_local.next_actor, None
    return context


A = TypeVar("A", bound="Supervised")


class Supervised(pykka.Actor):
    """An actor with a thread of its own, for a supervisor to start, watch and restart.

    Write ``on_start``, ``on_receive`` and ``on_stop`` as in Pykka; they run on the actor's thread.
    Unsupervised (``MyActor.start()``) it works too: it just is not restarted.
    """

    fatal: ClassVar[tuple[type[BaseException], ...]] = ()
    """Exceptions that crash the actor when raised on an *ask*; on a *tell* every one does."""

    mailbox_capacity: ClassVar[int | None] = None
    """How many messages may wait; ``None`` for any number.

    A full mailbox never blocks a sender. What it refuses is a dead letter after a tell, and
    fails with ``MailboxFull`` if it was asked. Stopping needs no room.
    """
    mailbox_overflow: ClassVar[Overflow] = Overflow.REJECT
    """Which message a full mailbox refuses: the new one, or the one that has waited longest."""

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        context = claim_start_context()
        super().__init__()
        mailbox = cast("Mailbox", self.actor_inbox)
        self.actor_stopped = self._actor_ref.actor_stopped = StopFlag()
        self.name: str = type(self).__name__ if context is None else context.address.path
        """The child's path in the tree; outside of one the class's name."""
        self.address = Address(self.name) if context is None else context.address
        """This child's address, which survives its restarts."""
        self.token: Final[CancellationToken] = mailbox.token
        """Cancelled when this incarnation is asked to stop, has ended, or was abandoned."""
        mailbox.name = self.name
        mailbox.clock = self.address.clock
        mailbox.on_dead_letter = self.address.dead_letter
        self._supervised_loop: Final = ActorLoop(
            self,
            self.name,
            mailbox,
            time.monotonic if context is None else context.tree.clock.monotonic,
            self._handle_receive,
            self.fatal,
            supervised=context is not None,
        )
        self._actor_start_context = context
        if context is not None:
            context.created.append(self._supervised_loop)

    @classmethod
    def start(cls, *args: Any, **kwargs: Any) -> pykka.ActorRef[Self]:  # pyright: ignore[reportIncompatibleMethodOverride]  # Pykka's own signature
        """Make an actor with these arguments, start it, and return its ref.

        Pykka's, with two differences: of the actors that are started on a supervisor's thread only
        the child itself becomes the child, and a forgotten ``super().__init__()`` has a name.
        """
        return make_and_start(cls, current_start_context(), args, kwargs)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        check_sync(cls)
        fatal: Any = cls.fatal
        classes: list[Any] = [*fatal] if isinstance(fatal, tuple) else [fatal, None]
        if not all(isinstance(each, type) and issubclass(each, BaseException) for each in classes):
            raise TypeError(f"{cls.__qualname__}.fatal is {fatal!r}, but must be exception classes")

    @property
    def lifecycle(self) -> ActorLifecycle:
        """This incarnation's: ``lifecycle.watch(fn)`` calls ``fn(exit)`` once, at its end."""
        return self._supervised_loop.lifecycle

    @property
    def restored_state(self) -> Any:
        """What the previous incarnation saved last, with ``hand_over=True``; else ``None``."""
        return (
            None if self._actor_start_context is None else self._actor_start_context.handover.state
        )

    def save_state(self, state: Any) -> None:
        """Leave ``state``, which must be immutable, to the next incarnation: an attribute store."""
        if self._actor_start_context is not None:
            self._actor_start_context.handover.state = state

    @classmethod
    def _create_actor_inbox(cls) -> Mailbox:  # pyright: ignore[reportIncompatibleMethodOverride]  # Pykka calls it on the object; the capacity is the class's
        return Mailbox(cls.mailbox_capacity, cls.mailbox_overflow)

    @staticmethod
    def _create_future() -> Reply:
        return Reply()

    def _start_actor_loop(self) -> None:
        launch(self, self._supervised_loop.start_thread)


def make_and_start(
    cls: type[A], context: StartContext | None, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> pykka.ActorRef[A]:
    """Make an actor of ``cls`` with this context and these arguments, and start it."""
    with for_next_actor(context):
        actor = cls(*args, **kwargs)
        if "_supervised_loop" not in vars(actor):
            raise TypeError(f"{cls.__qualname__}.__init__ must call super().__init__()")
        register(actor.actor_ref)
        actor._start_actor_loop()  # pyright: ignore[reportPrivateUsage]  # one concept, one file
        return actor.actor_ref


def is_plain_start(start: Callable[..., object]) -> bool:
    """Whether ``start`` is ``MyActor.start``, or a ``functools.partial`` of it.

    A function of the user's own may make several actors, and ask them before it returns.
    """
    while isinstance(start, partial):
        start = cast("partial[object]", start).func
    return getattr(start, "__func__", None) is cast("Any", Supervised.start).__func__


def start_with_context(
    context: StartContext, start: Callable[[], pykka.ActorRef[Any]]
) -> pykka.ActorRef[Any]:
    """Call ``start`` so that the actor which it makes gets ``context``."""
    if not is_plain_start(start):
        with start_context(context):
            return start()
    if not isinstance(start, partial):
        return make_and_start(cast("Any", start).__self__, context, (), {})
    made_by = cast("Any", start.func).__self__  # a partial of a partial is one partial
    return make_and_start(made_by, context, start.args, start.keywords)


def launch(actor: Supervised, run: Callable[[], object]) -> None:
    """Have ``run`` bring the actor up, and its address lead there."""
    loop, context = actor._supervised_loop, actor._actor_start_context  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # one concept, one file
    if context is None:
        _set_running_itself(actor)
    else:
        # Before on_start: what it sends to its own address arrives.
        actor.address.set_starting(loop.mailbox, loop.lifecycle, context.owner)
    run()
    if context is None or not context.awaits_admission:
        loop.admit()


def actor_loops() -> list[tuple[ActorLoop, Address]]:
    """Of every supervised actor that lives now, with its address."""
    actors = [ref._actor_weakref() for ref in refs()]  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # Pykka has no other way
    ours = [each for each in actors if isinstance(each, Supervised)]
    return [(each._supervised_loop, each.address) for each in ours]  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # one concept, one file


def detach_from_tree(actor: Supervised) -> None:
    """Have an actor that did not become the child count as started outside of the tree."""
    loop = actor._supervised_loop  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # one concept, one file
    actor._actor_start_context = None  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # likewise
    actor.name = loop.name = loop.mailbox.name = type(actor).__name__
    actor.address = Address(actor.name)
    loop.mailbox.clock = None
    loop.mailbox.on_dead_letter = actor.address.dead_letter
    loop.supervised = False
    _set_running_itself(actor)


def _set_running_itself(actor: Supervised) -> None:
    """Outside of a tree there is one incarnation, and its address is as good as its ref."""
    loop, address = actor._supervised_loop, actor.address  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # one concept, one file
    address.begin_epoch()
    address.set_running(loop.mailbox, loop.lifecycle)
    loop.lifecycle.watch(lambda _exit: address.mark_stopped())


def invalidate_every_actor() -> None:
    """In a forked process: have every actor and every address count as ended.

    The child of ``os.fork()`` has every actor and none of their threads: a call would wait forever,
    so it fails at once and says why. Neither watchers nor cancellation callbacks are called there:
    what they would put in order is the parent's, which does not notice.
    """
    why = (
        f"runs in process {os.getppid()}, and this one, {os.getpid()}, was forked from it: threads "
        "don't survive a fork. Start a tree of its own here, or begin processes by 'spawn'"
    )
    addresses: dict[Address, None] = {}
    for loop, address in actor_loops():
        loop.invalidate(f"{loop.name} {why}")
        addresses[address] = None
        if isinstance(address.table, AddressTable):
            addresses.update(dict.fromkeys(address.table.all()))
    for address in addresses:
        address.mark_stopped(why)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=invalidate_every_actor)
