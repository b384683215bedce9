"""What an entry says, in the words of the pools. Pure."""

from __future__ import annotations

from actors.engines.pool import (
    DEFAULT_MODEL_SPEC,
    NO_TIMEOUTS,
    HedgeAfter,
    InstanceSpec,
    ModelSpec,
    Timeouts,
)
from discovery.entry import NO_TIMEOUTS as UNSAID
from discovery.entry import Entry

__all__ = ["instance_spec", "model_spec"]


def instance_spec(entry: Entry) -> InstanceSpec:
    """What concerns this instance alone."""
    return InstanceSpec(
        weight=entry.weight,
        max_concurrency=entry.max_concurrency,
        draining=entry.state == "draining",
        endpoint=entry.url,
    )


def model_spec(entry: Entry) -> ModelSpec:
    """What concerns the whole model. PERF: most entries say nothing of it, and share that."""
    timeouts = entry.timeouts
    said = ModelSpec(
        aliases=entry.aliases,
        fallback=entry.fallback,
        policy=entry.policy or DEFAULT_MODEL_SPEC.policy,
        timeouts=NO_TIMEOUTS
        if timeouts == UNSAID
        else Timeouts(timeouts.connect, timeouts.first_byte, timeouts.idle, timeouts.total),
        hedge_after=None if entry.hedge_after is None else HedgeAfter(percentile=entry.hedge_after),
    )
    return DEFAULT_MODEL_SPEC if said == DEFAULT_MODEL_SPEC else said
