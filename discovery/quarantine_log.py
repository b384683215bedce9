"""Decides which quarantined entries get a line in the log: each once, and never a flood."""

from __future__ import annotations

import logging
from typing import Final

__all__ = ["MAX_LINES", "QuarantineLog"]

MAX_LINES: Final = 50
"""Entries in quarantine at the same time that get a line each; the others share one."""
MAX_REMEMBERED: Final = 1000
"""Pairs of key and reason that are remembered as said; the oldest are forgotten first."""


class QuarantineLog:
    """One line for each pair of key and reason, however often the value flaps."""

    def __init__(self, log: logging.Logger) -> None:
        self._log: Final = log
        self._said: dict[tuple[str, str], None] = {}
        self._overflow_said = False

    def remember(self, label: str, reason: str) -> None:
        """Take the pair as said: a previous incarnation did."""
        self._said[label, reason] = None
        if len(self._said) > MAX_REMEMBERED:
            del self._said[next(iter(self._said))]

    def say(self, label: str, reason: str, count: int, error: BaseException | None = None) -> None:
        """Log the pair unless that was done, with the traceback of ``error``.

        ``count`` entries are in quarantine now.
        """
        if (label, reason) in self._said:
            return
        if count > MAX_LINES:
            self._say_overflow()
            return
        self._overflow_said = False
        self.remember(label, reason)
        facts = {"entry_key": label, "reason": reason}
        self._log.warning("quarantined %s: %s", label, reason, exc_info=error, extra=facts)

    def _say_overflow(self) -> None:
        if not self._overflow_said:
            self._overflow_said = True
            self._log.warning(
                "more than %d entries are in quarantine; further ones are counted in /health only",
                MAX_LINES,
            )
