"""A pool as it is at one moment, for operators and metrics: frozen records. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from actors.engines.contract import Kind
from actors.engines.pool.breaker import BreakerState
from actors.engines.pool.member import Member
from actors.engines.pool.slow_start import WINDOW

__all__ = ["STATES", "InstanceView", "PoolView", "view_of"]

STATES = ("draining", "ejected", "on_trial", "paused", "starting", "serving")
"""What an instance can be: the first of these that holds."""


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


@dataclass(frozen=True, slots=True)
class PoolView:
    """One pool: its instances in the order they came, and how many requests wait for one."""

    model: str
    kind: Kind
    instances: tuple[InstanceView, ...]
    waiting: int


def view_of(member: Member, now: float) -> InstanceView:
    """``member`` at ``now``, on its pool's clock."""
    return InstanceView(
        id=member.id,
        endpoint=member.endpoint,
        state=state_of(member, now),
        breaker=member.breaker.state,
        inflight=member.inflight,
        max_concurrency=member.spec.max_concurrency,
        weight=member.spec.weight,
        share=round(member.weight / member.spec.weight, 3),
        selections=member.selections,
        failures=member.failures,
        last_error=member.last_error,
        since=round(max(now - member.since, 0.0), 3),
    )


def state_of(member: Member, now: float) -> str:
    """One of ``STATES``."""
    holds = (
        member.spec.draining,
        member.breaker.state is BreakerState.OPEN,
        member.breaker.state is BreakerState.HALF_OPEN,
        now < member.paused_until,
        now - member.warm_from < WINDOW,
        True,
    )
    return STATES[holds.index(True)]
