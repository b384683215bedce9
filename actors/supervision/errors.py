"""Every error of the supervision library, one family a base class."""

from __future__ import annotations

__all__ = ["ActorsError", "Cancelled"]


class ActorsError(Exception):
    """The base of every error raised by this library; never raised itself."""


class Cancelled(ActorsError):
    """The work's cancellation token was cancelled; nobody waits for the result any more."""
