"""What a failure before the first byte means: one table. Pure.

Whether another instance may be asked, how much it tells against the health of the instance
(points, see ``breaker``), whether the instance wants to be left alone for a moment, and the word
for it in metrics and listings. The first row that matches counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from actors.engines.errors import (
    AnswerTooLong,
    ClientTooSlow,
    DeadlineExceeded,
    EngineError,
    EngineTimeout,
    EngineUnavailable,
    LocalShortage,
    NotTranslatable,
)
from actors.engines.pool.breaker import LIMIT
from actors.supervision.errors import Cancelled

__all__ = ["CANCELLED", "COOLDOWN", "LONGEST_COOLDOWN", "SUCCESS", "FailureClass", "classify"]

COOLDOWN: Final = 0.5
"""Seconds that a busy instance is left alone while others have room: requests end at that pace."""

LONGEST_COOLDOWN: Final = 30.0
"""Seconds that it may ask for with its ``Retry-After``: as long as a broken one is out at most."""


@dataclass(frozen=True, slots=True)
class FailureClass:
    """What to do about one failure; ``kind`` is its name, one of a handful; ``pause`` in s."""

    kind: str
    retry: bool
    penalty: int = 0
    pause: float = 0.0


SUCCESS: Final = FailureClass("", retry=False)
CANCELLED: Final = FailureClass("cancelled", retry=False)


def classify(error: BaseException) -> FailureClass:
    """The failure class of ``error``; whatever is no ``EngineError`` is an engine's own defect."""
    found = next(failure for matches, failure in _TABLE if matches(error))
    # NOTE: one second is what is told of who did not say for how long.
    if found.pause and isinstance(error, EngineError) and (error.retry_after or 0) > 1:
        return replace(found, pause=min(float(error.retry_after or 0), LONGEST_COOLDOWN))
    return found


def _is(*classes: type[BaseException]) -> Callable[[BaseException], bool]:
    return lambda error: isinstance(error, classes)


def _status(*statuses: int) -> Callable[[BaseException], bool]:
    return lambda error: isinstance(error, EngineError) and error.status in statuses


def _below_500(error: BaseException) -> bool:
    return isinstance(error, EngineError) and error.status < 500


def _caused_by(*classes: type[BaseException]) -> Callable[[BaseException], bool]:
    """An unavailable engine, somewhere down whose chain of causes is one of ``classes``."""

    def matches(error: BaseException) -> bool:
        if not isinstance(error, EngineUnavailable):
            return False
        cause = error.__cause__
        for _ in range(_DEPTH):
            if cause is None:
                return False
            if isinstance(cause, classes):
                return True
            cause = cause.__cause__ or cause.__context__
        return False

    return matches


_DEPTH: Final = 8
"""Causes looked through: libraries wrap an OSError two or three times."""

_TABLE: Final[tuple[tuple[Callable[[BaseException], bool], FailureClass], ...]] = (
    # The client's doing, or this process': says nothing about the instance, nor would another help.
    (_is(Cancelled, DeadlineExceeded, ClientTooSlow, LocalShortage), CANCELLED),
    # It came back to this process; asking others would multiply it.
    (_status(508), FailureClass("loop", retry=False)),
    # Busy is not broken.
    (_status(429), FailureClass("busy", retry=True, pause=COOLDOWN)),
    # Said in an API that this instance does not speak: another one may.
    (_is(NotTranslatable), FailureClass("not_spoken", retry=True)),
    # The client's mistake is the same everywhere, and finding it takes a healthy instance.
    (_below_500, FailureClass("rejected", retry=False)),
    (_status(501), FailureClass("unsupported", retry=False)),
    # As long from every instance, and each would compute it anew.
    (_is(AnswerTooLong), FailureClass("too_long", retry=False)),
    # Loading, or draining: it says so itself, so it may be sooner back than a broken one.
    (_status(503), FailureClass("not_ready", retry=True, penalty=1)),
    # A hang takes the client's time each time: two are enough.
    (_is(EngineTimeout), FailureClass("timeout", retry=True, penalty=(LIMIT + 1) // 2)),
    # Nobody listens: one is enough.
    (_caused_by(ConnectionRefusedError), FailureClass("connect", retry=True, penalty=LIMIT)),
    # Cut off: two in a row, because one may be a keep-alive connection that was just closed.
    (_caused_by(OSError), FailureClass("reset", retry=True, penalty=(LIMIT + 1) // 2)),
    (_is(EngineUnavailable), FailureClass("unavailable", retry=True, penalty=1)),
    (_is(EngineError), FailureClass("failed", retry=True, penalty=1)),
    # A defect of an in-process engine, perhaps of this one only.
    (_is(BaseException), FailureClass("crashed", retry=True, penalty=1)),
)
