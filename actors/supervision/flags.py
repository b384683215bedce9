"""How a supervisor treats its children: strategy, intensity, period, and when to end by itself."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from actors.supervision.errors import InvalidSpec
from actors.supervision.roster import AutoShutdown, Strategy
from actors.supervision.spec import Child

__all__ = ["SupervisorFlags"]


@dataclass(frozen=True, slots=True)
class SupervisorFlags:
    """How a supervisor treats its children; OTP's defaults."""

    strategy: Strategy = Strategy.ONE_FOR_ONE
    intensity: int = 1
    period: float = 5.0
    auto_shutdown: AutoShutdown = AutoShutdown.NEVER
    max_abandoned: int = 16
    """Abandoned threads that may still run; one more and the supervisor gives up."""

    def __post_init__(self) -> None:
        if not isinstance(self.strategy, Strategy):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without types
            raise InvalidSpec(f"strategy is {self.strategy!r}, but must be a Strategy")
        for name in ("intensity", "max_abandoned"):
            value = getattr(self, name)
            if type(value) is not int or value < 0:
                raise InvalidSpec(f"{name} is {value!r}, but must be a whole number ≥ 0")
        if type(self.period) not in (int, float) or not 0 < self.period < float("inf"):
            raise InvalidSpec(f"period is {self.period!r}, but must be seconds above 0")
        if not isinstance(self.auto_shutdown, AutoShutdown):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without types
            raise InvalidSpec(f"auto_shutdown is {self.auto_shutdown!r}: must be an AutoShutdown")

    def check(self, children: tuple[Child, ...]) -> None:
        """Raise :class:`InvalidSpec` unless ``children`` may live together under these flags."""
        seen: set[str] = set()
        for child in children:
            self.check_newcomer(child, seen)
            seen.add(child.id)

    def check_newcomer(self, child: Child, taken: Container[str]) -> None:
        """Raise :class:`InvalidSpec` unless ``child`` may join those with the ids ``taken``."""
        if not isinstance(child, Child):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without types
            raise InvalidSpec(f"children are Child(...) objects, but one is {child!r}")
        if child.id in taken:
            raise InvalidSpec(f"there is a child {child.id!r} already; ids must differ")
        if child.significant and self.auto_shutdown is AutoShutdown.NEVER:
            raise InvalidSpec(
                f"child {child.id!r} is significant, which means nothing with "
                "auto_shutdown NEVER; set ANY_SIGNIFICANT or ALL_SIGNIFICANT"
            )
