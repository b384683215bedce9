"""The less loaded one of two chosen by chance: nearly as good as the best, and never a herd."""

from __future__ import annotations

from actors.engines.pool.instance import Instance
from actors.engines.pool.policies.registry import Key, RandomFn, policy
from actors.engines.pool.spec import PolicyName

__all__ = ["PowerOfTwo"]


@policy(PolicyName.POWER_OF_TWO)
class PowerOfTwo:
    """Draws two different instances and takes the one with the lower load. Not synchronised.

    ``random_fn`` draws from [0, 1).
    """

    def __init__(self, random_fn: RandomFn) -> None:
        self._random_fn = random_fn
        self._members: list[Instance] = []

    def __len__(self) -> int:
        return len(self._members)

    def add(self, instance: Instance) -> None:
        """Take ``instance`` in."""
        instance.position = len(self._members)
        self._members.append(instance)

    def remove(self, instance: Instance) -> None:
        """Let ``instance`` go; the last one takes its place."""
        last = self._members.pop()
        if last is not instance:
            self._members[instance.position] = last
            last.position = instance.position

    def update(self, instance: Instance) -> None:
        """Nothing to do: the load is looked at when an instance is drawn."""

    def forget(self, instance: Instance) -> None:
        """Nothing to do: nothing is kept of who was removed."""

    def pick(self, key: Key = "") -> Instance | None:
        """The less loaded of two; ``None`` if there is none. ``key`` makes no difference."""
        del key
        instances = self._members
        count = len(instances)
        if count < 2:
            return instances[0] if instances else None
        first = int(self._random_fn() * count)
        # The second is drawn from the others: skip the first.
        second = int(self._random_fn() * (count - 1))
        if second >= first:
            second += 1
        one, other = instances[first], instances[second]
        return one if one.load <= other.load else other
