"""Members by load: the least loaded one in constant time, ties by chance (``least_loaded``).

PERF: a heap with random tie-breaks would keep choosing the same few (whoever loses a draw stays
where it is, whoever wins draws anew). Buckets of equal load choose evenly, and a member moves
between two lists instead of through a heap; the heap only orders the distinct loads.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

from actors.engines.pool.member import Member

__all__ = ["LoadBuckets"]


class LoadBuckets:
    """Invariant: a load is in the heap exactly while it has a bucket, which may be empty.

    ``chance`` draws from [0, 1). Not synchronised.
    """

    __slots__ = ("_buckets", "_chance", "_loads", "_size")

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._buckets: dict[float, list[Member]] = {}
        self._loads: list[float] = []
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, member: Member) -> None:
        """Take ``member`` in, by its load."""
        self._size += 1
        self._insert(member, member.load)

    def remove(self, member: Member) -> None:
        """Let ``member`` go."""
        self._size -= 1
        self._take_out(member)

    def update(self, member: Member) -> None:
        """The load of ``member`` may have changed."""
        load = (member.inflight + 1) / member.weight  # PERF: ``member.load``, without the call
        if load == member.bucket:
            return
        # PERF: twice for each request, so what ``remove`` and ``add`` do stands here once more.
        buckets = self._buckets
        old = buckets[member.bucket]
        last = old.pop()
        if last is not member:
            old[member.position] = last
            last.position = member.position
        bucket = buckets.get(load)
        if bucket is None:
            bucket = buckets[load] = []
            heapq.heappush(self._loads, load)
        member.bucket, member.position = load, len(bucket)
        bucket.append(member)

    def forget(self, member: Member) -> None:
        """Nothing to do: nothing is kept of who was removed."""

    def pick(self, key: str = "") -> Member | None:
        """One of the least loaded; ``None`` if there is none. ``key`` makes no difference."""
        del key
        loads, buckets = self._loads, self._buckets
        while loads:
            bucket = buckets[loads[0]]
            count = len(bucket)
            if count == 1:
                return bucket[0]
            if count:
                return bucket[int(self._chance() * count)]
            del buckets[heapq.heappop(loads)]
        return None

    def _insert(self, member: Member, load: float) -> None:
        bucket = self._buckets.get(load)
        if bucket is None:
            bucket = self._buckets[load] = []
            heapq.heappush(self._loads, load)
        member.bucket, member.position = load, len(bucket)
        bucket.append(member)

    def _take_out(self, member: Member) -> None:
        bucket = self._buckets[member.bucket]
        last = bucket.pop()
        if last is not member:
            bucket[member.position] = last
            last.position = member.position
