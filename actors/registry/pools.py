"""Makes the pool of a model that is new: all pools of one service share what it needs beside."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from actors.engines.contract import Kind
from actors.engines.pool import Clock, ModelSpec, Pool, PoolListeners
from actors.engines.pool.clock import loop_clock
from actors.engines.pool.policies import Chance
from actors.engines.pool.probe_queue import ProbeQueues

__all__ = ["PoolMaker"]


@dataclass(slots=True)
class PoolMaker:
    """What pools need beside their instances. ``listeners.add(…)`` hears of every pool."""

    listeners: PoolListeners = field(default_factory=PoolListeners)
    clock: Clock = field(default_factory=loop_clock)
    chance: Chance = random.random
    probes: ProbeQueues = field(init=False)

    def __post_init__(self) -> None:
        self.probes = ProbeQueues(self.clock)

    def make(self, model: str, kind: Kind, spec: ModelSpec) -> Pool:
        """A pool without instances; touches nothing else."""
        return Pool(
            model,
            kind,
            spec,
            clock=self.clock,
            chance=self.chance,
            listener=self.listeners,
            probes=self.probes,
        )
