"""A model's instances behind one engine: the thin shell around ``selector``.

Under its lock it asks the rotation; outside of it, it calls engines, timers and its listener.
"""

from __future__ import annotations

import logging
import math
from _thread import allocate_lock
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from actors.engines.contract import Context, Engine, EngineRequest, Kind, Sink
from actors.engines.errors import EngineError
from actors.engines.pool.breaker import BreakerState
from actors.engines.pool.clock import Clock, loop_clock
from actors.engines.pool.events import Ejected, Hedged, PoolListener, Readmitted, Retried
from actors.engines.pool.failures import CANCELLED, SUCCESS, FailureClass
from actors.engines.pool.health_check import UNREACHABLE, HangFailover, HealthChecker
from actors.engines.pool.instance import Instance, PoolView, view_of
from actors.engines.pool.overrides import (
    NO_OVERRIDES,
    OverriddenInstance,
    Overrides,
    UnknownInstance,
)
from actors.engines.pool.policies import RandomFn, draw, key_of
from actors.engines.pool.probe_queue import ProbeQueues
from actors.engines.pool.queue import Queue, Waiter
from actors.engines.pool.request import PoolRequest
from actors.engines.pool.request_state import TRANSITIONS, Event, State
from actors.engines.pool.request_timer import RequestTimer
from actors.engines.pool.retry_budget import BURST, LatencyWindow, RetryBudget
from actors.engines.pool.selector import BreakerTransition, Selector
from actors.engines.pool.sink_request import SinkRequest
from actors.engines.pool.spec import (
    DEFAULT_INSTANCE_SPEC,
    DEFAULT_MODEL_SPEC,
    NO_TIMEOUTS,
    InstanceSpec,
    ModelSpec,
)
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

    ``model`` and ``kind`` name it in messages and metrics. ``random_fn`` draws from [0, 1). Pools
    that share their ``probes`` share the bounds on them.
    """

    __slots__ = (
        "_budget",
        "_first_tokens",
        "_hang_failover",
        "_key_of",
        "_listener",
        "_lock",
        "_max_attempts",
        "_overridden",
        "_plain",
        "_queue",
        "_random_fn",
        "_room",
        "_selector",
        "asked",
        "clock",
        "detached",
        "kind",
        "model",
        "probes",
        "reroutable",
        "spec",
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
    ) -> None:
        self.model: Final = model
        self.kind: Final = kind
        self.spec = spec
        self.clock: Final = clock or loop_clock()
        self.probes: Final = probes or ProbeQueues(self.clock)
        self._listener = listener or PoolListener()
        self._random_fn = random_fn
        self.detached = False
        """Whether the registry has let go of it: only requests in flight need it any more."""
        self.asked = False
        """Whether any request ever came to it."""
        self._max_attempts = max_attempts
        self._lock = allocate_lock()
        self._selector = Selector(self.spec.policy, random_fn)
        self._budget = RetryBudget(self.clock.monotonic())
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
        # PERF: made for the first override; most pools never have one.
        self._overridden: dict[str, OverriddenInstance] | None = None

    def __len__(self) -> int:
        return len(self._selector.instances)

    def __repr__(self) -> str:
        return f"<Pool of {[*self._selector.instances]}>"

    # Coming and going.

    def put(self, id_: str, engine: Engine, spec: InstanceSpec = DEFAULT_INSTANCE_SPEC) -> None:
        """Add an instance, or tell news of it; with the same endpoint it keeps its health."""
        endpoint = spec.endpoint or _endpoint_of(engine)
        with self._lock:
            overridden = None if self._overridden is None else self._overridden.get(id_)
            if overridden is not None:
                overridden.announced, spec = spec, overridden.overrides.applied_to(spec)
            now = self.clock.monotonic()
            self._selector.put(id_, engine, spec, endpoint, now)
            instance = self._selector.instances[id_]
            if overridden is not None and overridden.overrides.ejected:
                self._selector.hold_back(instance, now)
        if instance.probed:
            HealthChecker(self).watch(instance)
        self._instances_changed()

    def drop(self, id_: str) -> bool:
        """Remove an instance, if there is one of that id; its requests in flight go on."""
        with self._lock:
            dropped = self._selector.remove(id_) is not None
        self._instances_changed()
        return dropped

    def configure(self, spec: ModelSpec) -> None:
        """Work by ``spec`` from the next request on."""
        if spec == self.spec:
            return
        with self._lock:
            if spec.policy != self.spec.policy:
                self._selector.use(spec.policy)
                self._key_of = key_of(spec.policy)
            self.spec = spec
            self._plain = _is_plain(spec)

    def override(
        self, id_: str, change: Callable[[Overrides], Overrides]
    ) -> tuple[Overrides, Overrides]:
        """Set what an operator wants of one instance, until the process ends; before and after.

        An ejection that ends closes its breaker, too. Raises :class:`UnknownInstance`.
        """
        with self._lock:
            instance = self._selector.instances.get(id_)
            if instance is None:
                raise UnknownInstance(id_)
            if self._overridden is None:
                self._overridden = {}
            overridden = self._overridden.setdefault(id_, OverriddenInstance(instance.spec))
            before = overridden.overrides
            after = overridden.overrides = change(before)
            now = self.clock.monotonic()
            self._selector.put(id_, instance.engine, overridden.spec, instance.endpoint, now)
            if after.ejected:
                self._selector.hold_back(instance, now)
            elif before.ejected:
                self._selector.readmit(instance, now)
            if after == NO_OVERRIDES:
                del self._overridden[id_]
        self._instances_changed()
        return before, after

    def readmit(self, id_: str) -> tuple[Overrides, Overrides]:
        """Have an instance get requests again whoever ejected it, an operator or its breaker.

        Returns and raises as :meth:`override`.
        """
        changed = self.override(id_, lambda now: replace(now, ejected=False))
        with self._lock:
            instance = self._selector.instances.get(id_)
            if instance is not None:
                self._selector.readmit(instance, self.clock.monotonic())
        self._instances_changed()
        return changed

    @property
    def serving(self) -> int:
        """How many instances take new requests, as far as they say themselves."""
        return self._selector.serving

    def __contains__(self, id_: object) -> bool:
        return id_ in self._selector.instances

    def opened(self) -> None:
        """The registry has this pool from now on; the listener is told."""
        self.detached = False
        self._listener.pool_opened(self)

    def closed(self) -> None:
        """The registry has let go of this pool: requests in flight go on, probes end."""
        self.detached = True
        self._listener.pool_closed(self)

    def engines(self) -> list[Engine]:
        """The engines of the instances that take new requests, first those that are well."""
        with self._lock:
            instances = [each for each in self._selector.instances.values() if each.open]
        instances.sort(key=lambda each: not each.healthy)
        return [each.engine for each in instances]

    def view(self) -> PoolView:
        """How every instance is just now. Looks at all of them, so not for each request."""
        with self._lock:
            instances = [*self._selector.instances.values()]
            overridden = {} if self._overridden is None else {**self._overridden}
        now = self.clock.monotonic()
        return PoolView(
            self.model,
            self.kind,
            tuple(
                view_of(each, now, found.overrides if (found := overridden.get(each.id)) else None)
                for each in instances
            ),
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
        selector = self._selector
        with self._lock:
            self.asked = True
            if self._budget.saved < BURST:
                self._budget.asked()
            instance = selector.only
            if instance is not None and instance.inflight + 1 < instance.limit:
                # PERF: there is nothing to choose: what ``acquire`` would do.
                instance.inflight += 1
                instance.selections += 1
            else:
                instance = selector.acquire(now, asked.key)
        # PERF: an only instance is never on trial, and no request can be moved away from it.
        if instance is not selector.only or instance is None or asked.timer is not None:
            if instance is None or instance.trial or asked.timer is not None:
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
        with self._lock:
            selector = self._selector
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
            parts = (self._lock, self._selector, queue, self.clock, self._listener)
            self._room = WaitingRoom(self.model, *parts)
        return self._room

    def _instances_changed(self) -> None:
        if self._room:
            self._room.instances_changed()

    def _hedge_at(self, now: float) -> float:
        after = self.spec.hedge_after
        if after is None or len(self._selector.instances) < 2:
            return math.inf
        seconds = after.seconds
        if after.percentile is not None:
            if self._first_tokens is None:
                return math.inf
            with self._lock:
                seconds = self._first_tokens.percentile(after.percentile)
        return math.inf if seconds is None else now + seconds

    # Called by requests and the prober.

    def give_back(self, instance: Instance, failure: FailureClass) -> None:
        """An attempt at ``instance`` ended so; whoever waits may have its place."""
        selector = self._selector
        with self._lock:
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
            with self._lock:
                self._budget.give_back()
        now = self.clock.monotonic()
        if not instance.healthy:
            with self._lock:
                transition = self._selector.learn(instance, SUCCESS, now)
            if transition is not None:
                self.report_transition(transition, SUCCESS)
        if self.spec.hedge_after is not None:
            with self._lock:
                if self._first_tokens is None:
                    self._first_tokens = LatencyWindow()
                self._first_tokens.observe(now - started)
            if asked.hedged:
                self._listener.hedged(Hedged(self.model, instance.id, won=hedge))

    def hedge(self, asked: PoolRequest) -> None:
        """Ask a second instance beside the first one, if the budget allows it."""
        if not asked.waits_for_one:
            return
        now = self.clock.monotonic()
        with self._lock:
            instance = self._selector.acquire(now, asked.key, asked.tried)
            if instance is not None and not self._budget.take(now):
                self._selector.release(instance, CANCELLED, now)
                instance = None
        if instance is not None:
            self._listener.hedged(Hedged(self.model, instance.id, won=None))
            asked.ask(instance, hedge=True)

    def note_reroutable(self, asked: PoolRequest, instance: Instance) -> None:
        """``asked`` is going to wait at ``instance``: it can be moved should that one hang.

        PERF: where there is no other instance, or no probe finds out, nothing is noted.
        """
        if instance.probed and len(self._selector.instances) > 1:
            self.reroutable.add(asked)

    def _fail_over_from(self, hung: Instance, failure: FailureClass) -> None:
        if self._hang_failover is None:
            parts = (self._lock, self._selector, self._budget, self.clock, self._listener)
            self._hang_failover = HangFailover(
                self.model, self._max_attempts, self.reroutable, *parts
            )
        self._hang_failover.leave(hung, failure)

    def random_fn(self) -> float:
        """Draw from [0, 1)."""
        return self._random_fn()

    def begin_probe(self, instance: Instance) -> BreakerState:
        """``instance`` is going to be probed, which is its trial if its time out is over."""
        with self._lock:
            if instance.breaker.due(self.clock.monotonic()):
                instance.breaker.try_again()
            return instance.breaker.state

    def learn_probe(self, instance: Instance, failure: FailureClass) -> None:
        """A probe of ``instance`` ended so; if nobody is there, nobody goes on waiting there."""
        now = self.clock.monotonic()
        with self._lock:
            if failure is SUCCESS:
                transition = self._selector.probed(instance, now)
            else:
                transition = self._selector.learn(instance, failure, now)
        if transition is not None:
            self.report_transition(transition, failure)
            if transition.opened and failure.kind in UNREACHABLE:
                self._fail_over_from(instance, failure)
        self._instances_changed()

    def retry(self, asked: PoolRequest, failed: Instance, failure: FailureClass) -> bool:
        """Have another instance answer after ``failed`` did not; False if that must not be."""
        if not failure.retry or asked.over or len(asked.tried) >= self._max_attempts:
            return False
        now = self.clock.monotonic()
        with self._lock:
            if not self._selector.has_other(asked.tried):
                return False
            allowed = self._budget.take(now)
        self._listener.retried(Retried(self.model, failed.id, failure.kind, allowed))
        return allowed and self._admit(asked) is None

    def last_word(self, error: BaseException, failure: FailureClass) -> BaseException:
        """``error``, unless nobody listened and no instance has ever answered: they start up."""
        if failure.kind != "connect":
            return error
        with self._lock:
            instances = [*self._selector.instances.values()]
        return error if any(each.answered for each in instances) else not_up_yet(self.model)

    def leave(self, asked: PoolRequest) -> None:
        """``asked`` is over: it waits no more."""
        if self._room:
            self._room.leave(asked)
        self.reroutable.discard(asked)

    def report_transition(self, transition: BreakerTransition, failure: FailureClass) -> None:
        """Tell listener and log how a breaker turned."""
        instance = transition.instance
        facts = {"model": self.model, "instance": instance.id}
        if transition.opened:
            self._listener.ejected(
                Ejected(self.model, instance.id, failure.kind, transition.seconds, self.kind)
            )
            facts |= {"kind": failure.kind, "seconds": f"{transition.seconds:.1f}"}
            _log.warning("instance ejected", extra=facts)
            HealthChecker(self).hasten(instance)
        else:
            self._listener.readmitted(Readmitted(self.model, instance.id, self.kind))
            _log.info("instance readmitted", extra=facts)


def _is_plain(spec: ModelSpec) -> bool:
    """Whether requests need neither a key nor a timer because of ``spec``."""
    timeless = spec.timeouts == NO_TIMEOUTS and spec.hedge_after is None
    return timeless and key_of(spec.policy) is None


def _endpoint_of(engine: Engine) -> str:
    """Where ``engine`` relays to; for one in this process, which object it is."""
    url = getattr(engine, "url", None)
    return url if isinstance(url, str) else f"{type(engine).__name__} at {id(engine):#x}"
