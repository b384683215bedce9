"""A model's instances behind one engine: the thin shell around ``rotation``.

Under its lock it asks the rotation; outside of it, it calls engines, timers and its listener.
"""

from __future__ import annotations

import logging
import math
import random
from _thread import allocate_lock
from typing import Final

from actors.engines.contract import Context, Engine, EngineRequest, Kind, Sink
from actors.engines.errors import EngineError
from actors.engines.pool.affinity import key_of
from actors.engines.pool.breaker import BreakerState
from actors.engines.pool.clock import Clock, loop_clock
from actors.engines.pool.evacuation import UNHEARD, Evacuation
from actors.engines.pool.first_tokens import FirstTokens
from actors.engines.pool.listener import Ejected, Hedged, PoolListener, Readmitted, Retried
from actors.engines.pool.member import Member
from actors.engines.pool.policies import Chance
from actors.engines.pool.probe_queue import ProbeQueues
from actors.engines.pool.prober import Prober
from actors.engines.pool.queue import Queue, Waiter
from actors.engines.pool.request import PoolRequest
from actors.engines.pool.request_state import LIFE, Event, State
from actors.engines.pool.request_timer import RequestTimer
from actors.engines.pool.retry_budget import BURST, RetryBudget
from actors.engines.pool.rotation import Rotation, Turn
from actors.engines.pool.sink_request import SinkRequest
from actors.engines.pool.spec import NO_TIMEOUTS, ORDINARY, PLAIN, InstanceSpec, ModelSpec
from actors.engines.pool.treatment import CANCELLED, SUCCESS, Treatment
from actors.engines.pool.view import PoolView, view_of
from actors.engines.pool.waiting_room import WaitingRoom, nobody, not_up_yet

__all__ = ["MAX_ATTEMPTS", "Pool"]

_log: Final = logging.getLogger("actors.engines.pool")

# PERF: looked up for each request.
_WAITING, _ASK = State.WAITING, Event.ASK

MAX_ATTEMPTS: Final = 5
"""Instances that one request is sent to at most (SMG's default). The budget bounds the sum."""


