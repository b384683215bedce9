"""Active health checks, and the failover of requests that wait at an instance that hangs.

Only instances whose engine supports probes are checked, and only while no request shows how they
are: a request that succeeds is better evidence. An ejected instance is probed when its ejection
ends; each ejection is longer than the last one. ``probe_queue`` bounds the probes of all pools.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from actors.engines.pool.breaker import LIMIT, BreakerState
from actors.engines.pool.events import Retried
from actors.engines.pool.failures import CANCELLED, SUCCESS, FailureClass, classify
from actors.engines.pool.instance import Instance, supports_probe
from actors.engines.pool.probe_queue import TIMEOUT, ProbeQueue

if TYPE_CHECKING:
    from actors.engines.pool.pool_state import PoolState
    from actors.engines.pool.request import PoolRequest

__all__ = [
    "INTERVAL",
    "JITTER",
    "TIMEOUT",
    "UNREACHABLE",
    "HangFailover",
    "HealthChecker",
    "seriously",
]

INTERVAL: Final = 10.0
"""Seconds between two probes: an idle instance that died is found before its next request, most of
the time, at the price of a tenth of a request a second."""

JITTER: Final = 0.2
"""The part of the interval that is left to chance, so that a thousand probes don't go at once."""

UNREACHABLE: Final = frozenset({"timeout", "connect", "reset"})
"""Reasons of failed probes that got no answer at all. An instance that answers, with any status, is
alive: it may be about to answer the requests that wait there too."""

DOUBTFUL: Final = 6
"""Ejections in a row, about a minute, from which on an instance stands back behind the others."""


class HealthChecker:
    """Probes the instances of one pool, each on a timer of its own."""

    __slots__ = ("_pool",)

    def __init__(self, pool: PoolState) -> None:
        self._pool = pool

    def watch(self, instance: Instance) -> None:
        """Probe ``instance`` until it is gone. Does nothing if it can't be or already is probed."""
        if instance.probed and not instance.probing:
            instance.probing = True
            self._again(instance, _ended(instance))

    def hasten(self, instance: Instance) -> None:
        """``instance`` was ejected: ask it when its time out is over, not when it was planned."""
        if instance.probing:
            self._again(instance, _ended(instance))

    def _again(self, instance: Instance, ended: int) -> None:
        """Plan the next look; one that was planned before counts no more."""
        pool = self._pool
        instance.probe_generation += 1
        delay = INTERVAL * (1 - JITTER * pool.random_fn())
        if instance.breaker.state is not BreakerState.CLOSED:
            delay = max(instance.breaker.until - pool.clock.monotonic(), 0.0)
        pool.clock.call_later(
            delay, partial(self._look, instance, ended, instance.probe_generation)
        )

    def _look(self, instance: Instance, ended: int, look: int) -> None:
        if look != instance.probe_generation:
            return
        if not self.wanted(instance):
            instance.probing = False
            return
        state = self._pool.begin_probe(instance)
        busy = _ended(instance) != ended and not instance.breaker.penalty
        if state is BreakerState.CLOSED and busy:
            self._again(instance, _ended(instance))
            return
        self._queue(instance).ask(instance.endpoint or f"{id(instance):#x}", _Look(self, instance))

    def wanted(self, instance: Instance) -> bool:
        """Whether somebody cares how ``instance`` is."""
        if self._pool.probes.closed:
            return False
        # NOTE: one that is gone may still hold requests; they are told if it hangs.
        gone = instance.gone or self._pool.detached
        return not (gone and not instance.inflight) and supports_probe(instance.engine)

    def done(self, instance: Instance, error: BaseException | None) -> None:
        """A probe of ``instance`` ended, with ``error`` or well."""
        instance.proven = instance.proven or error is None
        self._pool.learn_probe(instance, SUCCESS if error is None else seriously(classify(error)))
        self._again(instance, _ended(instance))

    def _queue(self, instance: Instance) -> ProbeQueue:
        closed = instance.breaker.state is BreakerState.CLOSED
        well = instance.answered and (closed or instance.breaker.openings < DOUBTFUL)
        return self._pool.probes.proven if well else self._pool.probes.doubtful


class _Look:
    """One instance that waits for its probe; outdated once another look was planned."""

    __slots__ = ("_look", "_member", "_prober")

    def __init__(self, prober: HealthChecker, instance: Instance) -> None:
        self._prober = prober
        self._member = instance
        self._look = instance.probe_generation

    @property
    def wanted(self) -> bool:
        return self._look == self._member.probe_generation and self._prober.wanted(self._member)

    def start(self, done: Callable[[BaseException | None], object]) -> None:
        engine = self._member.engine
        if supports_probe(engine):
            engine.probe(done)

    def told(self, error: BaseException | None) -> None:
        if self._look == self._member.probe_generation:
            self._prober.done(self._member, error)

    def dropped(self) -> None:
        if self._look == self._member.probe_generation:
            self._member.probing = False


def _ended(instance: Instance) -> int:
    """How many requests ended at ``instance``: one that hangs is given requests, and ends none."""
    return instance.selections - instance.inflight


def seriously(failure: FailureClass) -> FailureClass:
    """A failed probe as it counts: two in a row eject, or one that found nobody listening.

    It has a question of its own, so that no failure is the client's, and none is busy.
    """
    if failure is CANCELLED:  # this process could not even ask
        return failure
    return FailureClass(failure.kind, retry=False, penalty=max(failure.penalty, (LIMIT + 1) // 2))


class HangFailover:
    """The requests of one pool that can be moved, ``known``, each to at most ``most`` instances.

    A request is moved only to a healthy instance that has room for it now, and at the price of a
    retry; one that can't be moved keeps its place, for the instance may still come back.
    """

    __slots__ = ("_known", "_most", "_pool")

    def __init__(self, pool: PoolState, most: int, known: set[PoolRequest]) -> None:
        self._pool = pool
        self._most = most
        self._known: Final = known

    def leave(self, hung: Instance, failure: FailureClass) -> None:
        """Move whoever waits at ``hung``, as long as others can serve and the budget lasts."""
        for request in self._known.copy():
            if not request.waits_at(hung) or len(request.tried) >= self._most:
                continue
            instance, allowed = self._elsewhere(request)
            if instance is None:
                continue
            self._pool.listener.retried(Retried(self._pool.model, hung.id, failure.kind, allowed))
            if not allowed:
                return
            request.move(hung, instance)

    def _elsewhere(self, request: PoolRequest) -> tuple[Instance | None, bool]:
        """A healthy instance, taken for ``request`` if the budget allows it."""
        now = self._pool.clock.monotonic()
        tried = request.tried
        with self._pool.lock:
            if self._pool.selector.healthy <= sum(each.healthy for each in tried):
                return None, False
            instance = self._pool.selector.acquire(now, request.key, tried)
            allowed = instance is not None and self._pool.budget.take(now)
            if instance is not None and not allowed:
                self._pool.selector.release(instance, CANCELLED, now)
            return instance, allowed
