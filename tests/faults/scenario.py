"""A scenario: a declaration of what goes wrong, under which load, and what must hold."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from actors.testing.faults import Fault
from tests.faults.evidence import Evidence, Mark, Request, Vitals
from tests.faults.invariants import Invariant

__all__ = ["Figure", "Load", "Scenario", "World", "none"]


class Load(Protocol):
    """What keeps a world busy while the fault is on."""

    def start(self) -> None:
        """Begin, on threads of its own."""
        ...

    def stop(self) -> tuple[Request, ...]:
        """Wait for what is under way, each within its deadline; every request so far."""
        ...

    def recent(self, seconds: float) -> list[Request]:
        """The requests that ended within the last so many seconds."""
        ...


class World(Protocol):
    """A system under test, started and ready; the engine drives it through nothing else."""

    load: Load | None
    deadline: float

    @property
    def over(self) -> bool:
        """Whether it ended by itself: then there is no steady state to wait for."""
        ...

    def vitals(self) -> Vitals:
        """What must be the same afterwards."""
        ...

    def injecting(self) -> None:
        """Called just before the injection: facts count what happens from now on."""
        ...

    def sample(self) -> Mapping[str, Any]:
        """What can be seen from outside just now; cheap."""
        ...

    def marks(self) -> list[Mark]:
        """What happened inside, as far as it can be known."""
        ...

    def finish(self) -> Mapping[str, Any]:
        """End in an orderly way; facts about the whole run."""
        ...


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that is measured; the first one of a scenario is 0 when nothing goes wrong."""

    name: str
    unit: str
    of: Callable[[Evidence], float]
    before: str = ""
    """Why it is measured over the whole run; without a reason, from the injection on."""


def none(_world: Any) -> bool:
    """Nothing to wait for: the steady state is the answered load."""
    return True


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row of the catalogue, or one variant of it.

    ``stage`` makes the world from a base time, ``fault`` the fault in it from the seed.
    ``seconds`` is how long the fault stays on; ``settle(world)`` must come true for the steady
    state to be back. ``black_box`` scenarios need nothing but a URL. ``quick`` ones run in
    ``make test``.
    """

    row: int
    key: str
    title: str
    family: str
    stage: Callable[[float], AbstractContextManager[Any]]
    fault: Callable[[Any, random.Random], Fault]
    invariants: tuple[Invariant, ...]
    figures: tuple[Figure, ...]
    seconds: float = 1.0
    settle: Callable[[Any], bool] = none
    patience: float = 20.0
    """Seconds within which the steady state must be back."""
    black_box: bool = False
    quick: bool = False
    steady: str = "every request is answered right"
    """The steady-state hypothesis, for the report."""
    notes: tuple[str, ...] = field(default=())
