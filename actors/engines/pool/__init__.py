"""A model's instances behind one engine: policies, health, failover before the first byte."""

from actors.engines.pool.clock import Clock
from actors.engines.pool.events import (
    Ejected,
    Hedged,
    Migrated,
    PoolListener,
    PoolListeners,
    Readmitted,
    Retried,
    Waited,
)
from actors.engines.pool.instance import InstanceView, PoolView, SupportsProbe
from actors.engines.pool.overrides import NO_OVERRIDES, Overrides, UnknownInstance
from actors.engines.pool.pool import Pool
from actors.engines.pool.request import PoolRequest
from actors.engines.pool.request_state import State
from actors.engines.pool.spec import (
    DEFAULT_INSTANCE_SPEC,
    DEFAULT_MODEL_SPEC,
    NO_TIMEOUTS,
    HedgeAfter,
    InstanceSpec,
    ModelSpec,
    PolicyName,
    Timeouts,
)

__all__ = [
    "DEFAULT_INSTANCE_SPEC",
    "DEFAULT_MODEL_SPEC",
    "NO_OVERRIDES",
    "NO_TIMEOUTS",
    "Clock",
    "Ejected",
    "HedgeAfter",
    "Hedged",
    "InstanceSpec",
    "InstanceView",
    "Migrated",
    "ModelSpec",
    "Overrides",
    "PolicyName",
    "Pool",
    "PoolListener",
    "PoolListeners",
    "PoolRequest",
    "PoolView",
    "Readmitted",
    "Retried",
    "State",
    "SupportsProbe",
    "Timeouts",
    "UnknownInstance",
    "Waited",
]
