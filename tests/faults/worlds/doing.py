"""Faults that are made of a few calls: for what happens inside of the system under test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actors.testing.faults import Fault

__all__ = ["Doing"]


def _nothing() -> None:
    return


class Doing(Fault):
    """A fault of two functions; what they put into ``facts`` becomes evidence."""

    def __init__(
        self,
        name: str,
        begin: Callable[[dict[str, Any]], object],
        end: Callable[[], object] = _nothing,
        **parameters: object,
    ) -> None:
        super().__init__(**parameters)
        self.name = name
        self.facts: dict[str, Any] = {}
        self._begin, self._end = begin, end

    def _inject(self) -> None:
        self._begin(self.facts)

    def _heal(self) -> None:
        self._end()
