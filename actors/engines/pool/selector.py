"""Selects an instance for each request, and learns from how the request ended. Pure.

Rules of this file: no clock, no lock, no engine is called. The time is passed in, the lock is the
pool's, and what others should hear of is returned as records. No request looks at every instance.

An instance is *healthy* while it is neither gone nor draining, its breaker is closed and it did not
ask for a cooldown. Healthy instances with room are active: the policy selects from them. Unhealthy
ones with room are asked only when no healthy one is left at all: the pool *fails open*.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator
from typing import Final

from actors.engines.contract import Engine
from actors.engines.pool.breaker import BreakerState
from actors.engines.pool.failures import CANCELLED, SUCCESS, FailureClass
from actors.engines.pool.instance import (
    HELD_BACK,
    SLOW_START_SECONDS,
    STEP_SECONDS,
    Instance,
    Place,
    share,
)
from actors.engines.pool.policies import Key, RandomFn, new_policy
from actors.engines.pool.policies.least_loaded import LeastLoaded
from actors.engines.pool.spec import InstanceSpec, PolicyName

__all__ = ["BreakerTransition", "Selector"]

# PERF: looked up for each request.
_UNAVAILABLE, _ACTIVE, _UNHEALTHY = Place.UNAVAILABLE, Place.ACTIVE, Place.UNHEALTHY


class BreakerTransition:
    """How an instance's breaker turned: ``opened`` for so many ``seconds``, or else closed."""

    __slots__ = ("instance", "opened", "seconds")

    def __init__(self, instance: Instance, *, opened: bool, seconds: float = 0.0) -> None:
        self.instance = instance
        self.opened = opened
        self.seconds = seconds


