"""The child specification: how one child is started, stopped, restarted. Valid, or never made.

Here is the one bound of every wait that grows with failures too, :func:`doubling`; how chance
spreads the waits around it is the caller's choice. Pure.
"""

from __future__ import annotations

import enum
import inspect
import math
import random
from collections.abc import Callable, Container
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Final

import pykka

from actors.supervision.errors import InvalidSpec

__all__ = ["AutoShutdown", "Backoff", "Child", "Restart", "Strategy", "SupervisorFlags", "doubling"]


_MOST_DOUBLINGS: Final = 60
"""2**60 times any delay is beyond any cap; more would overflow a float in the end."""


def doubling(first: float, cap: float, failures: int) -> float:
    """Seconds: ``first``, doubled for each of so many earlier ``failures``, at most ``cap``."""
    return min(cap, first * 2.0 ** min(failures, _MOST_DOUBLINGS))


class Restart(enum.Enum):
    """When a child that ended by itself is started again (OTP's words)."""

    PERMANENT = "permanent"
    """Always."""
    TRANSIENT = "transient"
    """Only after an abnormal end."""
    TEMPORARY = "temporary"
    """Never; its specification is forgotten."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before a restart: ``first`` seconds, doubled each time up to ``cap``.

    ``jitter`` stretches each delay at random by up to that fraction, so that children which died
    together don't come back together. After ``reset_after`` seconds up, a child begins again with
    ``first``. By default there is no delay, as in OTP.
    """

    first: float = 0.0
    cap: float = 10.0
    jitter: float = 0.2
    reset_after: float = 10.0

    def __post_init__(self) -> None:
        for name in ("first", "cap", "jitter", "reset_after"):
            value = getattr(self, name)
            if not _is_seconds(value):
                raise InvalidSpec(f"Backoff: {name} is {value!r}, but must be a number, 0 or more")

    def delay(self, failures: int, rng: random.Random) -> float:
        """Seconds to wait after so many failures in a row (0 is the first)."""
        if self.first == 0:
            return 0.0
        return doubling(self.first, self.cap, failures) * (1.0 + rng.random() * self.jitter)


@dataclass(frozen=True, slots=True)
class Child:
    """One child of a supervisor.

    ``id`` is unique within the supervisor and part of the child's path, so it holds no ``/``.
    ``start`` starts the actor and returns its ref: ``MyActor.start``, or a ``functools.partial``
    of it. ``shutdown`` is how many seconds it has to stop (``None``: as long as it takes, 0: it is
    abandoned at once); ``start_within`` how many ``on_start`` may take. A message that takes longer
    than ``hang_after`` seconds has the actor abandoned and replaced. With ``hand_over`` the next
    incarnation gets what the last one saved (``restored_state``, ``save_state``).

    Raises :class:`InvalidSpec` with the value, what is allowed, and the child's id.
    """

    id: str
    start: Callable[[], pykka.ActorRef[Any]]
    _: KW_ONLY
    restart: Restart = Restart.PERMANENT
    shutdown: float | None = 5.0
    start_within: float = 5.0
    hang_after: float | None = None
    backoff: Backoff = field(default_factory=Backoff)
    significant: bool = False
    hand_over: bool = False

    def __post_init__(self) -> None:
        for name, (allowed, holds) in _RULES.items():
            value = getattr(self, name)
            if not holds(value):
                raise InvalidSpec(f"child {self.id!r}: {name} is {value!r}, but must be {allowed}")
        if isinstance(self.start, type):
            raise InvalidSpec(
                f"child {self.id!r}: start is the class {self.start.__qualname__}; "
                f"write {self.start.__qualname__}.start"
            )
        if inspect.iscoroutinefunction(self.start):
            raise InvalidSpec(f"child {self.id!r}: start is async, but actors run on threads")
        if self.significant and self.restart is Restart.PERMANENT:
            raise InvalidSpec(
                f"child {self.id!r}: a permanent child can't be significant, it never ends for good"
            )


def _is_seconds(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and value >= 0


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and "/" not in value and value.isprintable()


_RULES: Final[dict[str, tuple[str, Callable[[Any], bool]]]] = {
    "id": ("a printable text without '/'", _is_id),
    "start": ("callable, as in MyActor.start", callable),
    "restart": ("a Restart", lambda value: isinstance(value, Restart)),
    "shutdown": ("seconds, 0 or more, or None", lambda v: v is None or _is_seconds(v)),
    "start_within": ("seconds, above 0", lambda value: _is_seconds(value) and value > 0),
    "hang_after": ("seconds, above 0, or None", lambda v: v is None or (_is_seconds(v) and v > 0)),
    "backoff": ("a Backoff", lambda value: isinstance(value, Backoff)),
    "significant": ("True or False", lambda value: isinstance(value, bool)),
    "hand_over": ("True or False", lambda value: isinstance(value, bool)),
}


class Strategy(enum.Enum):
    """Who is restarted with a child that ended (OTP's words)."""

    ONE_FOR_ONE = "one_for_one"
    """That child alone."""
    ONE_FOR_ALL = "one_for_all"
    """All of them."""
    REST_FOR_ONE = "rest_for_one"
    """That child and those started after it."""


class AutoShutdown(enum.Enum):
    """Whether a supervisor ends when significant children ended by themselves (OTP's words)."""

    NEVER = "never"
    ANY_SIGNIFICANT = "any_significant"
    """As soon as one of them ended and will not come back."""
    ALL_SIGNIFICANT = "all_significant"
    """When the last of them ended and will not come back."""


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
