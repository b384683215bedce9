"""The less loaded one of two chosen by chance: nearly as good as the best, and never a herd."""

from __future__ import annotations

from collections.abc import Callable

from actors.engines.pool.member import Member

__all__ = ["PowerOfTwo"]


class PowerOfTwo:
    """Draws two different members and takes the one with the lower load. Not synchronised.

    ``chance`` draws from [0, 1).
    """

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._members: list[Member] = []

    def __len__(self) -> int:
        return len(self._members)

    def add(self, member: Member) -> None:
        """Take ``member`` in."""
        member.position = len(self._members)
        self._members.append(member)

    def remove(self, member: Member) -> None:
        """Let ``member`` go; the last one takes its place."""
        last = self._members.pop()
        if last is not member:
            self._members[member.position] = last
            last.position = member.position

    def update(self, member: Member) -> None:
        """Nothing to do: the load is looked at when a member is drawn."""

    def forget(self, member: Member) -> None:
        """Nothing to do: nothing is kept of who was removed."""

    def pick(self, key: str = "") -> Member | None:
        """The less loaded of two; ``None`` if there is none. ``key`` makes no difference."""
        del key
        members = self._members
        count = len(members)
        if count < 2:
            return members[0] if members else None
        first = int(self._chance() * count)
        # The second is drawn from the others: skip the first.
        second = int(self._chance() * (count - 1))
        if second >= first:
            second += 1
        one, other = members[first], members[second]
        return one if one.load <= other.load else other
