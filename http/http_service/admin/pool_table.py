"""Every pool that there is, known without asking the registry, which may hang.

Short: one concept.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from actors.engines.pool import Pool, PoolListener

__all__ = ["PoolTable"]


class PoolTable(PoolListener):
    """Listens for pools that come and go; any thread. ``seed`` it with those that are there."""

    def __init__(self) -> None:
        self._pools: dict[tuple[str, str], Pool] = {}
        self._lock = threading.Lock()

    def seed(self, pools: Iterable[Pool]) -> None:
        """These were opened before it listened; what is closed since then is not there."""
        for pool in pools:
            if not pool.detached:
                self.pool_opened(pool)

    def all(self) -> list[Pool]:
        """Each pool, in the order of coming."""
        with self._lock:
            return [*self._pools.values()]

    def pool_opened(self, pool: Pool) -> None:
        """It is there from now on."""
        with self._lock:
            self._pools[pool.model, pool.kind] = pool

    def pool_closed(self, pool: Pool) -> None:
        """It has gone, unless another one took its place."""
        with self._lock:
            if self._pools.get((pool.model, pool.kind)) is pool:
                del self._pools[pool.model, pool.kind]
