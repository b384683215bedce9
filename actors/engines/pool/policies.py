"""The policies behind one protocol, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Protocol

from actors.engines.pool.hash_ring import ConsistentHash
from actors.engines.pool.instance import Instance
from actors.engines.pool.load_buckets import LeastLoaded
from actors.engines.pool.power_of_two import PowerOfTwo
from actors.engines.pool.round_robin import RoundRobin
from actors.engines.pool.spec import PolicyName

__all__ = ["Policy", "RandomFn", "policy_of"]

RandomFn = Callable[[], float]
"""Draws from [0, 1), as ``random.random`` does."""


class Policy(Protocol):
    """Chooses from the instances that it was given; its pool's lock is held for each call.

    None of these looks at every instance: a pool may have thousands.
    """

    def __len__(self) -> int: ...

    def add(self, instance: Instance) -> None:
        """``instance`` may be chosen from now on."""
        ...

    def remove(self, instance: Instance) -> None:
        """``instance`` may not be chosen any more; it may come back."""
        ...

    def update(self, instance: Instance) -> None:
        """The load or weight of ``instance``, which is inside, has changed."""
        ...

    def forget(self, instance: Instance) -> None:
        """``instance``, which was removed, is gone for good."""
        ...

    def pick(self, key: str = "") -> Instance | None:
        """The instance for the next request, for one with ``key`` if keys make a difference."""
        ...


def policy_of(name: PolicyName, random_fn: RandomFn) -> Policy:
    """A new, empty policy."""
    return _POLICIES[name](random_fn)


def _round_robin(_random_fn: RandomFn) -> Policy:
    return RoundRobin()


_POLICIES: Final[Mapping[PolicyName, Callable[[RandomFn], Policy]]] = MappingProxyType(
    {
        PolicyName.LEAST_LOADED: LeastLoaded,
        PolicyName.ROUND_ROBIN: _round_robin,
        PolicyName.POWER_OF_TWO: PowerOfTwo,
        PolicyName.SESSION: ConsistentHash,
        PolicyName.PREFIX: ConsistentHash,
    }
)
