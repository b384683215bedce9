"""How an incarnation ended, kept without pinning a single frame of it."""

from __future__ import annotations

import enum
import traceback
from dataclasses import dataclass
from typing import Final, Self

__all__ = ["Cause", "Exit", "Failure"]

TRACEBACK_LIMIT: Final = -50
"""The innermost frames that a summary keeps: a runaway recursion must not cost a megabyte."""


class Cause(enum.Enum):
    """Why an incarnation ended."""

    NORMAL = "normal"
    """It stopped by itself, or was stopped from outside the tree."""
    SHUTDOWN = "shutdown"
    """Its supervisor stopped it; for a supervisor also: it gave up, or shut down by itself."""
    CRASH = "crash"
    """A handler or ``on_stop`` raised."""
    START = "start"
    """``on_start`` raised, or took longer than ``start_within``."""
    HUNG = "hung"
    """It was busy for too long and was abandoned; its thread may still run, fenced."""


class Failure:
    """What was raised: type, text and traceback, without the exception and its frames."""

    __slots__ = ("_summary", "message", "type")

    def __init__(self, error: BaseException) -> None:
        summary = traceback.TracebackException(
            type(error), error, error.__traceback__, limit=TRACEBACK_LIMIT, lookup_lines=False
        )
        self.type: Final = type(error).__qualname__
        self.message: Final = str(summary)
        self._summary: Final = summary

    @property
    def traceback(self) -> str:
        """The traceback as Python prints it. Formatted on each call; source lines are read now."""
        return "".join(self._summary.format())

    def __str__(self) -> str:
        return f"{self.type}: {self.message}" if self.message else self.type

    def __repr__(self) -> str:
        return f"Failure({self!s})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Failure):
            return NotImplemented
        return self.type == other.type and self.message == other.message

    def __hash__(self) -> int:
        return hash((self.type, self.message))


_ABNORMAL: Final = frozenset({Cause.CRASH, Cause.START, Cause.HUNG})


@dataclass(frozen=True, slots=True)
class Exit:
    """The end of one incarnation.

    ``error`` is the summary of what was raised. A supervisor that gave up ends, as in OTP, with
    ``Cause.SHUTDOWN``, which is not abnormal; its ``error`` is then a ``GaveUp``.
    """

    cause: Cause
    error: Failure | None = None

    @classmethod
    def of(cls, cause: Cause, error: BaseException) -> Self:
        """The exit that ``error`` caused."""
        return cls(cause, Failure(error))

    @property
    def abnormal(self) -> bool:
        """Whether a transient child is restarted after it."""
        return self.cause in _ABNORMAL

    def __str__(self) -> str:
        return self.cause.value if self.error is None else f"{self.cause.value} ({self.error})"
