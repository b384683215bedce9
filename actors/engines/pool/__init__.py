"""A model's instances behind one engine: policies, health, failover before the first byte."""

from actors.engines.pool.clock import Clock
from actors.engines.pool.listener import (
    Ejected,
    Hedged,
    PoolListener,
    PoolListeners,
    Readmitted,
    Retried,
    Waited,
)
from actors.engines.pool.pool import Pool
from actors.engines.pool.probed import Probed
from actors.engines.pool.request import PoolRequest
from actors.engines.pool.request_state import State
from actors.engines.pool.spec import (
    NO_TIMEOUTS,
    ORDINARY,
    PLAIN,
    HedgeAfter,
    InstanceSpec,
    ModelSpec,
    PolicyName,
    Timeouts,
)
from actors.engines.pool.view import InstanceView, PoolView

__all__ = [
    "NO_TIMEOUTS",
    "ORDINARY",
    "PLAIN",
    "Clock",
    "Ejected",
    "HedgeAfter",
    "Hedged",
    "InstanceSpec",
    "InstanceView",
    "ModelSpec",
    "PolicyName",
    "Pool",
    "PoolListener",
    "PoolListeners",
    "PoolRequest",
    "PoolView",
    "Probed",
    "Readmitted",
    "Retried",
    "State",
    "Timeouts",
    "Waited",
]
