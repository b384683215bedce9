"""Instances by load: the least loaded one in constant time, ties by chance (``least_loaded``).

PERF: a heap with random tie-breaks would keep choosing the same few (the loser of a draw stays
where it is, the winner draws again). Buckets of equal load choose evenly, and an instance moves
between two lists instead of through a heap; the heap only orders the distinct loads.
"""

from __future__ import annotations

import heapq

from actors.engines.pool.instance import Instance
from actors.engines.pool.policies.registry import Key, RandomFn, policy
from actors.engines.pool.spec import PolicyName

__all__ = ["LeastLoaded"]


@policy(PolicyName.LEAST_LOADED)
class LeastLoaded:
    """Invariant: a load is in the heap exactly while it has a bucket, which may be empty.

    ``random_fn`` draws from [0, 1). Not synchronised.
    """

    __slots__ = ("_buckets", "_loads", "_random_fn", "_size")

    def __init__(self, random_fn: RandomFn) -> None:
        self._random_fn = random_fn
        self._buckets: dict[float, list[Instance]] = {}
        self._loads: list[float] = []
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, instance: Instance) -> None:
        """Take ``instance`` in, by its load."""
        self._size += 1
        self._insert(instance, instance.load)

    def remove(self, instance: Instance) -> None:
        """Let ``instance`` go."""
        self._size -= 1
        self._take_out(instance)

    def update(self, instance: Instance) -> None:
        """The load of ``instance`` may have changed."""
        load = (
            instance.inflight + 1
        ) / instance.weight  # PERF: ``instance.load``, without the call
        if load == instance.bucket:
            return
        # PERF: twice for each request, so what ``remove`` and ``add`` do stands here once more.
        buckets = self._buckets
        old = buckets[instance.bucket]
        last = old.pop()
        if last is not instance:
            old[instance.position] = last
            last.position = instance.position
        bucket = buckets.get(load)
        if bucket is None:
            bucket = buckets[load] = []
            heapq.heappush(self._loads, load)
        instance.bucket, instance.position = load, len(bucket)
        bucket.append(instance)

    def forget(self, instance: Instance) -> None:
        """Nothing to do: nothing is kept of who was removed."""

    def pick(self, key: Key = "") -> Instance | None:
        """One of the least loaded; ``None`` if there is none. ``key`` makes no difference."""
        del key
        loads, buckets = self._loads, self._buckets
        while loads:
            bucket = buckets[loads[0]]
            count = len(bucket)
            if count == 1:
                return bucket[0]
            if count:
                return bucket[int(self._random_fn() * count)]
            del buckets[heapq.heappop(loads)]
        return None

    def _insert(self, instance: Instance, load: float) -> None:
        bucket = self._buckets.get(load)
        if bucket is None:
            bucket = self._buckets[load] = []
            heapq.heappush(self._loads, load)
        instance.bucket, instance.position = load, len(bucket)
        bucket.append(instance)

    def _take_out(self, instance: Instance) -> None:
        bucket = self._buckets[instance.bucket]
        last = bucket.pop()
        if last is not instance:
            bucket[instance.position] = last
            last.position = instance.position
