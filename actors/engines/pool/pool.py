"""A model's instances behind one engine: the thin shell around ``selector``.

Under its lock it asks the rotation; outside of it, it calls engines, timers and its listener.
"""

from __future__ import annotations

import logging
import math
from typing import Final

from actors.engines.contract import Context, EngineRequest, Kind, Sink
from actors.engines.dialect import MIGRATION_LIMIT
from actors.engines.errors import EngineError
from actors.engines.pool.clock import Clock
from actors.engines.pool.events import Hedged, PoolListener, Retried
from actors.engines.pool.failures import CANCELLED, SUCCESS, FailureClass
from actors.engines.pool.health_check import HangFailover
from actors.engines.pool.instance import Instance
from actors.engines.pool.policies import RandomFn, draw, key_of
from actors.engines.pool.pool_state import PoolState
from actors.engines.pool.probe_queue import ProbeQueues
from actors.engines.pool.queue import Queue, Waiter, WaitingRoom, nobody, not_up_yet
from actors.engines.pool.request import PoolRequest
from actors.engines.pool.request_state import TRANSITIONS, Event, State
from actors.engines.pool.request_timer import RequestTimer
from actors.engines.pool.retry_budget import BURST, LatencyWindow
from actors.engines.pool.sink_request import SinkRequest
from actors.engines.pool.spec import (
    DEFAULT_MODEL_SPEC,
    NO_TIMEOUTS,
    ModelSpec,
)
from actors.engines.pool.takeover import Takeover
from actors.engines.pool.transcript import Transcript

__all__ = ["MAX_ATTEMPTS", "Pool"]

_log: Final = logging.getLogger("actors.engines.pool")

# PERF: looked up for each request.
_WAITING, _ASK = State.WAITING, Event.ASK

MAX_ATTEMPTS: Final = 5
"""Instances that one request is sent to at most (SMG's default). The budget bounds the sum."""


