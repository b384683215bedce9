"""The answer to an ask: the first writer wins, later ones get False and nothing breaks.

Pykka's own future raises ``queue.Full`` at the second writer, which kills the actor's thread when
another thread has settled its reply. Here a timeout, a death or an abandonment may settle a reply
at any time.
"""

from __future__ import annotations

import sys
import threading
from _thread import allocate_lock
from time import monotonic
from types import TracebackType
from typing import Any

import pykka

from actors.supervision.deadlock import WaitNode, blocked_on
from actors.supervision.errors import AskCycle, NotDelivered

__all__ = ["Reply"]

OptExcInfo = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]


class Reply(pykka.Future[Any]):
    """A Pykka future on two raw locks: one decides who writes, one holds the readers back."""

    waited = 0.0
    """Seconds that the last reader waited for a refusal, by the clock of the actor's tree."""

    def __init__(self) -> None:
        super().__init__()
        # PERF: raw locks; a Condition costs more than the rest of an ask to a turn actor.
        self._once = allocate_lock()
        self._gate = allocate_lock()
        self._gate.acquire()
        self._value: Any = None
        self._error: BaseException | None = None
        self.done = False
        self.refused = False
        """Whether the mailbox refused the message: then no handler ever saw it."""
        self.withdrawn = False
        """Whether the message must not be handled any more: its answer is no longer waited for."""
        self.target: WaitNode | None = None
        """The actor that was asked, known from the moment its mailbox took the message."""

    def settle(self, value: Any) -> bool:
        """Answer with ``value``; False if the reply was settled before."""
        return self._settle(value, None)

    def fail(self, error: BaseException) -> bool:
        """Answer with ``error``; False if the reply was settled before."""
        return self._settle(None, error)

    def abort(self, error: AskCycle) -> bool:
        """Withdraw the message and fail: the asked actor waits for the asking one."""
        self.withdrawn = True
        self._settle(None, error)
        return True

    def refuse(self, error: NotDelivered) -> bool:
        """Fail as never handled; False if the reply was settled before."""
        if not self._once.acquire(blocking=False):
            return False
        self.refused = True
        self._publish(None, error)
        return True

    def set(self, value: Any | None = None) -> None:
        """Pykka's name for :meth:`settle`; never raises."""
        self._settle(value, None)

    def set_exception(self, exc_info: OptExcInfo | None = None) -> None:
        """Pykka's name for :meth:`fail`; the exception being handled, if none is given."""
        error = (exc_info or sys.exc_info())[1]
        self._settle(None, error if error is not None else RuntimeError("no exception was given"))

    def get(self, *, timeout: float | None = None) -> Any:
        """The answer, within ``timeout`` seconds (``None``: forever).

        Raises what the handler raised, ``pykka.Timeout``, or :class:`AskCycle` at once when the
        asked actor waits, directly or not, for the actor whose handler this thread runs.
        """
        if not self.done:
            if self._get_hook is not None:
                return super().get(timeout=timeout)
            self._wait(timeout)
        if self._error is not None:
            raise self._error
        return self._value

    def forget_error(self) -> None:
        """For its only reader, which has the error now.

        The error's traceback holds frames that hold this reply: a cycle, left to the garbage
        collector together with all that the handler had in its hands.
        """
        self._error = None

    def _wait(self, timeout: float | None) -> None:
        clock = None if self.target is None else self.target.clock
        now = monotonic if clock is None else clock.monotonic
        begin = now()
        try:
            with blocked_on(self):
                answered = (
                    self._opened(timeout) if clock is None else clock.wait(self._opened, timeout)
                )
        except AskCycle:
            # Handled later, it would ask the next one in the ring, and so on forever.
            self.withdrawn = True
            raise
        if self.refused:
            self.waited = now() - begin
        if not answered:
            raise pykka.Timeout(f"no answer within {timeout} seconds")

    def _opened(self, seconds: float | None) -> bool:
        """Wait so long for the gate, and leave it open for the next reader."""
        limit = -1.0 if seconds is None else min(max(0.0, seconds), threading.TIMEOUT_MAX)
        if not self._gate.acquire(timeout=limit):
            return False
        self._gate.release()
        return True

    def _settle(self, value: Any, error: BaseException | None) -> bool:
        if not self._once.acquire(blocking=False):
            return False
        self._publish(value, error)
        return True

    def _publish(self, value: Any, error: BaseException | None) -> None:
        self._value, self._error = value, error
        self.done = True
        self._gate.release()
