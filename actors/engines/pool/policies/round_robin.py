"""Taking turns by weight: an instance of weight 2 comes up twice as often, evenly spread."""

from __future__ import annotations

import heapq

from actors.engines.pool.instance import Instance
from actors.engines.pool.policies.registry import Key, RandomFn, policy
from actors.engines.pool.spec import PolicyName

__all__ = ["RoundRobin"]


@policy(PolicyName.ROUND_ROBIN)
class RoundRobin:
    """Each instance has its next turn on a common scale, ``1 / weight`` after its last one.

    PERF: the smooth weighted round robin of nginx looks at every instance for each request; a heap
    of turns has the same spread at the price of its depth. What is in the heap of an instance that
    left, or whose turn changed, is skipped when it comes up: its serial is not the instance's.
    """

    def __init__(self, random_fn: RandomFn) -> None:
        del random_fn  # nothing is left to chance
        self._turns: list[tuple[float, int, Instance]] = []
        self._now = 0.0
        self._serial = 0
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, instance: Instance) -> None:
        """Take ``instance`` in: a new one half a turn from now, a returning one when it was due."""
        self._size += 1
        if instance.turn < self._now:
            instance.turn = self._now + 0.5 / instance.weight
        self._plan(instance)

    def remove(self, instance: Instance) -> None:
        """Let ``instance`` go."""
        self._size -= 1
        instance.serial = 0

    def update(self, instance: Instance) -> None:
        """Load makes no difference here; a new weight stretches or shortens what is left."""
        if instance.weight != instance.bucket:
            left = instance.turn - self._now
            instance.turn = self._now + left * instance.bucket / instance.weight
            self._plan(instance)

    def forget(self, instance: Instance) -> None:
        """Nothing to do: nothing is kept of who was removed."""

    def pick(self, key: Key = "") -> Instance | None:
        """The instance whose turn it is, which is then over; ``None`` if there is none."""
        del key
        turns = self._turns
        while turns:
            turn, serial, instance = turns[0]
            if serial != instance.serial:
                heapq.heappop(turns)
                continue
            self._now = turn
            instance.bucket = instance.weight
            instance.turn = turn + 1 / instance.weight
            self._serial += 1
            instance.serial = self._serial
            heapq.heapreplace(turns, (instance.turn, instance.serial, instance))
            return instance
        return None

    def _plan(self, instance: Instance) -> None:
        """Put its turn into the heap; ``bucket`` notes the weight that it was worked out with."""
        instance.bucket = instance.weight
        self._serial += 1
        instance.serial = self._serial
        heapq.heappush(self._turns, (instance.turn, instance.serial, instance))
        if len(self._turns) > 2 * self._size + 64:
            self._sweep()

    def _sweep(self) -> None:
        self._turns = [each for each in self._turns if each[1] == each[2].serial]
        heapq.heapify(self._turns)
