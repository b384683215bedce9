"""Every error of the supervision library, one family a base class."""

from __future__ import annotations

import pykka

__all__ = [
    "ActorCrashed",
    "ActorsError",
    "AskCycle",
    "Cancelled",
    "ChildStateError",
    "GaveUp",
    "InvalidSpec",
    "MailboxFull",
    "NotDelivered",
    "StartFailed",
    "UnknownChild",
]


class ActorsError(Exception):
    """The base of every error raised by this library; never raised itself."""


class Cancelled(ActorsError):
    """The work's cancellation token was cancelled; its result is no longer wanted."""


class NotDelivered(ActorsError, pykka.ActorDeadError):
    """The message was provably never handled, so sending it again is safe."""


class MailboxFull(NotDelivered):
    """The actor's bounded mailbox refused the message; the actor lives. Send less, or later."""


class ActorCrashed(ActorsError):
    """The actor died, or was abandoned, while it handled the message: what it did is unknown."""


class AskCycle(ActorsError):
    """Waiting for this answer could never end: the asked actor waits for the asking one.

    ``cycle`` holds the names, beginning and ending with the actor that asked.
    """

    def __init__(self, cycle: tuple[str, ...]) -> None:
        super().__init__(f"{' -> '.join(cycle)}: each waits for the next; tell instead of ask")
        self.cycle = cycle


class InvalidSpec(ActorsError, ValueError):
    """A child specification or a supervisor flag has a value that is not allowed."""


class StartFailed(ActorsError):
    """A child could not be started, so everything that was started with it was stopped again.

    ``child`` is the path of the child that failed, seen from the supervisor that was asked;
    ``__cause__`` is the root cause, whatever the depth of the tree.
    """

    def __init__(self, child: str, cause: BaseException) -> None:
        path, root = child, cause
        if isinstance(cause, StartFailed):
            path = f"{child}/{cause.child}"
            root = cause.__cause__ or cause
        super().__init__(f"child {path!r} did not start: {type(root).__name__}: {_text(root)}")
        self.child: str = path
        self.__cause__ = root


class GaveUp(ActorsError):
    """A supervisor saw more restarts than its intensity allows, and ended itself."""


class UnknownChild(ActorsError, LookupError):
    """No child has that path; the message lists the ones that exist."""


class ChildStateError(ActorsError):
    """The child is not in a state that allows the call; ``state`` says what it is in."""

    def __init__(self, message: str, state: str) -> None:
        super().__init__(message)
        self.state = state


def _text(error: BaseException) -> str:
    """``str(error)``, for errors that may not even be able to say what they are."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001  # an error's own __str__ is foreign code
        return "<its __str__ failed>"
