"""A worker's announcement, wherever it is made: its status, and the actor that keeps it up."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

from actors.supervision import Backoff, Child
from actors.supervision.cancellation import CancellationToken
from discovery.loop_actor import LoopActor

__all__ = ["Announcement", "RegistrationActor", "RegistrationStatus", "registration_child"]


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
