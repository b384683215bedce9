"""The registry actor: the one owner of the models.

Rules of this file: every handler is O(microseconds), does no I/O and calls no foreign code, because
the registry is a turn actor and runs on the asking thread (``docs/why/design.md``). Each handler
that changes something is a pure function from state to state; ``on_receive`` commits.

Pools are alive (they count requests in flight) and so are not part of the immutable state. What a
message does to one is decided with the state, published with it, and done after it; the next
incarnation does it again, which is idempotent. So a crash between the two loses nothing, and a
half-applied message is never seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from actors.engines.contract import Engine, Kind
from actors.engines.dialect import MIGRATION_LIMIT
from actors.engines.pool import DEFAULT_MODEL_SPEC, Clock, ModelSpec, Pool, PoolListeners
from actors.engines.pool.clock import loop_clock
from actors.engines.pool.policies import RandomFn, draw
from actors.engines.pool.probe_queue import ProbeQueues
from actors.registry.catalog import NO_DECLARATIONS, ModelAlreadyExists, ModelNotFound, ServedModel
from actors.registry.messages import (
    AddModel,
    DropInstance,
    FindPools,
    GetEngine,
    HasModel,
    ListModels,
    PutInstance,
    ReadRegistry,
    RegistryState,
    RemoveModel,
    ResolveModel,
)
from actors.supervision.calling_thread_actor import CallingThreadActor

__all__ = ["STATIC_INSTANCE", "PoolFactory", "RegistryActor", "UnknownMessage"]

STATIC_INSTANCE: Final = "#static"
"""The instance name of an engine that was added in-process. Announced ones can't have it: their
names hold no ``#``."""


class UnknownMessage(Exception):
    """The registry was sent something that is not one of its messages: a bug of the sender."""


@dataclass(slots=True)
class PoolFactory:
    """Makes the pool of a new model. The pools of one service share what is kept here.

    ``listeners.add(…)`` hears of every pool.
    """

    listeners: PoolListeners = field(default_factory=PoolListeners)
    clock: Clock = field(default_factory=loop_clock)
    random_fn: RandomFn = draw
    migration_limit: int = MIGRATION_LIMIT
    probes: ProbeQueues = field(init=False)

    def __post_init__(self) -> None:
        self.probes = ProbeQueues(self.clock)

    def make(self, model: str, kind: Kind, spec: ModelSpec) -> Pool:
        """A pool without instances. No side effect."""
        return Pool(
            model,
            kind,
            spec,
            clock=self.clock,
            random_fn=self.random_fn,
            listener=self.listeners,
            probes=self.probes,
            migration_limit=self.migration_limit,
        )

    def close(self, _why: object = None) -> None:
        """The service has ended: no instance of these pools is probed any more. Any thread."""
        self.probes.closed = True


class RegistryActor(CallingThreadActor):
    """Owns the models of each kind and serialises every message about them.

    After each change it publishes the new state, which the supervisor hands to the next
    incarnation: killing the registry loses no model. An unknown message crashes it on purpose
    ("let it crash"): the sender's bug must be seen, and no request fails for it.

    ``pools`` makes the pool of a model that is new.
    """

    fatal = (UnknownMessage,)

    def __init__(self, pools: PoolFactory | None = None) -> None:
        super().__init__()
        self._pools: Final = pools or PoolFactory()

    def on_start(self) -> None:
        """Take over the state that the previous incarnation published, or begin empty."""
        inherited: RegistryState | None = self.restored_state
        self._state = inherited or RegistryState()
        for effect in self._state.effects:
            effect()

    def on_receive(self, message: object) -> Any:
        """Answer a request, or commit a change and publish it. Runs on the sender's thread."""
        if isinstance(message, ResolveModel):  # PERF: of every request, so answered here
            state = self._state
            catalog = state.catalogs[message.kind]
            resolved = catalog.direct.get(message.model)
            if resolved is not None and resolved.engine.selector.serving:
                return resolved
            return catalog.resolve(message.model)
        message_type = type(message)
        read = _READS.get(message_type)
        if read is not None:
            return read(self._state, message)
        write = _WRITES.get(message_type)
        if write is None:
            raise UnknownMessage(f"the registry knows no message {message_type.__name__}")
        changed = write(self._state, message, self._pools)
        if changed is not self._state:
            self._commit(changed)
        return None

    def _commit(self, changed: RegistryState) -> None:
        self._state = changed
        self.save_state(changed)
        # An incarnation that hung above and was abandoned meanwhile must not touch living pools.
        if not self.token.cancelled:
            for effect in changed.effects:
                effect()


