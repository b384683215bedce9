"""The same instance for the same key, by consistent hashing with bounded loads.

Each member has points on a ring of 64 bits, ``POINTS`` for each unit of weight; a key belongs to
the first point after its own hash. A member that came or went moves only the keys next to its
points. A member loaded above ``SLACK`` times its fair share hands on to the next one on the ring
(Mirrokni, Thorup, Zadimoghaddam, 2016): one hot key can't overload an instance.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from hashlib import blake2b
from typing import Final

from actors.engines.pool.load_buckets import LoadBuckets
from actors.engines.pool.member import Member, Place

__all__ = ["HashRing"]

POINTS: Final = 40
"""Points for a weight of 1: the shares of equal members then differ by about a sixth (1/√40), and
the bound on the load takes the edge off that."""

MAX_POINTS: Final = 400
"""Points of one member, whatever its weight: a weight of a million is no reason for a million."""

SLACK: Final = 1.25
"""How far above its fair share a member may be loaded: the value that the authors found good."""


class HashRing:
    """A policy that keeps to keys; without a key it takes the least loaded. Not synchronised.

    PERF: points are sorted in when the next request comes, not when a member does, so ten thousand
    members are added in linear time; sorting what is nearly sorted is one pass.
    """

    def __init__(self, chance: Callable[[], float]) -> None:
        self._buckets = LoadBuckets(chance)
        self._owners: dict[int, Member] = {}
        self._points: list[int] = []
        self._unsorted = False
        self._inside: dict[Member, tuple[int, ...]] = {}
        self._weights: dict[Member, float] = {}
        self._dead = 0
        self._inflight = 0
        self._weight = 0.0

    def __len__(self) -> int:
        return len(self._buckets)

    def add(self, member: Member) -> None:
        """Take ``member`` in; its points are the same each time, for they hash its id."""
        self._buckets.add(member)
        self._count(member, 1)
        weight = member.spec.weight
        if self._weights.get(member) == weight:
            return  # it was away for a moment: its points are still on the ring
        if member in self._inside:  # sweep the old weight's points out before the next request
            self._dead += len(self._points) + 1
        self._weights[member] = weight
        points = self._inside[member] = _points_of(member.id, weight)
        for point in points:
            if point not in self._owners:
                self._points.append(point)
                self._unsorted = True
            self._owners[point] = member

    def remove(self, member: Member) -> None:
        """Let ``member`` go; its points stay until it is gone for good, and are stepped over."""
        self._buckets.remove(member)
        self._count(member, -1)

    def update(self, member: Member) -> None:
        """The load of ``member`` may have changed."""
        self._buckets.update(member)
        self._inflight += member.inflight - member.seen
        member.seen = member.inflight

    def forget(self, member: Member) -> None:
        """``member``, which was removed, is gone for good: so are its points."""
        self._dead += len(self._inside.pop(member, ()))
        self._weights.pop(member, None)

    def pick(self, key: str = "") -> Member | None:
        """The member that ``key`` belongs to, or the next that is not overloaded."""
        if not key or not len(self._buckets):
            return self._buckets.pick()
        if self._dead or self._unsorted:
            self._tidy()
        points, owners, inside = self._points, self._owners, self._buckets
        share = SLACK * (self._inflight + 1) / self._weight
        start = bisect_right(points, _hash(key))
        for step in range(start, start + len(points)):
            member = owners[points[step % len(points)]]
            if member.place is Place.ROTATION and member.inflight < share * member.spec.weight:
                return member
        return inside.pick()

    def _count(self, member: Member, sign: int) -> None:
        if sign > 0:
            member.seen = member.inflight
        self._inflight += sign * member.seen
        self._weight += sign * member.spec.weight

    def _tidy(self) -> None:
        """Sort new points in; sweep out dead ones once they are many."""
        if self._dead * 4 > len(self._points):
            live = {point for points in self._inside.values() for point in points}
            self._owners = {p: m for p, m in self._owners.items() if p in live and not m.gone}
            self._points = [*self._owners]
            self._dead, self._unsorted = 0, True
        if self._unsorted:
            self._points.sort()
            self._unsorted = False


def _points_of(id_: str, weight: float) -> tuple[int, ...]:
    count = min(max(round(POINTS * weight), 1), MAX_POINTS)
    return tuple(_hash(f"{id_}#{number}") for number in range(count))


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())
