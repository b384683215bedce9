"""A registration as a supervised actor: it stands in a worker's tree beside what it announces."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from actors.supervision import Backoff, Child
from actors.supervision.cancellation import CancellationToken
from discovery.file_registration import FileRegistration
from discovery.loop_actor import LoopActor
from discovery.registration import Registration

__all__ = ["RegistrationActor", "registration_child"]


class RegistrationActor(LoopActor):
    """Runs a :class:`~discovery.registration.Registration`; a stop withdraws the entries."""

    def __init__(self, registration: Registration | FileRegistration) -> None:
        super().__init__()
        self._registration: Final = registration

    def run_loop(self, token: CancellationToken) -> None:
        """Keep the entries announced."""
        self._registration.run(token)

    def on_event(self, event: Any) -> None:
        """Ignore every message: there is nothing to ask that ``status`` does not tell."""


def registration_child(
    registration: Registration | FileRegistration,
    *,
    id: str = "registration",  # noqa: A002  # what Child calls it
) -> Child:
    """The actor as a child for a supervisor: restarted for ever, after 0.2 to 5 s."""
    return Child(
        id, partial(RegistrationActor.start, registration), backoff=Backoff(first=0.2, cap=5.0)
    )
