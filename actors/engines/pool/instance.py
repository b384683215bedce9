"""One instance: its declared settings, its observed state, and how both are shown.

Slow start: a fresh or recovered instance gets its share of the requests in steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol, TypeGuard, runtime_checkable

from actors.engines.contract import Engine, Kind
from actors.engines.pool.breaker import Breaker, BreakerState
from actors.engines.pool.overrides import NO_OVERRIDES, Overrides
from actors.engines.pool.spec import InstanceSpec

__all__ = [
    "HELD_BACK",
    "MIN_SHARE",
    "SLOW_START_SECONDS",
    "STATES",
    "STEP_SECONDS",
    "Instance",
    "InstanceView",
    "Place",
    "PoolView",
    "SupportsProbe",
    "share",
    "supports_probe",
    "view_of",
]

SLOW_START_SECONDS: Final = 10.0
"""Seconds from the first request to the full share: caches fill and compilers warm up in that."""

MIN_SHARE: Final = 0.1
"""The share at the beginning (Envoy's default): enough to warm up by, too little to fall over."""

STEP_SECONDS: Final = 0.5
"""Seconds between two looks at whoever warms up."""

HELD_BACK: Final = math.inf
"""Until when an instance stands back that an operator ejected."""

STATES = ("draining", "ejected", "on_trial", "paused", "starting", "serving")
"""What an instance can be: the first of these that holds."""


@runtime_checkable
class SupportsProbe(Protocol):
    """An engine whose health can be asked for."""

    def probe(self, done: Callable[[BaseException | None], object]) -> None:
        """Find out whether it answers; then call ``done(None)``, or ``done(error)``, once.

        Returns at once; ``done`` may be called from any thread, also before this returns. A probe
        that is never done counts as failed after a while.
        """
        ...


class Place(StrEnum):
    """Whether an instance may be selected; it is in exactly one place."""

    UNAVAILABLE = "unavailable"
    """Draining, full or gone: it is not selected."""
    ACTIVE = "active"
    """With the policy, which selects from these."""
    UNHEALTHY = "unhealthy"
    """Its breaker is not closed, or it asked for a cooldown: selected when no other is left."""


class Instance:
    """One instance of a pool; guarded by the pool's lock, as everything in it.

    Invariant: ``inflight`` is the number of attempts that were given to it and have not ended.
    """

    __slots__ = (
        "breaker",
        "bucket",
        "cooldown_until",
        "endpoint",
        "enforces_timeouts",
        "engine",
        "failures",
        "gone",
        "healthy",
        "id",
        "inflight",
        "last_error",
        "limit",
        "open",
        "place",
        "position",
        "probe_generation",
        "probed",
        "probing",
        "proven",
        "seen",
        "selections",
        "serial",
        "since",
        "slow_start_since",
        "spec",
        "trial",
        "turn",
        "weight",
    )

    def __init__(
        self, id_: str, engine: Engine, spec: InstanceSpec, endpoint: str, now: float
    ) -> None:
        self.id: Final = id_
        self.engine = engine
        self.spec = spec
        self.limit = _limit(spec)
        """Requests that it takes at once."""
        self.open = not spec.draining
        """It takes new requests: it is neither draining nor gone."""
        self.endpoint = endpoint
        self.inflight = 0
        self.selections = 0
        self.failures = 0
        self.last_error: str | None = None
        """The kind of its last failure (``failure``), never its words."""
        self.since = now
        """When it came into its present state, on the pool's clock."""
        self.breaker: Final = Breaker()
        self.cooldown_until = 0.0
        self.trial = False
        """A request is out to find out whether it has recovered."""
        self.probed = supports_probe(engine)
        """Its engine can be asked how it is: no request has to find out."""
        self.probing = False
        """A prober looks after it."""
        self.proven = False
        """It has answered a probe."""
        self.probe_generation = 0
        """The looks that the prober planned: the last one counts."""
        self.enforces_timeouts = _keeps_time(engine)
        """Its engine bounds its own connect, first byte and silences."""
        self.gone = False
        self.healthy = False
        self.place = Place.UNAVAILABLE
        self.weight = spec.weight
        """Its weight just now: less than it says while it starts slowly."""
        self.slow_start_since = now
        # The policies' own notes, here because a slot is the cheapest place to look.
        self.bucket = 0.0
        self.position = -1
        self.turn = -1.0
        self.serial = 0
        self.seen = 0

    def __repr__(self) -> str:
        return f"<Member {self.id} {self.place}, {self.inflight} in flight>"

    def renew(self, engine: Engine, spec: InstanceSpec) -> None:
        """It was announced anew: what was seen of it stays."""
        self.engine = engine
        self.spec = spec
        self.limit = _limit(spec)
        self.open = not spec.draining
        self.probed = supports_probe(engine)
        self.enforces_timeouts = _keeps_time(engine)

    @property
    def answered(self) -> bool:
        """Whether it has ever answered a request or a probe, as far as is known."""
        return self.proven or self.selections - self.inflight > self.failures

    @property
    def load(self) -> float:
        """What it would carry for its weight with one request more."""
        return (self.inflight + 1) / self.weight


@dataclass(frozen=True, slots=True)
class InstanceView:
    """One instance.

    ``endpoint`` holds no credentials. ``weight`` is what it says, ``share`` the part of it that it
    gets while it starts slowly. ``last_error`` is the kind of its last failure. ``since`` is for
    how many seconds it has been in this state.
    """

    id: str
    endpoint: str
    state: str
    breaker: BreakerState
    inflight: int
    max_concurrency: int | None
    weight: float
    share: float
    selections: int
    failures: int
    last_error: str | None
    since: float
    overrides: Overrides = NO_OVERRIDES


@dataclass(frozen=True, slots=True)
class PoolView:
    """One pool: its instances in the order they came, and how many requests wait for one."""

    model: str
    kind: Kind
    instances: tuple[InstanceView, ...]
    waiting: int


def view_of(instance: Instance, now: float, overrides: Overrides | None = None) -> InstanceView:
    """``instance`` at ``now``, on its pool's clock."""
    return InstanceView(
        id=instance.id,
        endpoint=instance.endpoint,
        state=state_of(instance, now),
        breaker=instance.breaker.state,
        inflight=instance.inflight,
        max_concurrency=instance.spec.max_concurrency,
        weight=instance.spec.weight,
        share=round(share(now - instance.slow_start_since), 3),
        selections=instance.selections,
        failures=instance.failures,
        last_error=instance.last_error,
        since=round(max(now - instance.since, 0.0), 3),
        overrides=overrides or NO_OVERRIDES,
    )


def state_of(instance: Instance, now: float) -> str:
    """One of ``STATES``."""
    holds = (
        instance.spec.draining,
        instance.breaker.state is BreakerState.OPEN or instance.cooldown_until == HELD_BACK,
        instance.breaker.state is BreakerState.HALF_OPEN,
        now < instance.cooldown_until,
        now - instance.slow_start_since < SLOW_START_SECONDS,
        True,
    )
    return STATES[holds.index(True)]


def share(age: float) -> float:
    """The part of its weight that an instance gets at ``age`` seconds, in steps from ``MIN_SHARE``.

    Steps, so that instances that came together have the same: a least loaded policy would give
    nearly everything to the one that is a millisecond older.
    """
    return min(max(age // STEP_SECONDS * STEP_SECONDS / SLOW_START_SECONDS, MIN_SHARE), 1.0)


def supports_probe(engine: object) -> TypeGuard[SupportsProbe]:
    """Whether ``engine`` can be asked. PERF: ``isinstance`` of a protocol takes 20 µs."""
    return callable(getattr(engine, "probe", None))


def _limit(spec: InstanceSpec) -> float:
    return math.inf if spec.max_concurrency is None else spec.max_concurrency


def _keeps_time(engine: Engine) -> bool:
    """Whether ``engine`` says that it enforces timeouts itself, as one that relays does."""
    return getattr(engine, "enforces_timeouts", False) is True