def _get_engine(state: RegistryState, message: GetEngine) -> Engine:
    found = state.catalogs[message.kind].find(message.model)
    if found is None:
        raise ModelNotFound(message.model)
    return found.engine


def _find_pools(state: RegistryState, message: FindPools) -> tuple[Pool, ...]:
    found = (catalog.find(message.model) for catalog in state.catalogs.values())
    return tuple(model.pool for model in found if model is not None)


def _has_model(state: RegistryState, message: HasModel) -> bool:
    return bool(_find_pools(state, FindPools(message.model)))


def _list_models(state: RegistryState, message: ListModels) -> list[str]:
    return [*state.catalogs[message.kind].names()]


def _read_registry(state: RegistryState, _message: ReadRegistry) -> RegistryState:
    return state


def _add_model(state: RegistryState, message: AddModel, pools: PoolFactory) -> RegistryState:
    catalog = state.catalogs[message.kind]
    if message.model in catalog.models:
        raise ModelAlreadyExists(message.model)
    spec = message.model_spec or DEFAULT_MODEL_SPEC
    pool = pools.make(message.model, message.kind, spec)
    declarations = NO_DECLARATIONS.put(STATIC_INSTANCE, spec, draining=message.spec.draining)
    model = ServedModel(message.model, message.engine, pool, spec, declarations)
    put = partial(pool.put, STATIC_INSTANCE, message.engine, message.spec)
    return state.with_catalog(message.kind, catalog.put(model), (put, pool.opened))


def _remove_model(state: RegistryState, message: RemoveModel, _pools: PoolFactory) -> RegistryState:
    catalog = state.catalogs[message.kind]
    model = catalog.models.get(message.model)
    rest = catalog.remove(message.model, forget=True)
    return state.with_catalog(message.kind, rest, (model.pool.closed,) if model else ())


def _put_instance(state: RegistryState, message: PutInstance, pools: PoolFactory) -> RegistryState:
    catalog = state.catalogs[message.kind]
    old = catalog.models.get(message.model)
    declarations = (old.declarations if old else NO_DECLARATIONS).put(
        message.instance, message.model_spec, draining=message.spec.draining
    )
    spec = declarations.spec(old.spec if old else DEFAULT_MODEL_SPEC)
    pool = old.pool if old else pools.make(message.model, message.kind, spec)
    put = partial(pool.put, message.instance, message.engine, message.spec)
    effects = (partial(pool.configure, spec), put) if old else (put, pool.opened)
    model = ServedModel(message.model, pool, pool, spec, declarations)
    if old is None or old.engine is not pool or old.declarations != declarations:
        catalog = catalog.put(model)
    return state.with_catalog(message.kind, catalog, effects)


def _drop_instance(
    state: RegistryState, message: DropInstance, _pools: PoolFactory
) -> RegistryState:
    catalog = state.catalogs[message.kind]
    model = catalog.models.get(message.model)
    if model is None or message.instance not in model.pool:
        return state
    drop = partial(model.pool.drop, message.instance)
    if len(model.pool) > 1:
        declarations = model.declarations.drop(message.instance)
        left = replace(model, spec=declarations.spec(model.spec), declarations=declarations)
        catalog = catalog if left == model else catalog.put(left)
        return state.with_catalog(
            message.kind, catalog, (drop, partial(model.pool.configure, left.spec))
        )
    rest = catalog.remove(message.model, forget=False)
    return state.with_catalog(message.kind, rest, (drop, model.pool.closed))


_READS: Final[Mapping[type, Callable[[RegistryState, Any], Any]]] = MappingProxyType(
    {
        GetEngine: _get_engine,
        HasModel: _has_model,
        FindPools: _find_pools,
        ListModels: _list_models,
        ReadRegistry: _read_registry,
    }
)
_WRITES: Final[Mapping[type, Callable[[RegistryState, Any, PoolFactory], RegistryState]]] = (
    MappingProxyType(
        {
            AddModel: _add_model,
            RemoveModel: _remove_model,
            PutInstance: _put_instance,
            DropInstance: _drop_instance,
        }
    )
)
