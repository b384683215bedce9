"""The policies behind one protocol, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Protocol

from actors.engines.pool.hash_ring import HashRing
from actors.engines.pool.load_buckets import LoadBuckets
from actors.engines.pool.member import Member
from actors.engines.pool.power_of_two import PowerOfTwo
from actors.engines.pool.round_robin import RoundRobin
from actors.engines.pool.spec import PolicyName

__all__ = ["Chance", "Policy", "policy_of"]

Chance = Callable[[], float]
"""Draws from [0, 1), as ``random.random`` does."""


class Policy(Protocol):
    """Chooses from the members that it was given; its pool's lock is held for each call.

    None of these looks at every member: a pool may have thousands.
    """

    def __len__(self) -> int: ...

    def add(self, member: Member) -> None:
        """``member`` may be chosen from now on."""
        ...

    def remove(self, member: Member) -> None:
        """``member`` may not be chosen any more; it may come back."""
        ...

    def update(self, member: Member) -> None:
        """The load or weight of ``member``, which is inside, has changed."""
        ...

    def forget(self, member: Member) -> None:
        """``member``, which was removed, is gone for good."""
        ...

    def pick(self, key: str = "") -> Member | None:
        """The member for the next request, for one with ``key`` if keys make a difference."""
        ...


def policy_of(name: PolicyName, chance: Chance) -> Policy:
    """A new, empty policy."""
    return _POLICIES[name](chance)


def _round_robin(_chance: Chance) -> Policy:
    return RoundRobin()


_POLICIES: Final[Mapping[PolicyName, Callable[[Chance], Policy]]] = MappingProxyType(
    {
        PolicyName.LEAST_LOADED: LoadBuckets,
        PolicyName.ROUND_ROBIN: _round_robin,
        PolicyName.POWER_OF_TWO: PowerOfTwo,
        PolicyName.SESSION: HashRing,
        PolicyName.PREFIX: HashRing,
    }
)
