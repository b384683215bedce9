"""The addresses of one tree, by path: what a supervisor enters, retires and strikes out."""

from __future__ import annotations

from typing import Final

from actors.supervision.address import Address
from actors.supervision.clock import Clock
from actors.supervision.errors import UnknownChild

__all__ = ["AddressTable"]

LISTED: Final = 20
"""Paths that the message about an unknown one lists."""


class AddressTable:
    """Every address of one tree, by path; outlives nested supervisors. Any thread.

    No lock, which a finalizer could find taken by its own thread: each step is one operation of a
    dict, and whoever comes second sees what the first did.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock
        self._addresses: dict[str, Address] = {}
        # PERF: without it, forgetting one of ten thousand children would look at all of them.
        self._below: dict[str, dict[str, None]] = {}

    def enter(self, path: str) -> Address:
        """The address of ``path``, made now if it is new."""
        address = self._addresses.get(path)
        if address is None:
            address = self._addresses.setdefault(path, Address(path, self._clock, self))
            parent = _parent(path)
            while True:
                siblings = self._below.setdefault(parent, {})
                siblings[path] = None
                if self._below.get(parent) is siblings:
                    break  # else the parent was struck out just now, and its list with it
        return address

    def find(self, path: str) -> Address:
        """The address of ``path``. Raises :class:`UnknownChild`."""
        address = self._addresses.get(path)
        if address is None:
            known = sorted(self._addresses)
            listed, more = ", ".join(known[:LISTED]), ", …" if len(known) > LISTED else ""
            raise UnknownChild(f"there is no child {path!r}; there are: {listed or 'none'}{more}")
        return address

    def strike(self, path: str) -> None:
        """Forget ``path`` and whatever is below it: the child was deleted."""
        self._below.get(_parent(path), {}).pop(path, None)
        struck = [path]
        for each in struck:  # grows while it is walked
            struck.extend(self._below.pop(each, ()))
        for each in struck:
            address = self._addresses.pop(each, None)
            if address is not None:
                address.retire()

    def retire(self, path: str) -> None:
        """Expect no successor for ``path`` nor for what is below it; ``""`` is the whole tree."""
        found = [path]
        for each in found:  # grows while it is walked
            found.extend(self._below.get(each, ()))
        for address in [self._addresses.get(each) for each in found]:
            if address is not None:
                address.retire()

    def all(self) -> list[Address]:
        """Every address, in the order of entering."""
        return [*self._addresses.values()]


def _parent(path: str) -> str:
    return path.rpartition("/")[0]
