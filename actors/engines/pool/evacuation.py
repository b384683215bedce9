"""Moves requests that wait at an instance elsewhere, once probes found out that it hangs."""

from __future__ import annotations

from _thread import LockType
from typing import Final

from actors.engines.pool.clock import Clock
from actors.engines.pool.listener import PoolListener, Retried
from actors.engines.pool.member import Member
from actors.engines.pool.retry_budget import RetryBudget
from actors.engines.pool.roles import Asking
from actors.engines.pool.rotation import Rotation
from actors.engines.pool.treatment import CANCELLED, Treatment

__all__ = ["UNHEARD", "Evacuation"]

UNHEARD: Final = frozenset({"timeout", "connect", "reset"})
"""The kinds of failed probes in which nobody answered at all. One that answers, with whatever
status, lives: it may be about to answer the requests that wait there too."""


class Evacuation:
    """The exchanges of one pool that can be moved; ``lock`` is the pool's, and guards the others.

    A request is moved only to a healthy instance that has room for it now, and at the price of a
    retry; one that can't be moved keeps its place, for the instance may still come back.
    """

    __slots__ = ("_budget", "_clock", "_listener", "_lock", "_model", "_most", "_rotation", "known")

    def __init__(
        self,
        model: str,
        most: int,
        lock: LockType,
        rotation: Rotation,
        budget: RetryBudget,
        clock: Clock,
        listener: PoolListener,
    ) -> None:
        self._model = model
        self._most = most
        self._lock = lock
        self._rotation = rotation
        self._budget = budget
        self._clock = clock
        self._listener = listener
        # PERF: without the lock; each of a set's methods is one step under the GIL.
        self.known: Final[set[Asking]] = set()

    def leave(self, hung: Member, treatment: Treatment) -> None:
        """Move whoever waits at ``hung``, as long as others can serve and the budget lasts."""
        for exchange in self.known.copy():
            if not exchange.waits_at(hung) or len(exchange.tried) >= self._most:
                continue
            member, allowed = self._elsewhere(exchange)
            if member is None:
                continue
            self._listener.retried(Retried(self._model, hung.id, treatment.kind, allowed))
            if not allowed:
                return
            exchange.move(hung, member)

    def _elsewhere(self, exchange: Asking) -> tuple[Member | None, bool]:
        """A healthy member, taken for ``exchange`` if the budget allows it."""
        now = self._clock.monotonic()
        tried = exchange.tried
        with self._lock:
            if self._rotation.healthy <= sum(each.healthy for each in tried):
                return None, False
            member = self._rotation.take(now, exchange.key, tried)
            allowed = member is not None and self._budget.take(now)
            if member is not None and not allowed:
                self._rotation.release(member, CANCELLED, now)
            return member, allowed