class Selector:
    """The instances of one pool, by id, and where each is. ``random_fn`` draws from [0, 1)."""

    __slots__ = (
        "_next_look",
        "_policy",
        "_random_fn",
        "_trials",
        "_unhealthy",
        "_wakes",
        "_wakes_made",
        "_warming",
        "healthy",
        "instances",
        "only",
        "serving",
    )

    def __init__(self, policy: PolicyName, random_fn: RandomFn) -> None:
        self.instances: Final[dict[str, Instance]] = {}
        self.healthy = 0
        """How many are healthy, full ones included."""
        self.serving = 0
        """How many are neither draining nor gone."""
        self.only: Instance | None = None
        """The pool's only instance, while it is active.

        PERF: there is nothing to choose, so neither the policy nor the slow start is looked at.
        When a second instance comes, :meth:`_see_only` has the policy catch up with the load, and
        the next :meth:`acquire` with the weight.
        """
        self._random_fn = random_fn
        self._policy = new_policy(policy, random_fn)
        # PERF: made for the first suspect; most pools never have one, and there may be thousands.
        self._unhealthy: LeastLoaded | None = None
        self._trials: list[Instance] = []
        self._wakes: list[tuple[float, int, Instance]] = []
        self._wakes_made = 0
        self._warming: dict[Instance, None] = {}
        self._next_look = 0.0

    # Coming and going.

    def put(self, id_: str, engine: Engine, spec: InstanceSpec, endpoint: str, now: float) -> None:
        """Add an instance, or tell news of it: with the same endpoint it keeps what was seen."""
        instance = self.instances.get(id_)
        if instance is not None and instance.endpoint != endpoint:
            self.remove(id_)
            instance = None
        if instance is None:
            instance = self.instances[id_] = Instance(id_, engine, spec, endpoint, now)
            self.serving += instance.open
            self._warm(instance, now)
            self._update_health(instance, now)
            self._see_only()
            return
        self._move(instance, Place.UNAVAILABLE)
        was_open = instance.open
        instance.renew(engine, spec)
        self.serving += instance.open - was_open
        if instance.open != was_open:
            instance.since = now
        self._reweigh(instance, now)
        self._update_health(instance, now)

    def remove(self, id_: str) -> Instance | None:
        """Remove an instance; what it has in flight ends in its own time."""
        instance = self.instances.pop(id_, None)
        if instance is not None:
            self.serving -= instance.open
            instance.gone, instance.open = True, False
            self._warming.pop(instance, None)
            self._update_health(instance, 0.0)
            self._policy.forget(instance)
            self._see_only()
        return instance

    def use(self, policy: PolicyName) -> None:
        """Choose by ``policy`` from now on. Looks at every instance."""
        inside = [each for each in self.instances.values() if each.place is Place.ACTIVE]
        self._policy = new_policy(policy, self._random_fn)
        for instance in inside:
            instance.turn = -1.0
            self._policy.add(instance)

    # Choosing.

    def acquire(
        self, now: float, key: Key = "", tried: Collection[Instance] = ()
    ) -> Instance | None:
        """Select an instance that is not in ``tried`` and count the request; ``None`` if there is
        none."""
        if self._wakes and self._wakes[0][0] <= now:
            self._wake(now)
        if self._warming and self._next_look <= now:
            self._look_at_the_warming(now)
        instance = self._next_trial(tried) if self._trials else None
        if instance is None:
            if tried:
                instance = self._choose_from_untried(key, tried)
            else:
                instance = self._policy.pick(key)
                if instance is None and self._unhealthy and not self.healthy:
                    instance = self._unhealthy.pick()
        if instance is not None:
            instance.inflight += 1
            instance.selections += 1
            # PERF: what ``_update_place`` would do, without the call.
            if instance.place is _ACTIVE and instance.inflight < instance.limit:
                self._policy.update(instance)
            else:
                self._update_place(instance)
        return instance

    def has_other(self, tried: Collection[Instance]) -> bool:
        """Whether there is an instance to wait for that is not in ``tried``."""
        known = sum(each.open for each in tried)
        return self.serving > known

    def _choose_from_untried(self, key: Key, tried: Collection[Instance]) -> Instance | None:
        away = [each for each in tried if each.place is not Place.UNAVAILABLE]
        places = [each.place for each in away]
        for instance in away:
            self._move(instance, Place.UNAVAILABLE)
        chosen = self._policy.pick(key)
        if (
            chosen is None
            and self._unhealthy
            and self.healthy <= sum(each.healthy for each in tried)
        ):
            chosen = self._unhealthy.pick()
        for each, place in zip(away, places, strict=True):
            self._move(each, place)
        return chosen

    def _next_trial(self, tried: Collection[Instance]) -> Instance | None:
        """An instance that has to show whether it recovered, and has no trial yet."""
        for _ in range(len(self._trials)):
            instance = self._trials.pop(0)
            if (
                instance.place is Place.UNAVAILABLE
                or instance.breaker.state is not BreakerState.HALF_OPEN
            ):
                continue
            if instance in tried:
                self._trials.append(instance)
                continue
            instance.trial = True
            return instance
        return None

    # What became of it.

    def release(
        self, instance: Instance, failure: FailureClass, now: float
    ) -> BreakerTransition | None:
        """An attempt at ``instance`` ended so: count it out, and learn from it."""
        instance.inflight -= 1
        transition = None
        if failure is not SUCCESS or instance.breaker.penalty or not instance.healthy:
            transition = self.learn(instance, failure, now)
        elif instance.place is _ACTIVE:  # PERF: it has more room than before, and stays
            self._policy.update(instance)
            return None
        self._update_place(instance)
        return transition

    def learn(
        self, instance: Instance, failure: FailureClass, now: float
    ) -> BreakerTransition | None:
        """Something was seen of ``instance``, by a request or a probe."""
        if failure.kind and failure is not CANCELLED:
            instance.last_error = failure.kind
        transition = None
        if failure.penalty:
            instance.failures += 1
            transition = self._penalise(instance, failure.penalty, now)
        elif failure is CANCELLED:
            if instance.trial:
                self._trials.append(instance)
        elif instance.breaker.succeeded():
            transition = self._readmit(instance, now)
        if failure.pause and instance.cooldown_until != HELD_BACK:
            instance.cooldown_until = max(instance.cooldown_until, now + failure.pause)
            self._wake_at(instance.cooldown_until, instance)
        instance.trial = False
        self._update_health(instance, now)
        return transition

    def probed(self, instance: Instance, now: float) -> BreakerTransition | None:
        """A probe of ``instance`` went well."""
        transition = self._readmit(instance, now) if instance.breaker.probed() else None
        self._update_health(instance, now)
        return transition

    def hold_back(self, instance: Instance, now: float) -> None:
        """An operator wants it to stand back behind the others until :meth:`readmit`."""
        if instance.cooldown_until != HELD_BACK:
            instance.cooldown_until, instance.since = HELD_BACK, now
            self._update_health(instance, now)

    def readmit(self, instance: Instance, now: float) -> None:
        """An operator wants it to get requests, whatever was seen of it."""
        closed = instance.breaker.succeeded()
        if closed or instance.cooldown_until > now:
            instance.cooldown_until = 0.0
            instance.trial = False
            self._readmit(instance, now)
            self._update_health(instance, now)

    def _readmit(self, instance: Instance, now: float) -> BreakerTransition:
        instance.since = now
        self._warm(instance, now)
        return BreakerTransition(instance, opened=False)

    def _penalise(self, instance: Instance, points: int, now: float) -> BreakerTransition | None:
        breaker = instance.breaker
        if not breaker.failed(points, now, self._random_fn()):
            return None
        instance.since = now
        self._warming.pop(instance, None)
        self._wake_at(breaker.until, instance)
        return BreakerTransition(instance, opened=True, seconds=breaker.until - now)

    # Where everybody is.

    def _update_place(self, instance: Instance) -> None:
        """The number of its requests changed: it may be full now, or have room again."""
        if not instance.open or instance.inflight >= instance.limit:
            place = _UNAVAILABLE
        else:
            place = _ACTIVE if instance.healthy else _UNHEALTHY
        if place is not instance.place:
            self._move(instance, place)
        elif place is _ACTIVE:
            self._policy.update(instance)
        elif place is _UNHEALTHY and self._unhealthy is not None:
            self._unhealthy.update(instance)

    def _update_health(self, instance: Instance, now: float) -> None:
        """Its health may have changed."""
        closed = instance.breaker.state is BreakerState.CLOSED
        healthy = instance.open and closed and now >= instance.cooldown_until
        self.healthy += healthy - instance.healthy
        instance.healthy = healthy
        self._update_place(instance)

    def _move(self, instance: Instance, place: Place) -> None:
        if instance.place is Place.ACTIVE:
            self._policy.remove(instance)
        elif instance.place is Place.UNHEALTHY and self._unhealthy is not None:
            self._unhealthy.remove(instance)
        instance.place = place
        if place is Place.ACTIVE:
            self._policy.add(instance)
        elif place is Place.UNHEALTHY:
            if self._unhealthy is None:
                self._unhealthy = LeastLoaded(self._random_fn)
            self._unhealthy.add(instance)
        self._see_only()

    def _see_only(self) -> None:
        """See whether one active instance is all there is, and let the policy catch up if not."""
        before, self.only = self.only, None
        if len(self.instances) == 1:
            (instance,) = self.instances.values()
            if instance.place is _ACTIVE:
                self.only = instance
        if before is not None and before is not self.only and before.place is _ACTIVE:
            self._policy.update(before)

    # Time passes.

    @property
    def next_wake(self) -> float | None:
        """When somebody's time out is over; ``None`` if nobody is out."""
        return self._wakes[0][0] if self._wakes else None

    def _wake_at(self, when: float, instance: Instance) -> None:
        self._wakes_made += 1
        heapq.heappush(self._wakes, (when, self._wakes_made, instance))

    def _wake(self, now: float) -> None:
        for instance in self._awakened(now):
            # NOTE: one that can be probed waits for its probe; no request has to be the trial.
            if instance.breaker.due(now) and not instance.probed:
                instance.breaker.try_again()
                self._trials.append(instance)
            self._update_health(instance, now)

    def _awakened(self, now: float) -> Iterator[Instance]:
        while self._wakes and self._wakes[0][0] <= now:
            instance = heapq.heappop(self._wakes)[2]
            if not instance.gone:
                yield instance

    def _warm(self, instance: Instance, now: float) -> None:
        instance.slow_start_since = now
        self._warming[instance] = None
        self._reweigh(instance, now)

    def _reweigh(self, instance: Instance, now: float) -> None:
        instance.weight = instance.spec.weight * share(now - instance.slow_start_since)

    def _look_at_the_warming(self, now: float) -> None:
        self._next_look = now + STEP_SECONDS
        for instance in [*self._warming]:
            self._reweigh(instance, now)
            self._update_place(instance)
            if now - instance.slow_start_since >= SLOW_START_SECONDS:
                del self._warming[instance]
