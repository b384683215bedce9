"""The addresses of one tree, by path: what a supervisor enters, retires and strikes out."""

from __future__ import annotations

import threading
from typing import Final

from actors.supervision.address import Address
from actors.supervision.clock import Clock
from actors.supervision.errors import UnknownChild

__all__ = ["AddressBook"]

LISTED: Final = 20
"""Paths that the message about an unknown one lists."""


class AddressBook:
    """Every address of one tree, by path; outlives nested supervisors. Any thread."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._addresses: dict[str, Address] = {}
        # PERF: without it, forgetting one of ten thousand children would look at all of them.
        self._below: dict[str, dict[str, None]] = {}

    def enter(self, path: str) -> Address:
        """The address of ``path``, made now if it is new."""
        with self._lock:
            address = self._addresses.get(path)
            if address is None:
                address = self._addresses[path] = Address(path, self._clock, self)
                self._below.setdefault(_parent(path), {})[path] = None
            return address

    def find(self, path: str) -> Address:
        """The address of ``path``. Raises :class:`UnknownChild`."""
        with self._lock:
            address = self._addresses.get(path)
            if address is None:
                known = ", ".join(sorted(self._addresses)[:LISTED]) or "none"
                more = ", …" if len(self._addresses) > LISTED else ""
                raise UnknownChild(f"there is no child {path!r}; there are: {known}{more}")
            return address

    def strike(self, path: str) -> None:
        """Forget ``path`` and whatever is below it: the child was deleted."""
        with self._lock:
            self._below.get(_parent(path), {}).pop(path, None)
            paths = self._from(path)
            struck = [self._addresses.pop(each) for each in paths if each in self._addresses]
            for each in paths:
                self._below.pop(each, None)
        for address in struck:
            address.retire()

    def retire(self, path: str) -> None:
        """Expect no successor for ``path`` nor for what is below it; ``""`` is the whole tree."""
        with self._lock:
            retired = [self._addresses[e] for e in self._from(path) if e in self._addresses]
        for address in retired:
            address.retire()

    def all(self) -> list[Address]:
        """Every address, in the order of entering."""
        with self._lock:
            return [*self._addresses.values()]

    def _from(self, path: str) -> list[str]:
        """``path`` and every path below it."""
        found = [path]
        for each in found:  # grows while it is walked
            found.extend(self._below.get(each, ()))
        return found


def _parent(path: str) -> str:
    return path.rpartition("/")[0]
