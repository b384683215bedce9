"""An actor that does something every so often, on the thread of a clock that it shares.

Short: it is what the recorder and the feed have in common. A tick must take milliseconds, and only
the incarnation that planned it hears it: a killed one's is of no use for the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from actors.supervision import CallingThreadActor, Clock, Exit, Timer

__all__ = ["Tick", "TickingActor"]


@dataclass(frozen=True, slots=True)
class Tick:
    """It is time; ``owner`` planned it."""

    owner: object


class TickingActor(CallingThreadActor):
    """Calls :meth:`tick` when that is due; subclasses extend ``on_start`` and say what it does."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._timer: Timer | None = None

    def tick(self) -> float | None:
        """Do it; seconds until the next time, ``None`` for not again until :meth:`plan`."""
        raise NotImplementedError

    def plan(self, seconds: float) -> None:
        """Have :meth:`tick` called then; what was planned before is not."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._clock.call_later(seconds, self._due)

    def on_start(self) -> None:
        """The end of this incarnation ends its plans."""
        self.lifecycle.watch(self._forget_plan)

    def on_receive(self, message: Any) -> Any:
        """Tick, if this incarnation planned it; nothing else is a message of this actor."""
        if isinstance(message, Tick) and message.owner is self:
            seconds = self.tick()
            if seconds is not None:
                self.plan(seconds)

    def _forget_plan(self, _exit: Exit) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _due(self) -> None:
        if self.address.alive:
            self.address.tell(Tick(self))
