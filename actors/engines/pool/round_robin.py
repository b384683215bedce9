"""Taking turns by weight: an instance of weight 2 comes up twice as often, evenly spread."""

from __future__ import annotations

import heapq

from actors.engines.pool.member import Member

__all__ = ["RoundRobin"]


class RoundRobin:
    """Each member has its next turn on a common scale, ``1 / weight`` after its last one.

    PERF: the smooth weighted round robin of nginx looks at every member for each request; a heap
    of turns has the same spread at the price of its depth. What is in the heap of a member that
    left, or whose turn changed, is skipped when it comes up: its serial is not the member's.
    """

    def __init__(self) -> None:
        self._turns: list[tuple[float, int, Member]] = []
        self._now = 0.0
        self._serial = 0
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, member: Member) -> None:
        """Take ``member`` in: a new one half a turn from now, a returning one when it was due."""
        self._size += 1
        if member.turn < self._now:
            member.turn = self._now + 0.5 / member.weight
        self._plan(member)

    def remove(self, member: Member) -> None:
        """Let ``member`` go."""
        self._size -= 1
        member.serial = 0

    def update(self, member: Member) -> None:
        """Load makes no difference here; a new weight stretches or shortens what is left."""
        if member.weight != member.bucket:
            left = member.turn - self._now
            member.turn = self._now + left * member.bucket / member.weight
            self._plan(member)

    def forget(self, member: Member) -> None:
        """Nothing to do: nothing is kept of who was removed."""

    def pick(self, key: str = "") -> Member | None:
        """The member whose turn it is, which is then over; ``None`` if there is none."""
        del key
        turns = self._turns
        while turns:
            turn, serial, member = turns[0]
            if serial != member.serial:
                heapq.heappop(turns)
                continue
            self._now = turn
            member.bucket = member.weight
            member.turn = turn + 1 / member.weight
            self._serial += 1
            member.serial = self._serial
            heapq.heapreplace(turns, (member.turn, member.serial, member))
            return member
        return None

    def _plan(self, member: Member) -> None:
        """Put its turn into the heap; ``bucket`` notes the weight that it was worked out with."""
        member.bucket = member.weight
        self._serial += 1
        member.serial = self._serial
        heapq.heappush(self._turns, (member.turn, member.serial, member))
        if len(self._turns) > 2 * self._size + 64:
            self._sweep()

    def _sweep(self) -> None:
        self._turns = [each for each in self._turns if each[1] == each[2].serial]
        heapq.heapify(self._turns)
