"""The instances of one model and what is known of them: what registry, operators, probes change.

No request goes through here: see ``pool``. Under the lock the selector is asked; outside of it,
the listener is told.
"""

from __future__ import annotations

import logging
from _thread import allocate_lock
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from actors.engines.contract import Engine, Kind
from actors.engines.dialect import MIGRATION_LIMIT, Continues
from actors.engines.pool.breaker import BreakerState
from actors.engines.pool.clock import Clock, loop_clock
from actors.engines.pool.events import Ejected, Migrated, PoolListener, Readmitted
from actors.engines.pool.failures import SUCCESS, FailureClass
from actors.engines.pool.health_check import UNREACHABLE, HealthChecker
from actors.engines.pool.instance import Instance, PoolView, view_of
from actors.engines.pool.overrides import (
    NO_OVERRIDES,
    OverriddenInstance,
    Overrides,
    UnknownInstance,
)
from actors.engines.pool.policies import RandomFn, draw
from actors.engines.pool.probe_queue import ProbeQueues
from actors.engines.pool.retry_budget import RetryBudget
from actors.engines.pool.selector import BreakerTransition, Selector
from actors.engines.pool.spec import DEFAULT_INSTANCE_SPEC, InstanceSpec, ModelSpec
from actors.engines.pool.transcript import way_for

__all__ = ["PoolState"]

_log: Final = logging.getLogger("actors.engines.pool")


