"""Moves requests that wait at an instance elsewhere, once probes found out that it hangs."""

from __future__ import annotations

from _thread import LockType
from typing import TYPE_CHECKING, Final

from actors.engines.pool.clock import Clock
from actors.engines.pool.listener import PoolListener, Retried
from actors.engines.pool.member import Member
from actors.engines.pool.retry_budget import RetryBudget
from actors.engines.pool.rotation import Rotation
from actors.engines.pool.treatment import CANCELLED, Treatment

if TYPE_CHECKING:
    from actors.engines.pool.request import PoolRequest

__all__ = ["UNHEARD", "Evacuation"]

UNHEARD: Final = frozenset({"timeout", "connect", "reset"})
"""The kinds of failed probes in which nobody answered at all. One that answers, with whatever
status, lives: it may be about to answer the requests that wait there too."""


class Evacuation:
    """The requests of one pool that can be moved; ``lock`` is the pool's, and guards the others.

    A request is moved only to a healthy instance that has room for it now, and at the price of a
    retry; one that can't be moved keeps its place, for the instance may still come back.
    """

    __slots__ = (
        "_budget",
        "_clock",
        "_known",
        "_listener",
        "_lock",
        "_model",
        "_most",
        "_rotation",
    )

    def __init__(
        self,
        model: str,
        most: int,
        known: set[PoolRequest],
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
        self._known: Final = known

    def leave(self, hung: Member, treatment: Treatment) -> None:
        """Move whoever waits at ``hung``, as long as others can serve and the budget lasts."""
        for request in self._known.copy():
            if not request.waits_at(hung) or len(request.tried) >= self._most:
                continue
            member, allowed = self._elsewhere(request)
            if member is None:
                continue
            self._listener.retried(Retried(self._model, hung.id, treatment.kind, allowed))
            if not allowed:
                return
            request.move(hung, member)

    def _elsewhere(self, request: PoolRequest) -> tuple[Member | None, bool]:
        """A healthy member, taken for ``request`` if the budget allows it."""
        now = self._clock.monotonic()
        tried = request.tried
        with self._lock:
            if self._rotation.healthy <= sum(each.healthy for each in tried):
                return None, False
            member = self._rotation.take(now, request.key, tried)
            allowed = member is not None and self._budget.take(now)
            if member is not None and not allowed:
                self._rotation.release(member, CANCELLED, now)
            return member, allowed
