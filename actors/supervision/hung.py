"""Children that hang: when to look for them, and the threads that were left behind.

A Python thread can't be killed, so a hung one is cut off and goes on; a supervisor that left too
many behind must not add to them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from actors.supervision.child_runner import ChildRunner
from actors.supervision.clock import Clock, Timer

__all__ = ["HangDetector"]

CHECKS_PER_HANG_AFTER: Final = 4
"""How often within the shortest ``hang_after`` hung children are looked for."""


class HangDetector:
    """Looks for hung children as long as there is one that may hang. The supervisor's thread only.

    ``remind()`` is called on the clock's thread and must lead to :meth:`look` on the supervisor's.
    """

    def __init__(
        self, clock: Clock, children: Mapping[str, ChildRunner], remind: Callable[[], object]
    ) -> None:
        self._clock = clock
        self._children = children
        self._remind = remind
        self._timer: Timer | None = None
        self._due = 0.0

    def expect(self, hang_after: float | None) -> None:
        """A child is up that hangs if a message takes it longer than ``hang_after`` seconds."""
        if hang_after is None:
            return
        due = self._clock.monotonic() + hang_after / CHECKS_PER_HANG_AFTER
        if self._timer is not None:
            if self._due <= due:
                return
            self._timer.cancel()
        self._due = due
        self._timer = self._clock.call_later(hang_after / CHECKS_PER_HANG_AFTER, self._remind)

    def look(self) -> None:
        """Abandon who hangs, and look again in a while."""
        self._timer = None
        now = self._clock.monotonic()
        children = [*self._children.values()]
        for child in children:
            child.abandon_if_hung(now)
        limits = [child.spec.hang_after for child in children]
        self.expect(min((each for each in limits if each is not None), default=None))