class Pool(PoolState):
    """An engine made of instances; each request goes to one of them, and on failure to others.

    Pools that share their ``probes`` share the bounds on them.
    """

    __slots__ = (
        "_first_tokens",
        "_hang_failover",
        "_key_of",
        "_max_attempts",
        "_plain",
        "_queue",
        "_room",
        "asked",
        "reroutable",
    )

    def __init__(
        self,
        model: str = "",
        kind: Kind = Kind.CHAT,
        spec: ModelSpec = DEFAULT_MODEL_SPEC,
        *,
        clock: Clock | None = None,
        random_fn: RandomFn = draw,
        listener: PoolListener | None = None,
        probes: ProbeQueues | None = None,
        queue: Queue | None = None,
        max_attempts: int = MAX_ATTEMPTS,
        migration_limit: int = MIGRATION_LIMIT,
    ) -> None:
        super().__init__(model, kind, spec, clock, random_fn, listener, probes, migration_limit)
        self.asked = False
        """Whether any request ever came to it."""
        self._max_attempts = max_attempts
        # PERF: made when somebody has to wait; most pools never need one.
        self._room: WaitingRoom | None = None
        self._hang_failover: HangFailover | None = None
        # PERF: without the lock; each of a set's methods is one step under the GIL.
        self.reroutable: Final[set[PoolRequest]] = set()
        """Requests that can be moved should their instance hang."""
        self._plain = _is_plain(spec)
        self._queue = queue
        self._key_of = key_of(self.spec.policy)
        self._first_tokens: LatencyWindow | None = None

    def configure(self, spec: ModelSpec) -> None:
        """Work by ``spec`` from the next request on."""
        if spec == self.spec:
            return
        with self.lock:
            if spec.policy != self.spec.policy:
                self.selector.use(spec.policy)
                self._key_of = key_of(spec.policy)
            self.spec = spec
            self._plain = _is_plain(spec)

    def opened(self) -> None:
        """The registry has this pool from now on; the listener is told."""
        self.detached = False
        self.listener.pool_opened(self)

    def closed(self) -> None:
        """The registry has let go of this pool: requests in flight go on, probes end."""
        self.detached = True
        self.listener.pool_closed(self)

    @property
    def waiting(self) -> int:
        """How many requests wait for room at an instance."""
        return len(self._room or ())

    def instances_changed(self) -> None:
        """Requests that wait may be served, or have no instance left to wait for."""
        if self._room:
            self._room.instances_changed()

    def lost(self, hung: Instance, failure: FailureClass) -> None:
        """Requests that wait at ``hung`` are moved to others, as far as that can be."""
        if self._hang_failover is None:
            self._hang_failover = HangFailover(self, self._max_attempts, self.reroutable)
        self._hang_failover.leave(hung, failure)

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
        if not self._plain or self.continues or asked.context.deadline is not None:
            self._prepare(asked)
        now = self.clock.monotonic()
        selector = self.selector
        with self.lock:
            self.asked = True
            if self.budget.saved < BURST:
                self.budget.asked()
            instance = selector.only
            if instance is not None and instance.inflight + 1 < instance.limit:
                # PERF: there is nothing to choose: what ``acquire`` would do.
                instance.inflight += 1
                instance.selections += 1
            else:
                instance = selector.acquire(now, asked.key)
        # PERF: an only instance is never on trial, and no request can be moved away from it.
        watched = asked.timer is not None or asked.transcript is not None
        if instance is not selector.only or instance is None or watched:
            if instance is None or instance.trial or watched:
                self._begin_otherwise(asked, instance)
                return
            if instance.probed and len(selector.instances) > 1:
                self.reroutable.add(asked)
        with asked.lock:
            wanted = asked.state is _WAITING
            if wanted:
                asked.state = TRANSITIONS[_WAITING][_ASK]
                asked.instance = instance
                asked.began = now
        if not wanted:
            self.reroutable.discard(asked)
            self.give_back(instance, CANCELLED)
            return
        try:
            instance.engine.start(asked.request, asked, asked.context)
        except BaseException as error:  # noqa: BLE001  # foreign code; the failure class decides what becomes of it
            asked.fail(error)

    def _prepare(self, asked: PoolRequest) -> None:
        """Give ``asked``, which is new, its key, and a timer if there is something to watch."""
        spec, deadline = self.spec, asked.context.deadline
        if self._key_of is not None:
            asked.key = self._key_of(asked.request, asked.context)
        others = len(self.selector.instances) > 1
        if self.continues and others and asked.takes_over and self.migration_limit:
            asked.transcript = Transcript(asked.request)
        if deadline is None and spec.timeouts == NO_TIMEOUTS and spec.hedge_after is None:
            return
        now = self.clock.monotonic()
        total = math.inf if spec.timeouts.total is None else now + spec.timeouts.total
        total = total if deadline is None else min(total, deadline)
        hedge_at = self._hedge_at(now)
        asked.timer = RequestTimer(asked, spec.timeouts, total_at=total, hedge_at=hedge_at)

    def _begin_otherwise(self, asked: PoolRequest, instance: Instance | None) -> None:
        """``asked`` is timed, or a trial, or there is no ``instance`` with room for it."""
        if instance is not None:
            asked.ask(instance)
        else:
            refusal = self._admit(asked)
            if refusal is not None:
                asked.give_up(refusal)
        if asked.over:  # it may have been aborted before it had its timer
            asked.close()

    def _admit(self, asked: PoolRequest) -> EngineError | None:
        """Find an instance for ``asked``, or have it wait for one; else say why not."""
        now = self.clock.monotonic()
        waiter: Waiter | None = None
        with self.lock:
            selector = self.selector
            instance = selector.acquire(now, asked.key, asked.tried)
            if instance is None:
                if not selector.has_other(asked.tried):
                    return nobody(self.model)
                waiter = self._waiting_room().join(asked, now)
        if instance is not None:
            asked.ask(instance)
        elif waiter is not None:
            self._waiting_room().wait(waiter)
        else:
            return self._waiting_room().refuse()
        return None

    def _waiting_room(self) -> WaitingRoom:
        """Where requests wait. Call it under the lock at first."""
        if self._room is None:
            queue = Queue() if self._queue is None else self._queue
            self._room = WaitingRoom(self, queue)
        return self._room

    def _hedge_at(self, now: float) -> float:
        after = self.spec.hedge_after
        if after is None or len(self.selector.instances) < 2:
            return math.inf
        seconds = after.seconds
        if after.percentile is not None:
            if self._first_tokens is None:
                return math.inf
            with self.lock:
                seconds = self._first_tokens.percentile(after.percentile)
        return math.inf if seconds is None else now + seconds

    # Called by requests.

    def takeover_of(self, asked: PoolRequest, transcript: Transcript) -> Takeover:
        """What goes on with the answer of ``asked``, whose instance failed."""
        return Takeover(asked, transcript, self.migration_limit)

    def resume(self, asked: PoolRequest) -> None:
        """Have an instance that it has not tried answer ``asked``, which is new. Raises nothing."""
        asked.pool = self
        self._prepare(asked)
        self._begin_otherwise(asked, None)

    def give_back(self, instance: Instance, failure: FailureClass) -> None:
        """An attempt at ``instance`` ended so; whoever waits may have its place."""
        selector = self.selector
        with self.lock:
            if instance is selector.only and failure is SUCCESS and not instance.breaker.penalty:
                instance.inflight -= 1  # PERF: what ``release`` would do
                transition = None
            else:
                transition = selector.release(instance, failure, self.clock.monotonic())
        if transition is not None:
            self.report_transition(transition, failure)
        if self._room is not None and self._room:
            self._room.serve()

    def committed(
        self, asked: PoolRequest, instance: Instance, started: float, *, hedge: bool
    ) -> None:
        """``instance``, asked at ``started``, has begun to answer.

        To be told of an unhealthy one, of a retry, or where there is hedging.
        """
        if len(asked.tried) > 1 and not asked.hedged:
            with self.lock:
                self.budget.give_back()
        now = self.clock.monotonic()
        if not instance.healthy:
            with self.lock:
                transition = self.selector.learn(instance, SUCCESS, now)
            if transition is not None:
                self.report_transition(transition, SUCCESS)
        if self.spec.hedge_after is not None:
            with self.lock:
                if self._first_tokens is None:
                    self._first_tokens = LatencyWindow()
                self._first_tokens.observe(now - started)
            if asked.hedged:
                self.listener.hedged(Hedged(self.model, instance.id, won=hedge))

    def hedge(self, asked: PoolRequest) -> None:
        """Ask a second instance beside the first one, if the budget allows it."""
        if not asked.waits_for_one:
            return
        now = self.clock.monotonic()
        with self.lock:
            instance = self.selector.acquire(now, asked.key, asked.tried)
            if instance is not None and not self.budget.take(now):
                self.selector.release(instance, CANCELLED, now)
                instance = None
        if instance is not None:
            self.listener.hedged(Hedged(self.model, instance.id, won=None))
            asked.ask(instance, hedge=True)

    def note_reroutable(self, asked: PoolRequest, instance: Instance) -> None:
        """``asked`` is going to wait at ``instance``: it can be moved should that one hang.

        PERF: where there is no other instance, or no probe finds out, nothing is noted.
        """
        if instance.probed and len(self.selector.instances) > 1:
            self.reroutable.add(asked)

    def retry(self, asked: PoolRequest, failed: Instance, failure: FailureClass) -> bool:
        """Have another instance answer after ``failed`` did not; False if that must not be."""
        if not failure.retry or asked.over or len(asked.tried) >= self._max_attempts:
            return False
        now = self.clock.monotonic()
        with self.lock:
            if not self.selector.has_other(asked.tried):
                return False
            allowed = self.budget.take(now)
        self.listener.retried(Retried(self.model, failed.id, failure.kind, allowed))
        return allowed and self._admit(asked) is None

    def last_word(self, error: BaseException, failure: FailureClass) -> BaseException:
        """``error``, unless nobody listened and no instance has ever answered: they start up."""
        if failure.kind != "connect":
            return error
        with self.lock:
            instances = [*self.selector.instances.values()]
        return error if any(each.answered for each in instances) else not_up_yet(self.model)

    def leave(self, asked: PoolRequest) -> None:
        """``asked`` is over: it waits no more."""
        if self._room:
            self._room.leave(asked)
        self.reroutable.discard(asked)


def _is_plain(spec: ModelSpec) -> bool:
    """Whether requests need neither a key nor a timer because of ``spec``."""
    timeless = spec.timeouts == NO_TIMEOUTS and spec.hedge_after is None
    return timeless and key_of(spec.policy) is None
