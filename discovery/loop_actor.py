"""A supervised actor with one blocking loop beside its mailbox.

The loop talks to the outside and may block; what it finds it tells the actor's own mailbox, so the
actor's state has one owner and stop, ask and restart work as for any actor. The loop's end is the
actor's: if it fails, or returns although it was not asked to, the actor crashes and its supervisor
restarts both.

One of them keeps a worker's announcement up, wherever that is made, and shows its status.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Final, Protocol

import pykka

from actors.supervision import Backoff, Child, Supervised
from actors.supervision.cancellation import CancellationToken
from discovery.source import SourceEnded

__all__ = [
    "Announcement",
    "LoopActor",
    "RegistrationActor",
    "RegistrationStatus",
    "registration_child",
]


_log = logging.getLogger("discovery.actor")

LOOP_END: Final = 2.0
"""Seconds that a stop waits for the loop; loops promise 0.1 s, or 1 s if they say goodbye."""


@dataclass(frozen=True, slots=True)
class _LoopEnded:
    """The loop of this actor is over; ``error`` is what ended it, None if it just returned."""

    error: BaseException | None


class LoopActor(Supervised):
    """Subclasses implement :meth:`run_loop` and :meth:`on_event`, and extend the hooks below."""

    _loop_token: CancellationToken
    _loop_thread: threading.Thread | None = None

    def run_loop(self, token: CancellationToken) -> None:
        """The loop, on its own thread: return soon after ``token`` is cancelled, not before."""
        raise NotImplementedError

    def on_event(self, event: Any) -> Any:
        """Handle one message, on the actor's thread."""
        raise NotImplementedError

    def tell_self(self, event: object) -> None:
        """Put ``event`` into this actor's mailbox; for the loop."""
        try:
            self.actor_ref.tell(event)
        except pykka.ActorDeadError:
            self._loop_token.cancel()

    def on_start(self) -> None:
        """Start the loop; call it last in an extension."""
        self._loop_token = self.token.child()
        self._loop_thread = threading.Thread(
            target=self._run_loop_to_its_end, name=f"{type(self).__name__}-loop", daemon=True
        )
        self._loop_thread.start()

    def on_receive(self, message: Any) -> Any:
        """Crash if the loop ended, else hand the message to :meth:`on_event`."""
        if isinstance(message, _LoopEnded):
            why = "returned" if message.error is None else f"failed with {message.error!r}"
            raise SourceEnded(
                f"the loop of {type(self).__name__} {why}, unasked"
            ) from message.error
        return self.on_event(message)

    def on_stop(self) -> None:
        """End the loop."""
        self.halt()

    def on_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the loop: the next incarnation brings its own."""
        del exception_type, exception_value, traceback
        self.halt()

    def halt(self) -> None:
        """End the loop and wait for it, ``LOOP_END`` seconds at most; called however we end."""
        if self._loop_thread is None:
            return
        self._loop_token.cancel()
        self._loop_thread.join(LOOP_END)
        if self._loop_thread.is_alive():
            _log.error("the loop of %s did not end within %s s", type(self).__name__, LOOP_END)

    def _run_loop_to_its_end(self) -> None:
        error: BaseException | None = None
        try:
            self.run_loop(self._loop_token)
        except BaseException as raised:  # noqa: BLE001  # reaches the supervisor as this crash
            error = raised
        if not self._loop_token.cancelled:
            self.tell_self(_LoopEnded(error))


@dataclass(frozen=True, slots=True)
class RegistrationStatus:
    """Whether the entries are announced, and if not, why not."""

    registered: bool = False
    """Whether all entries were announced when it was last checked (in etcd: under a live lease)."""
    lease: int | None = None
    """The lease's id, as etcdctl shows it in hexadecimal; None in a folder."""
    last_error: str | None = "not started"
    """One clause that is safe to show; None while registered."""
    draining: bool = False
    """Whether the entries are announced as draining."""


class Announcement(Protocol):
    """Entries that are announced while :meth:`run` runs: in etcd, or in a folder."""

    @property
    def status(self) -> RegistrationStatus:
        """The latest record. One attribute load."""
        ...

    def wait_registered(self, timeout: float) -> bool:
        """Block until the entries are announced or ``timeout`` seconds passed; returns which."""
        ...

    def drain(self, timeout: float) -> bool:
        """Mark the entries as draining within ``timeout`` seconds; returns whether they are."""
        ...

    def run(self, token: CancellationToken) -> None:
        """Keep the entries announced until ``token`` is cancelled, then withdraw them."""
        ...


class RegistrationActor(LoopActor):
    """Runs an :class:`Announcement`; a stop withdraws the entries."""

    def __init__(self, announcement: Announcement) -> None:
        super().__init__()
        self._announcement: Final = announcement

    def run_loop(self, token: CancellationToken) -> None:
        """Keep the entries announced."""
        self._announcement.run(token)

    def on_event(self, event: Any) -> None:
        """Ignore every message: ``status`` has all there is to ask."""


def registration_child(
    announcement: Announcement,
    *,
    id: str = "registration",  # noqa: A002  # what Child calls it
) -> Child:
    """The actor as a child for a supervisor: always restarted, after 0.2 to 5 s."""
    return Child(
        id, partial(RegistrationActor.start, announcement), backoff=Backoff(first=0.2, cap=5.0)
    )
