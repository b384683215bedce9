"""Who may be chosen, who is chosen, and what became of it: the whole state of a pool. Pure.

Rules of this file: no clock, no lock, no engine is called. The time is handed in, the lock is the
pool's, and what the outside should hear of is returned as records. Nothing here looks at every
member for a request.

A member is *healthy* while it is neither gone nor draining, its breaker is closed and it did not
ask for a pause. Healthy ones with room are in the rotation; the others with room are suspects,
which are asked only when no healthy one is left at all: the pool *fails open*.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator
from typing import Final

from actors.engines.contract import Engine
from actors.engines.pool.breaker import BreakerState
from actors.engines.pool.load_buckets import LoadBuckets
from actors.engines.pool.member import Member, Place
from actors.engines.pool.policies import Chance, policy_of
from actors.engines.pool.slow_start import STEP, WINDOW, share
from actors.engines.pool.spec import InstanceSpec, PolicyName
from actors.engines.pool.treatment import CANCELLED, SUCCESS, Treatment

__all__ = ["Rotation", "Turn"]

# PERF: looked up for each request.
_OUT, _ROTATION, _SUSPECT = Place.OUT, Place.ROTATION, Place.SUSPECT


class Turn:
    """How a member's breaker turned: ``opened`` for so many ``seconds``, or else closed."""

    __slots__ = ("member", "opened", "seconds")

    def __init__(self, member: Member, *, opened: bool, seconds: float = 0.0) -> None:
        self.member = member
        self.opened = opened
        self.seconds = seconds


