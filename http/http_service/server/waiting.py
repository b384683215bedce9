"""Waits for an answer on the calling thread: for servers that can't take one over."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING, Final

from actors.engines.errors import EngineTimeout

if TYPE_CHECKING:  # delivery has the words for what is late from here
    from http_service.server.delivery import Answer

__all__ = ["LATE", "SILENT", "AnswerWait"]

SILENT: Final = "The engine was silent for longer than this service waits."
LATE: Final = "The answer took longer than the request allows."


class AnswerWait:
    """The one consumer of ``answer``; blocks the thread that calls it.

    ``silence`` is how long the engine may say nothing, in seconds; each push starts it anew.
    ``deadline`` is when the whole answer must be there, on ``time.monotonic()``'s clock. An engine
    past either has failed with ``EngineTimeout``.
    """

    def __init__(self, answer: Answer, silence: float, deadline: float | None = None) -> None:
        self._answer = answer
        self._silence = silence
        self._deadline = math.inf if deadline is None else deadline
        self._woken = threading.Event()
        answer.attach(self._woken.set)

    def until_begun(self) -> BaseException | None:
        """Wait until there is something to write; the error that came instead, if one did."""
        answer = self._answer
        while not (answer.begun or answer.ended):
            self._wait()
        return None if answer.begun else answer.error

    def take(self) -> bytes:
        """Wait for bytes and take all that are ready; empty at the end."""
        answer = self._answer
        while True:
            self._woken.clear()
            ended = answer.ended
            data = answer.take()
            if data or ended:
                return data
            self._wait()

    def _wait(self) -> None:
        now = time.monotonic()
        left = min(self._answer.heard + self._silence, self._deadline) - now
        if left <= 0:
            self._answer.fail(EngineTimeout(LATE if self._deadline <= now else SILENT))
        elif self._woken.wait(left):
            self._woken.clear()