class Pool:
    """An engine made of instances; each request goes to one of them, and on failure to others.

    Mutable, and safe to use from any thread: instances come and go while requests run, and what is
    known of the others (requests in flight, health) stays. Truthy while it has one.

    ``model`` and ``kind`` name it in messages and metrics. ``chance`` draws from [0, 1). Pools that
    share their ``probes`` share the bounds on them.
    """

    __slots__ = (
        "_budget",
        "_chance",
        "_evacuation",
        "_first_tokens",
        "_key_of",
        "_listener",
        "_lock",
        "_max_attempts",
        "_plain",
        "_queue",
        "_room",
        "_rotation",
        "asked",
        "clock",
        "kind",
        "let_go",
        "model",
        "movable",
        "probes",
        "spec",
    )

    def __init__(
        self,
        model: str = "",
        kind: Kind = Kind.CHAT,
        spec: ModelSpec = PLAIN,
        *,
        clock: Clock | None = None,
        chance: Chance = random.random,
        listener: PoolListener | None = None,
        probes: ProbeQueues | None = None,
        queue: Queue | None = None,
        max_attempts: int = MAX_ATTEMPTS,
    ) -> None:
        self.model: Final = model
        self.kind: Final = kind
        self.spec = spec
        self.clock: Final = clock or loop_clock()
        self.probes: Final = probes or ProbeQueues(self.clock)
        self._listener = listener or PoolListener()
        self._chance = chance
        self.let_go = False
        """Whether the registry has let go of it: only requests in flight need it any more."""
        self.asked = False
        """Whether any request ever came to it."""
        self._max_attempts = max_attempts
        self._lock = allocate_lock()
        self._rotation = Rotation(self.spec.policy, chance)
        self._budget = RetryBudget(self.clock.monotonic())
        # PERF: made when somebody has to wait; most pools never need one.
        self._room: WaitingRoom | None = None
        self._evacuation: Evacuation | None = None
        # PERF: without the lock; each of a set's methods is one step under the GIL.
        self.movable: Final[set[PoolRequest]] = set()
        """Requests that can be moved should their instance hang."""
        self._plain = _is_plain(spec)
        self._queue = queue
        self._key_of = key_of(self.spec.policy)
        self._first_tokens: FirstTokens | None = None

    def __len__(self) -> int:
        return len(self._rotation.members)

    def __repr__(self) -> str:
        return f"<Pool of {[*self._rotation.members]}>"

    # Coming and going.

    def put(self, id_: str, engine: Engine, spec: InstanceSpec = ORDINARY) -> None:
        """Add an instance, or tell news of it; with the same endpoint it keeps its health."""
        endpoint = spec.endpoint or _endpoint_of(engine)
        with self._lock:
            self._rotation.put(id_, engine, spec, endpoint, self.clock.monotonic())
            member = self._rotation.members[id_]
        if member.probed:
            Prober(self).look_after(member)
        self._members_changed()

    def drop(self, id_: str) -> bool:
        """Remove an instance, if there is one of that id; its requests in flight go on."""
        with self._lock:
            dropped = self._rotation.drop(id_) is not None
        self._members_changed()
        return dropped

    def configure(self, spec: ModelSpec) -> None:
        """Work by ``spec`` from the next request on."""
        if spec == self.spec:
            return
        with self._lock:
            if spec.policy != self.spec.policy:
                self._rotation.use(spec.policy)
                self._key_of = key_of(spec.policy)
            self.spec = spec
            self._plain = _is_plain(spec)

    @property
    def serving(self) -> int:
        """How many instances take new requests, as far as they say themselves."""
        return self._rotation.serving

    def __contains__(self, id_: object) -> bool:
        return id_ in self._rotation.members

    def opened(self) -> None:
        """The registry has this pool from now on; the listener is told."""
        self.let_go = False
        self._listener.pool_opened(self)

    def closed(self) -> None:
        """The registry has let go of this pool: requests in flight go on, probes end."""
        self.let_go = True
        self._listener.pool_closed(self)

    def view(self) -> PoolView:
        """How every instance is just now. Looks at all of them, so not for each request."""
        with self._lock:
            members = [*self._rotation.members.values()]
        now = self.clock.monotonic()
        return PoolView(
            self.model,
            self.kind,
            tuple(view_of(each, now) for each in members),
            len(self._room or ()),
        )

    # Answering.

    def start(self, request: EngineRequest, sink: Sink, context: Context) -> None:
        """Have an instance answer. Raises nothing: whatever happens is told to ``sink``.

        Among it ``EngineUnavailable`` (503) without instances, ``EngineBusy`` (429) when every
        instance and the queue are full, and ``EngineTimeout`` (504) when the time is over.
        """
        asked = SinkRequest(request, sink, context)
        asked.listen(context)
        self.begin(asked)

    def begin(self, asked: PoolRequest) -> None:
        """Have an instance answer ``asked``, unless it was aborted before. Raises nothing.

        PERF: an ordinary request asks its first instance right here; see ``PoolRequest.ask``.
        """
        asked.pool = self
        if not self._plain or asked.context.deadline is not None:
            self._prepare(asked)
        now = self.clock.monotonic()
        with self._lock:
            self.asked = True
            if self._budget.saved < BURST:
                self._budget.asked()
            member = self._rotation.take(now, asked.key)
        if member is None or member.trial or asked.timer is not None:
            self._begin_otherwise(asked, member)
            return
        if member.probed and len(self._rotation.members) > 1:
            self.movable.add(asked)
        with asked.lock:
            wanted = asked.state is _WAITING
            if wanted:
                asked.state = LIFE[_WAITING][_ASK]
                asked.member, asked.began = member, now
        if not wanted:
            self.movable.discard(asked)
            self.give_back(member, CANCELLED)
            return
        try:
            member.engine.start(asked.request, asked, asked.context)
        except BaseException as error:  # noqa: BLE001  # foreign code; the treatment decides what becomes of it
            asked.fail(error)

    def _prepare(self, asked: PoolRequest) -> None:
        """Give ``asked``, which is new, its key, and a timer if there is something to watch."""
        spec, deadline = self.spec, asked.context.deadline
        if self._key_of is not None:
            asked.key = self._key_of(asked.request, asked.context)
        if deadline is None and spec.timeouts == NO_TIMEOUTS and spec.hedge_after is None:
            return
        now = self.clock.monotonic()
        total = math.inf if spec.timeouts.total is None else now + spec.timeouts.total
        total = total if deadline is None else min(total, deadline)
        hedge_at = self._hedge_at(now)
        asked.timer = RequestTimer(asked, spec.timeouts, total_at=total, hedge_at=hedge_at)

    def _begin_otherwise(self, asked: PoolRequest, member: Member | None) -> None:
        """``asked`` is timed, or a trial, or there is no ``member`` with room for it."""
        if member is not None:
            asked.ask(member)
        else:
            refusal = self._admit(asked)
            if refusal is not None:
                asked.give_up(refusal)
        if asked.over:  # it may have been aborted before it had its timer
            asked.close()

    def _admit(self, asked: PoolRequest) -> EngineError | None:
        """Find a member for ``asked``, or have it wait for one; else say why not."""
        now = self.clock.monotonic()
        waiter: Waiter | None = None
        with self._lock:
            rotation = self._rotation
            member = rotation.take(now, asked.key, asked.tried)
            if member is None:
                if not rotation.has_other(asked.tried):
                    return nobody(self.model)
                waiter = self._waiting_room().join(asked, now)
        if member is not None:
            asked.ask(member)
        elif waiter is not None:
            self._waiting_room().wait(waiter)
        else:
            return self._waiting_room().refuse()
        return None

    def _waiting_room(self) -> WaitingRoom:
        """Where requests wait. Call it under the lock at first."""
        if self._room is None:
            queue = Queue() if self._queue is None else self._queue
            parts = (self._lock, self._rotation, queue, self.clock, self._listener)
            self._room = WaitingRoom(self.model, *parts)
        return self._room

    def _members_changed(self) -> None:
        if self._room:
            self._room.members_changed()

    def _hedge_at(self, now: float) -> float:
        after = self.spec.hedge_after
        if after is None or len(self._rotation.members) < 2:
            return math.inf
        seconds = after.seconds
        if after.percentile is not None:
            if self._first_tokens is None:
                return math.inf
            with self._lock:
                seconds = self._first_tokens.percentile(after.percentile)
        return math.inf if seconds is None else now + seconds

    # Called by requests and the prober.

    def give_back(self, member: Member, treatment: Treatment) -> None:
        """An attempt at ``member`` ended so; whoever waits may have its place."""
        now = self.clock.monotonic()
        with self._lock:
            turn = self._rotation.release(member, treatment, now)
        if turn is not None:
            self.tell_turn(turn, treatment)
        if self._room:
            self._room.serve()

    def won(self, asked: PoolRequest, member: Member, started: float, *, hedge: bool) -> None:
        """``member``, asked at ``started``, has begun to answer.

        To be told of a suspect, of a retry, or where there is hedging.
        """
        if len(asked.tried) > 1 and not asked.hedged:
            with self._lock:
                self._budget.give_back()
        now = self.clock.monotonic()
        if not member.healthy:
            with self._lock:
                turn = self._rotation.learn(member, SUCCESS, now)
            if turn is not None:
                self.tell_turn(turn, SUCCESS)
        if self.spec.hedge_after is not None:
            with self._lock:
                if self._first_tokens is None:
                    self._first_tokens = FirstTokens()
                self._first_tokens.observe(now - started)
            if asked.hedged:
                self._listener.hedged(Hedged(self.model, member.id, won=hedge))

    def hedge(self, asked: PoolRequest) -> None:
        """Ask a second instance beside the first one, if the budget allows it."""
        if not asked.waits_for_one:
            return
        now = self.clock.monotonic()
        with self._lock:
            member = self._rotation.take(now, asked.key, asked.tried)
            if member is not None and not self._budget.take(now):
                self._rotation.release(member, CANCELLED, now)
                member = None
        if member is not None:
            asked.hedged = True
            self._listener.hedged(Hedged(self.model, member.id, won=None))
            asked.ask(member, hedge=True)

    def note_movable(self, asked: PoolRequest, member: Member) -> None:
        """``asked`` is going to wait at ``member``: it can be moved should that one hang.

        PERF: where there is no other instance, or no probe finds out, nothing is noted.
        """
        if member.probed and len(self._rotation.members) > 1:
            self.movable.add(asked)

    def _evacuate(self, hung: Member, treatment: Treatment) -> None:
        if self._evacuation is None:
            parts = (self._lock, self._rotation, self._budget, self.clock, self._listener)
            self._evacuation = Evacuation(self.model, self._max_attempts, self.movable, *parts)
        self._evacuation.leave(hung, treatment)

    def chance(self) -> float:
        """Draw from [0, 1)."""
        return self._chance()

    def begin_probe(self, member: Member) -> BreakerState:
        """``member`` is going to be probed, which is its trial if its time out is over."""
        with self._lock:
            if member.breaker.due(self.clock.monotonic()):
                member.breaker.try_again()
            return member.breaker.state

    def learn_probe(self, member: Member, treatment: Treatment) -> None:
        """A probe of ``member`` ended so; if nobody is there, nobody goes on waiting there."""
        now = self.clock.monotonic()
        with self._lock:
            if treatment is SUCCESS:
                turn = self._rotation.probed(member, now)
            else:
                turn = self._rotation.learn(member, treatment, now)
        if turn is not None:
            self.tell_turn(turn, treatment)
            if turn.opened and treatment.kind in UNHEARD:
                self._evacuate(member, treatment)
        self._members_changed()

    def retry(self, asked: PoolRequest, failed: Member, treatment: Treatment) -> bool:
        """Have another instance answer after ``failed`` did not; False if that must not be."""
        if not treatment.retry or asked.over or len(asked.tried) >= self._max_attempts:
            return False
        now = self.clock.monotonic()
        with self._lock:
            if not self._rotation.has_other(asked.tried):
                return False
            allowed = self._budget.take(now)
        self._listener.retried(Retried(self.model, failed.id, treatment.kind, allowed))
        return allowed and self._admit(asked) is None

    def last_word(self, error: BaseException, treatment: Treatment) -> BaseException:
        """``error``, unless nobody listened and no instance has ever answered: they start up."""
        if treatment.kind != "connect":
            return error
        with self._lock:
            members = [*self._rotation.members.values()]
        return error if any(each.answered for each in members) else not_up_yet(self.model)

    def leave(self, asked: PoolRequest) -> None:
        """``asked`` is over: it waits no more."""
        if self._room:
            self._room.leave(asked)
        self.movable.discard(asked)

    def tell_turn(self, turn: Turn, treatment: Treatment) -> None:
        """Tell listener and log how a breaker turned."""
        member = turn.member
        facts = {"model": self.model, "instance": member.id}
        if turn.opened:
            self._listener.ejected(Ejected(self.model, member.id, treatment.kind, turn.seconds))
            facts |= {"kind": treatment.kind, "seconds": f"{turn.seconds:.1f}"}
            _log.warning("instance ejected", extra=facts)
            Prober(self).hasten(member)
        else:
            self._listener.readmitted(Readmitted(self.model, member.id))
            _log.info("instance readmitted", extra=facts)


def _is_plain(spec: ModelSpec) -> bool:
    """Whether requests need neither a key nor a timer because of ``spec``."""
    timeless = spec.timeouts == NO_TIMEOUTS and spec.hedge_after is None
    return timeless and key_of(spec.policy) is None


def _endpoint_of(engine: Engine) -> str:
    """Where ``engine`` relays to; for one in this process, which object it is."""
    url = getattr(engine, "url", None)
    return url if isinstance(url, str) else f"{type(engine).__name__} at {id(engine):#x}"
