"""Which instances may be preferred without being overloaded: those near their fair share.

An instance loaded above ``SLACK`` times its fair share is passed over, however well a request would
suit it (Mirrokni, Thorup, Zadimoghaddam, 2016): one hot key can't overload an instance.
"""

from __future__ import annotations

from typing import Final

from actors.engines.pool.instance import Instance, Place
from actors.engines.pool.policies.least_loaded import LeastLoaded
from actors.engines.pool.policies.registry import RandomFn

__all__ = ["SLACK", "BoundedLoads"]

SLACK: Final = 1.25
"""How far above its fair share an instance may be loaded: the value that the authors found good."""


class BoundedLoads:
    """The base of policies that prefer an instance while it is not overloaded. Not synchronised."""

    def __init__(self, random_fn: RandomFn) -> None:
        self.by_load: Final = LeastLoaded(random_fn)
        """The same instances, for requests that prefer none."""
        self._inflight = 0
        self._weight = 0.0

    def __len__(self) -> int:
        return len(self.by_load)

    def add(self, instance: Instance) -> None:
        """Take ``instance`` in."""
        self.by_load.add(instance)
        instance.seen = instance.inflight
        self._inflight += instance.seen
        self._weight += instance.spec.weight

    def remove(self, instance: Instance) -> None:
        """Let ``instance`` go; it may come back."""
        self.by_load.remove(instance)
        self._inflight -= instance.seen
        self._weight -= instance.spec.weight

    def update(self, instance: Instance) -> None:
        """The load of ``instance`` may have changed."""
        self.by_load.update(instance)
        self._inflight += instance.inflight - instance.seen
        instance.seen = instance.inflight

    def bound(self) -> float:
        """Requests in flight, for a weight of 1, from which on an instance is overloaded."""
        return SLACK * (self._inflight + 1) / self._weight


def has_room(instance: Instance, bound: float) -> bool:
    """Whether ``instance`` may be selected and is not overloaded (:meth:`BoundedLoads.bound`)."""
    return instance.place is Place.ACTIVE and instance.inflight < bound * instance.spec.weight