class Rotation:
    """The members of one pool, by id, and where each is. ``chance`` draws from [0, 1)."""

    __slots__ = (
        "_chance",
        "_next_look",
        "_policy",
        "_suspects",
        "_trials",
        "_wakes",
        "_wakes_made",
        "_warming",
        "healthy",
        "members",
        "serving",
    )

    def __init__(self, policy: PolicyName, chance: Chance) -> None:
        self.members: Final[dict[str, Member]] = {}
        self.healthy = 0
        """How many are healthy, full ones included."""
        self.serving = 0
        """How many are neither draining nor gone."""
        self._chance = chance
        self._policy = policy_of(policy, chance)
        # PERF: made for the first suspect; most pools never have one, and there may be thousands.
        self._suspects: LoadBuckets | None = None
        self._trials: list[Member] = []
        self._wakes: list[tuple[float, int, Member]] = []
        self._wakes_made = 0
        self._warming: dict[Member, None] = {}
        self._next_look = 0.0

    # Coming and going.

    def put(self, id_: str, engine: Engine, spec: InstanceSpec, endpoint: str, now: float) -> None:
        """Add an instance, or tell news of it: with the same endpoint it keeps what was seen."""
        member = self.members.get(id_)
        if member is not None and member.endpoint != endpoint:
            self.drop(id_)
            member = None
        if member is None:
            member = self.members[id_] = Member(id_, engine, spec, endpoint, now)
            self.serving += member.open
            self._warm(member, now)
            self._judge(member, now)
            return
        self._keep(member, Place.OUT)
        was_open = member.open
        member.renew(engine, spec)
        self.serving += member.open - was_open
        if member.open != was_open:
            member.since = now
        self._reweigh(member, now)
        self._judge(member, now)

    def drop(self, id_: str) -> Member | None:
        """Remove an instance; what it has in flight ends in its own time."""
        member = self.members.pop(id_, None)
        if member is not None:
            self.serving -= member.open
            member.gone, member.open = True, False
            self._warming.pop(member, None)
            self._judge(member, 0.0)
            self._policy.forget(member)
        return member

    def use(self, policy: PolicyName) -> None:
        """Choose by ``policy`` from now on. Looks at every member."""
        inside = [each for each in self.members.values() if each.place is Place.ROTATION]
        self._policy = policy_of(policy, self._chance)
        for member in inside:
            member.turn = -1.0
            self._policy.add(member)

    # Choosing.

    def take(self, now: float, key: str = "", tried: Collection[Member] = ()) -> Member | None:
        """Choose a member that is not in ``tried``, and count the request in; ``None`` in vain."""
        if self._wakes and self._wakes[0][0] <= now:
            self._wake(now)
        if self._warming and self._next_look <= now:
            self._look_at_the_warming(now)
        member = self._next_trial(tried) if self._trials else None
        if member is None:
            if tried:
                member = self._choose_from_untried(key, tried)
            else:
                member = self._policy.pick(key)
                if member is None and self._suspects and not self.healthy:
                    member = self._suspects.pick()
        if member is not None:
            member.inflight += 1
            member.selections += 1
            # PERF: what ``_settle`` would do, without the call.
            if member.place is _ROTATION and member.inflight < member.limit:
                self._policy.update(member)
            else:
                self._settle(member)
        return member

    def has_other(self, tried: Collection[Member]) -> bool:
        """Whether there is a member to wait for that is not in ``tried``."""
        known = sum(each.open for each in tried)
        return self.serving > known

    def _choose_from_untried(self, key: str, tried: Collection[Member]) -> Member | None:
        away = [each for each in tried if each.place is not Place.OUT]
        places = [each.place for each in away]
        for member in away:
            self._keep(member, Place.OUT)
        chosen = self._policy.pick(key)
        if (
            chosen is None
            and self._suspects
            and self.healthy <= sum(each.healthy for each in tried)
        ):
            chosen = self._suspects.pick()
        for each, place in zip(away, places, strict=True):
            self._keep(each, place)
        return chosen

    def _next_trial(self, tried: Collection[Member]) -> Member | None:
        """A member that has to show whether it recovered, and has no trial yet."""
        for _ in range(len(self._trials)):
            member = self._trials.pop(0)
            if member.place is Place.OUT or member.breaker.state is not BreakerState.HALF_OPEN:
                continue
            if member in tried:
                self._trials.append(member)
                continue
            member.trial = True
            return member
        return None

    # What became of it.

    def release(self, member: Member, treatment: Treatment, now: float) -> Turn | None:
        """An attempt at ``member`` ended so: count it out, and learn from it."""
        member.inflight -= 1
        turn = None
        if treatment is not SUCCESS or member.breaker.harm or not member.healthy:
            turn = self.learn(member, treatment, now)
        elif member.place is _ROTATION:  # PERF: it has more room than before, and stays
            self._policy.update(member)
            return None
        self._settle(member)
        return turn

    def learn(self, member: Member, treatment: Treatment, now: float) -> Turn | None:
        """Something was seen of ``member``, by a request or a probe."""
        if treatment.kind and treatment is not CANCELLED:
            member.last_error = treatment.kind
        turn = None
        if treatment.harm:
            member.failures += 1
            turn = self._harm(member, treatment.harm, now)
        elif treatment is CANCELLED:
            if member.trial:
                self._trials.append(member)
        elif member.breaker.succeeded():
            turn = self._readmit(member, now)
        if treatment.pause:
            member.paused_until = max(member.paused_until, now + treatment.pause)
            self._wake_at(member.paused_until, member)
        member.trial = False
        self._judge(member, now)
        return turn

    def probed(self, member: Member, now: float) -> Turn | None:
        """A probe of ``member`` went well."""
        turn = self._readmit(member, now) if member.breaker.probed() else None
        self._judge(member, now)
        return turn

    def _readmit(self, member: Member, now: float) -> Turn:
        member.since = now
        self._warm(member, now)
        return Turn(member, opened=False)

    def _harm(self, member: Member, points: int, now: float) -> Turn | None:
        breaker = member.breaker
        if not breaker.failed(points, now, self._chance()):
            return None
        member.since = now
        self._warming.pop(member, None)
        self._wake_at(breaker.until, member)
        return Turn(member, opened=True, seconds=breaker.until - now)

    # Where everybody is.

    def _settle(self, member: Member) -> None:
        """The number of its requests changed: it may be full now, or have room again."""
        if not member.open or member.inflight >= member.limit:
            place = _OUT
        else:
            place = _ROTATION if member.healthy else _SUSPECT
        if place is not member.place:
            self._keep(member, place)
        elif place is _ROTATION:
            self._policy.update(member)
        elif place is _SUSPECT and self._suspects is not None:
            self._suspects.update(member)

    def _judge(self, member: Member, now: float) -> None:
        """Its health may have changed."""
        closed = member.breaker.state is BreakerState.CLOSED
        healthy = member.open and closed and now >= member.paused_until
        self.healthy += healthy - member.healthy
        member.healthy = healthy
        self._settle(member)

    def _keep(self, member: Member, place: Place) -> None:
        if member.place is Place.ROTATION:
            self._policy.remove(member)
        elif member.place is Place.SUSPECT and self._suspects is not None:
            self._suspects.remove(member)
        member.place = place
        if place is Place.ROTATION:
            self._policy.add(member)
        elif place is Place.SUSPECT:
            if self._suspects is None:
                self._suspects = LoadBuckets(self._chance)
            self._suspects.add(member)

    # Time passes.

    @property
    def next_wake(self) -> float | None:
        """When somebody's time out is over; ``None`` if nobody is out."""
        return self._wakes[0][0] if self._wakes else None

    def _wake_at(self, when: float, member: Member) -> None:
        self._wakes_made += 1
        heapq.heappush(self._wakes, (when, self._wakes_made, member))

    def _wake(self, now: float) -> None:
        for member in self._awakened(now):
            # NOTE: one that can be probed waits for its probe; no request has to be the trial.
            if member.breaker.due(now) and not member.probed:
                member.breaker.try_again()
                self._trials.append(member)
            self._judge(member, now)

    def _awakened(self, now: float) -> Iterator[Member]:
        while self._wakes and self._wakes[0][0] <= now:
            member = heapq.heappop(self._wakes)[2]
            if not member.gone:
                yield member

    def _warm(self, member: Member, now: float) -> None:
        member.warm_from = now
        self._warming[member] = None
        self._reweigh(member, now)

    def _reweigh(self, member: Member, now: float) -> None:
        member.weight = member.spec.weight * share(now - member.warm_from)

    def _look_at_the_warming(self, now: float) -> None:
        self._next_look = now + STEP
        for member in [*self._warming]:
            self._reweigh(member, now)
            self._settle(member)
            if now - member.warm_from >= WINDOW:
                del self._warming[member]
