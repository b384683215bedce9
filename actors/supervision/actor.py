"""The supervised actor: Pykka's hooks and refs, OTP's way to die.

A subclass shares its namespace with every base, so this one adds few names to Pykka's, all public
but one: whatever runs the actor is in its :class:`~actors.supervision.runtime.Runtime`.
"""

from __future__ import annotations

import time
from typing import Any, ClassVar, Final, cast

import pykka

from actors.supervision.address import Address
from actors.supervision.birth import current_birth
from actors.supervision.cancellation import CancellationToken
from actors.supervision.life import Life
from actors.supervision.mailbox import Mailbox, Overflow
from actors.supervision.reply import Reply
from actors.supervision.runtime import Runtime

__all__ = ["Supervised"]


class Supervised(pykka.Actor):
    """An actor with a thread of its own, for a supervisor to start, watch and restart.

    Write ``on_start``, ``on_receive`` and ``on_stop`` as in Pykka; they run on the actor's thread.
    Unsupervised (``MyActor.start()``) it works too: it just is not restarted.
    """

    fatal: ClassVar[tuple[type[BaseException], ...]] = ()
    """Exceptions that crash the actor when raised on an *ask*; on a *tell* every one does."""

    mailbox_capacity: ClassVar[int | None] = None
    """How many messages may wait; ``None`` for any number.

    A full mailbox never holds a sender up. What it refuses is a dead letter if it was told, and
    fails with ``MailboxFull`` if it was asked. Stopping needs no room.
    """
    mailbox_overflow: ClassVar[Overflow] = Overflow.REJECT
    """Whom a full mailbox refuses: the newcomer, or who has waited longest."""

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        super().__init__()
        birth = current_birth()
        mailbox = cast("Mailbox", self.actor_inbox)
        self.name: str = type(self).__name__ if birth is None else birth.address.path
        """The child's path in the tree; outside of one the class's name."""
        self.address: Final = Address(self.name) if birth is None else birth.address
        """This child's address, which survives its restarts."""
        self.token: Final[CancellationToken] = mailbox.token
        """Cancelled when this incarnation is asked to stop, has ended, or was abandoned."""
        mailbox.name = self.name
        mailbox.clock = self.address.clock
        mailbox.on_dead_letter = self.address.dead_letter
        self._actor_runtime: Final = Runtime(
            self,
            self.name,
            mailbox,
            time.monotonic if birth is None else birth.kin.clock.monotonic,
            self._handle_receive,
            self.fatal,
            supervised=birth is not None,
        )
        self._actor_birth: Final = birth
        if birth is not None:
            birth.cradle.append(self._actor_runtime)

    @property
    def life(self) -> Life:
        """The life of this incarnation: ``life.watch(fn)`` calls ``fn(exit)`` once, at its end."""
        return self._actor_runtime.life

    @property
    def inherited(self) -> Any:
        """What the previous incarnation published last, with ``hand_over=True``; else ``None``."""
        return None if self._actor_birth is None else self._actor_birth.estate.state

    def publish(self, state: Any) -> None:
        """Leave ``state``, which must be immutable, to the next incarnation: an attribute store."""
        if self._actor_birth is not None:
            self._actor_birth.estate.state = state

    @classmethod
    def _create_actor_inbox(cls) -> Mailbox:  # pyright: ignore[reportIncompatibleMethodOverride]  # Pykka calls it on the object; the capacity is the class's
        return Mailbox(cls.mailbox_capacity, cls.mailbox_overflow)

    @staticmethod
    def _create_future() -> Reply:
        return Reply()

    def _start_actor_loop(self) -> None:
        self._actor_runtime.start_thread()