class PoolState:
    """Mutable, and safe to use from any thread: instances come and go while requests run, and what
    is known of the others (requests in flight, health) stays. Truthy while it has one.

    ``model`` and ``kind`` name it in messages and metrics. ``random_fn`` draws from [0, 1).
    """

    __slots__ = (
        "_migration_limit",
        "_overridden",
        "_random_fn",
        "budget",
        "clock",
        "continues",
        "detached",
        "kind",
        "listener",
        "lock",
        "model",
        "probes",
        "selector",
        "spec",
    )  # fmt: skip

    def __init__(
        self,
        model: str,
        kind: Kind,
        spec: ModelSpec,
        clock: Clock | None = None,
        random_fn: RandomFn = draw,
        listener: PoolListener | None = None,
        probes: ProbeQueues | None = None,
        migration_limit: int = MIGRATION_LIMIT,
    ) -> None:
        self.model: Final = model
        self.kind: Final = kind
        self.spec = spec
        self.clock: Final = clock or loop_clock()
        self.probes: Final = probes or ProbeQueues(self.clock)
        self.listener = listener or PoolListener()
        self._random_fn = random_fn
        self.detached = False
        """Whether the registry has let go of it: only requests in flight need it any more."""
        self.lock = allocate_lock()
        """Held while ``selector`` or ``budget`` is used."""
        self.selector = Selector(self.spec.policy, random_fn)
        self.budget = RetryBudget(self.clock.monotonic())
        self._migration_limit = migration_limit
        self.continues = False
        """Whether any instance ever came that goes on with what another one began."""
        # PERF: made for the first override; most pools never have one.
        self._overridden: dict[str, OverriddenInstance] | None = None

    def __len__(self) -> int:
        return len(self.selector.instances)

    def __repr__(self) -> str:
        return f"<Pool of {[*self.selector.instances]}>"

    def __contains__(self, id_: object) -> bool:
        return id_ in self.selector.instances

    # What a subclass does about them.

    @property
    def waiting(self) -> int:
        """How many requests wait for room."""
        return 0

    def instances_changed(self) -> None:
        """Instances came, went, or may take other requests than before."""

    def lost(self, hung: Instance, failure: FailureClass) -> None:
        """``hung`` is unreachable: requests wait there in vain."""

    # Coming and going.

    def put(self, id_: str, engine: Engine, spec: InstanceSpec = DEFAULT_INSTANCE_SPEC) -> None:
        """Add an instance, or tell news of it; with the same endpoint it keeps its health."""
        endpoint = spec.endpoint or _endpoint_of(engine)
        with self.lock:
            overridden = None if self._overridden is None else self._overridden.get(id_)
            if overridden is not None:
                overridden.announced, spec = spec, overridden.overrides.applied_to(spec)
            now = self.clock.monotonic()
            self.selector.put(id_, engine, spec, endpoint, now)
            instance = self.selector.instances[id_]
            if overridden is not None and overridden.overrides.ejected:
                self.selector.hold_back(instance, now)
            if way_for(self.kind, spec.continues) is not None:
                self.continues = True
        if instance.probed:
            HealthChecker(self).watch(instance)
        self.instances_changed()

    def drop(self, id_: str) -> bool:
        """Remove an instance, if there is one of that id; its requests in flight go on."""
        with self.lock:
            dropped = self.selector.remove(id_) is not None
        self.instances_changed()
        return dropped

    def override(
        self, id_: str, change: Callable[[Overrides], Overrides]
    ) -> tuple[Overrides, Overrides]:
        """Set what an operator wants of one instance, until the process ends; before and after.

        An ejection that ends closes its breaker, too. Raises :class:`UnknownInstance`.
        """
        with self.lock:
            instance = self.selector.instances.get(id_)
            if instance is None:
                raise UnknownInstance(id_)
            if self._overridden is None:
                self._overridden = {}
            overridden = self._overridden.setdefault(id_, OverriddenInstance(instance.spec))
            before = overridden.overrides
            after = overridden.overrides = change(before)
            now = self.clock.monotonic()
            self.selector.put(id_, instance.engine, overridden.spec, instance.endpoint, now)
            if after.ejected:
                self.selector.hold_back(instance, now)
            elif before.ejected:
                self.selector.readmit(instance, now)
            if after == NO_OVERRIDES:
                del self._overridden[id_]
        self.instances_changed()
        return before, after

    def readmit(self, id_: str) -> tuple[Overrides, Overrides]:
        """Have an instance get requests again whoever ejected it, an operator or its breaker.

        Returns and raises as :meth:`override`.
        """
        changed = self.override(id_, lambda now: replace(now, ejected=False))
        with self.lock:
            instance = self.selector.instances.get(id_)
            if instance is not None:
                self.selector.readmit(instance, self.clock.monotonic())
        self.instances_changed()
        return changed

    @property
    def serving(self) -> int:
        """How many instances take new requests, as far as they say themselves."""
        return self.selector.serving

    def engines(self) -> list[Engine]:
        """The engines of the instances that take new requests, first those that are well."""
        with self.lock:
            instances = [each for each in self.selector.instances.values() if each.open]
        instances.sort(key=lambda each: not each.healthy)
        return [each.engine for each in instances]

    def view(self) -> PoolView:
        """How every instance is just now. Looks at all of them, so not for each request."""
        with self.lock:
            instances = [*self.selector.instances.values()]
            overridden = {} if self._overridden is None else {**self._overridden}
        now = self.clock.monotonic()
        return PoolView(
            self.model,
            self.kind,
            tuple(
                view_of(each, now, found.overrides if (found := overridden.get(each.id)) else None)
                for each in instances
            ),
            self.waiting,
        )

    # An instance goes on with what another one began.

    @property
    def migration_limit(self) -> int:
        """How often other instances may go on with one answer."""
        said = self.spec.migration_limit
        return self._migration_limit if said is None else said

    def successors(
        self, lost: Sequence[Instance], kind: Kind
    ) -> tuple[Continues | None, Sequence[Instance]]:
        """How healthy instances that are not ``lost`` go on, and those that do not so.

        ``None`` if there are none. Looks at every instance, so only after a failure.
        """
        with self.lock:
            every = [*self.selector.instances.values()]
        able = [
            way
            for each in every
            if each.healthy and each not in lost
            if (way := way_for(kind, each.spec.continues)) is not None
        ]
        way = able[0] if able else None
        return way, [each for each in every if each in lost or each.spec.continues is not way]

    def claim_retry(self) -> bool:
        """Take one retry out of the budget; False if there is none left."""
        with self.lock:
            return self.budget.take(self.clock.monotonic())

    def report_migration(self, event: Migrated) -> None:
        """Tell listener and log what became of an answer that was broken off."""
        self.listener.migrated(event)
        facts = {"model": event.model, "instance": event.instance}
        facts |= {"kind": event.kind, "outcome": event.outcome}
        _log.warning("an answer was broken off", extra=facts)

    # Called by the prober.

    def random_fn(self) -> float:
        """Draw from [0, 1)."""
        return self._random_fn()

    def begin_probe(self, instance: Instance) -> BreakerState:
        """``instance`` is going to be probed, which is its trial if its time out is over."""
        with self.lock:
            if instance.breaker.due(self.clock.monotonic()):
                instance.breaker.try_again()
            return instance.breaker.state

    def learn_probe(self, instance: Instance, failure: FailureClass) -> None:
        """A probe of ``instance`` ended so; if nobody is there, nobody goes on waiting there."""
        now = self.clock.monotonic()
        with self.lock:
            if failure is SUCCESS:
                transition = self.selector.probed(instance, now)
            else:
                transition = self.selector.learn(instance, failure, now)
        if transition is not None:
            self.report_transition(transition, failure)
            if transition.opened and failure.kind in UNREACHABLE:
                self.lost(instance, failure)
        self.instances_changed()

    def report_transition(self, transition: BreakerTransition, failure: FailureClass) -> None:
        """Tell listener and log how a breaker turned."""
        instance = transition.instance
        facts = {"model": self.model, "instance": instance.id}
        if transition.opened:
            self.listener.ejected(
                Ejected(self.model, instance.id, failure.kind, transition.seconds, self.kind)
            )
            facts |= {"kind": failure.kind, "seconds": f"{transition.seconds:.1f}"}
            _log.warning("instance ejected", extra=facts)
            HealthChecker(self).hasten(instance)
        else:
            self.listener.readmitted(Readmitted(self.model, instance.id, self.kind))
            _log.info("instance readmitted", extra=facts)


def _endpoint_of(engine: Engine) -> str:
    """Where ``engine`` relays to; for one in this process, which object it is."""
    url = getattr(engine, "url", None)
    return url if isinstance(url, str) else f"{type(engine).__name__} at {id(engine):#x}"
