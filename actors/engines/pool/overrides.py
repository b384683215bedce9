"""What an operator set for one instance against what it says of itself. Pure.

Overrides are this front-end's own: they belong to the pool, outlive the instance's announcements
and end with the process.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from actors.engines.pool.spec import InstanceSpec

__all__ = ["NO_OVERRIDES", "OverriddenInstance", "Overrides", "UnknownInstance"]


class UnknownInstance(LookupError):
    """The pool has no instance of that id."""


@dataclass(frozen=True, slots=True)
class Overrides:
    """``drained``: it gets no new request; ``ejected``: only where no other instance is left.

    ``weight`` takes the place of the announced one; ``None`` leaves it.
    """

    drained: bool = False
    ejected: bool = False
    weight: float | None = None

    def applied_to(self, announced: InstanceSpec) -> InstanceSpec:
        """What counts instead of ``announced``."""
        return replace(
            announced,
            draining=announced.draining or self.drained,
            weight=announced.weight if self.weight is None else self.weight,
        )


NO_OVERRIDES: Final = Overrides()


class OverriddenInstance:
    """An instance with overrides, and what it says of itself. Guarded by the pool's lock."""

    __slots__ = ("announced", "overrides")

    def __init__(self, announced: InstanceSpec) -> None:
        self.announced = announced
        self.overrides = NO_OVERRIDES

    @property
    def spec(self) -> InstanceSpec:
        """What counts."""
        return self.overrides.applied_to(self.announced)
