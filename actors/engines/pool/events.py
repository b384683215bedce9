"""What a pool tells whoever listens: rare things as frozen records, one method for each.

A selection is no event but a counter of its instance (``view``): an event for each request would
cost more than the choice.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from actors.engines.contract import Kind
    from actors.engines.pool.pool import Pool

__all__ = [
    "Ejected",
    "Hedged",
    "Migrated",
    "PoolListener",
    "PoolListeners",
    "Readmitted",
    "Retried",
    "Waited",
]


_log: Final = logging.getLogger("actors.engines.pool")


@dataclass(frozen=True, slots=True)
class Retried:
    """A request failed at ``instance`` before its first byte. ``allowed``: another is asked."""

    model: str
    instance: str
    kind: str
    allowed: bool


@dataclass(frozen=True, slots=True)
class Hedged:
    """A second instance was asked; ``won`` tells who answered first, ``None``: only just asked."""

    model: str
    instance: str
    won: bool | None


@dataclass(frozen=True, slots=True)
class Migrated:
    """An answer that ``instance`` began was broken off by a failure of that ``kind``.

    ``outcome``: ``continued`` by another instance, ``failed`` there, too, or why it was not asked.
    """

    model: str
    instance: str
    kind: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Ejected:
    """``instance`` gets no requests for ``seconds``, because of a failure of that ``kind``."""

    model: str
    instance: str
    kind: str
    seconds: float
    pool: Kind | None = None
    """The kind of its pool, which the word before is not."""


@dataclass(frozen=True, slots=True)
class Readmitted:
    """``instance`` answered its trial; ``pool`` is the kind of its pool."""

    model: str
    instance: str
    pool: Kind | None = None


@dataclass(frozen=True, slots=True)
class Waited:
    """A request waited ``seconds`` for an instance.

    ``outcome``: served, full, displaced, expired or left.
    """

    model: str
    seconds: float
    outcome: str


class PoolListener:
    """Override what you want to hear of; all of these do nothing.

    Called on whatever thread it happened on, outside every lock. Must be quick.
    """

    def pool_opened(self, pool: Pool) -> None:
        """A model has a pool from now on; ask it for its ``view()`` at any time."""

    def pool_closed(self, pool: Pool) -> None:
        """The model is gone."""

    def retried(self, event: Retried) -> None:
        """See :class:`Retried`."""

    def hedged(self, event: Hedged) -> None:
        """See :class:`Hedged`."""

    def migrated(self, event: Migrated) -> None:
        """See :class:`Migrated`."""

    def ejected(self, event: Ejected) -> None:
        """See :class:`Ejected`."""

    def readmitted(self, event: Readmitted) -> None:
        """See :class:`Readmitted`."""

    def waited(self, event: Waited) -> None:
        """See :class:`Waited`."""


class PoolListeners(PoolListener):
    """Several listeners as one."""

    def __init__(self, listeners: Sequence[PoolListener] = ()) -> None:
        self._all: Sequence[PoolListener] = tuple(listeners)

    def add(self, listener: PoolListener) -> None:
        """Tell ``listener`` too, from now on. Any thread."""
        self._all = (*self._all, listener)

    def pool_opened(self, pool: Pool) -> None:
        """To all."""
        self._tell("pool_opened", pool)

    def pool_closed(self, pool: Pool) -> None:
        """To all."""
        self._tell("pool_closed", pool)

    def retried(self, event: Retried) -> None:
        """To all."""
        self._tell("retried", event)

    def hedged(self, event: Hedged) -> None:
        """To all."""
        self._tell("hedged", event)

    def migrated(self, event: Migrated) -> None:
        """To all."""
        self._tell("migrated", event)

    def ejected(self, event: Ejected) -> None:
        """To all."""
        self._tell("ejected", event)

    def readmitted(self, event: Readmitted) -> None:
        """To all."""
        self._tell("readmitted", event)

    def waited(self, event: Waited) -> None:
        """To all."""
        self._tell("waited", event)

    def _tell(self, method: str, event: Any) -> None:
        for listener in self._all:
            try:
                getattr(listener, method)(event)
            except Exception:  # noqa: BLE001  # foreign code: no request may fail for it
                _log.exception("a pool listener failed", extra={"event": method})
