"""The registry actor: the one owner of the model map.

Rules of this file: every handler is O(microseconds), does no I/O and calls no foreign code, because
the registry is a turn actor and runs on the thread of whoever asks (``docs/why/design.md``). Each
handler that changes something is a pure function from state to state; ``on_receive`` commits.

Pools are alive (they count requests in flight) and so are no part of the immutable state. What a
message does to one is decided with the state, published with it, and done after it; the next
incarnation does it once more, which changes nothing if it was done. So a crash between the two
loses nothing, and no half of a message is ever seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from actors.engines.contract import Engine
from actors.engines.pool import PLAIN, Pool
from actors.registry.errors import ModelAlreadyExists, ModelNotFound
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
from actors.registry.pools import PoolMaker
from actors.registry.shelf import Model
from actors.registry.words import SILENCE
from actors.supervision.turn import TurnActor

__all__ = ["STATIC_INSTANCE", "RegistryActor", "UnknownMessage"]

STATIC_INSTANCE: Final = "#static"
"""The instance name under which an engine added in-process joins announced ones, which can't have
it: no announced name holds a ``#``."""


class UnknownMessage(Exception):
    """The registry was sent something that is no message of its own: a bug of the sender."""


class RegistryActor(TurnActor):
    """Owns the models of each kind and serialises every message about them.

    After each change it publishes the new state, which the supervisor hands to the next
    incarnation: killing the registry loses no model. An unknown message crashes it on purpose
    ("let it crash"): the sender's bug must be seen, and costs nobody a request.

    ``pools`` makes the pool of a model that is new.
    """

    fatal = (UnknownMessage,)

    def __init__(self, pools: PoolMaker | None = None) -> None:
        super().__init__()
        self._pools: Final = pools or PoolMaker()

    def on_start(self) -> None:
        """Take over what the previous incarnation published, or begin empty."""
        inherited: RegistryState | None = self.inherited
        self._state = inherited or RegistryState()
        for effect in self._state.effects:
            effect()

    def on_receive(self, message: object) -> Any:
        """Answer a question, or commit a change and publish it. Runs on the sender's thread."""
        if isinstance(message, ResolveModel):  # PERF: of every request, so answered here
            state = self._state
            shelf = state.catalogs[message.kind]
            route = shelf.direct.get(message.model)
            if route is not None and route.engine.serving:
                return route
            return shelf.resolve(message.model)
        kind = type(message)
        read = _READS.get(kind)
        if read is not None:
            return read(self._state, message)
        write = _WRITES.get(kind)
        if write is None:
            raise UnknownMessage(f"the registry knows no message {kind.__name__}")
        changed = write(self._state, message, self._pools)
        if changed is not self._state:
            self._commit(changed)
        return None

    def _commit(self, changed: RegistryState) -> None:
        self._state = changed
        self.publish(changed)
        # An incarnation that was abandoned while it hung above must not touch living pools.
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
    return tuple(each.pool for each in found if each is not None)


def _has_model(state: RegistryState, message: HasModel) -> bool:
    return bool(_find_pools(state, FindPools(message.model)))


def _list_models(state: RegistryState, message: ListModels) -> list[str]:
    return state.engines(message.kind).list()


def _read_registry(state: RegistryState, _message: ReadRegistry) -> RegistryState:
    return state


def _add_model(state: RegistryState, message: AddModel, pools: PoolMaker) -> RegistryState:
    shelf = state.catalogs[message.kind]
    if message.model in shelf.models:
        raise ModelAlreadyExists(message.model)
    spec = message.model_spec or PLAIN
    pool = pools.make(message.model, message.kind, spec)
    words = SILENCE.put(STATIC_INSTANCE, spec, draining=message.spec.draining)
    model = Model(message.model, message.engine, pool, spec, words)
    put = partial(pool.put, STATIC_INSTANCE, message.engine, message.spec)
    return state.with_catalog(message.kind, shelf.put(model), (put, pool.opened))


def _remove_model(state: RegistryState, message: RemoveModel, _pools: PoolMaker) -> RegistryState:
    shelf = state.catalogs[message.kind]
    model = shelf.models.get(message.model)
    rest = shelf.remove(message.model, forget=True)
    return state.with_catalog(message.kind, rest, (model.pool.closed,) if model else ())


def _put_instance(state: RegistryState, message: PutInstance, pools: PoolMaker) -> RegistryState:
    shelf = state.catalogs[message.kind]
    old = shelf.models.get(message.model)
    words = (old.words if old else SILENCE).put(
        message.instance, message.model_spec, draining=message.spec.draining
    )
    spec = words.spec(old.spec if old else PLAIN)
    pool = old.pool if old else pools.make(message.model, message.kind, spec)
    put = partial(pool.put, message.instance, message.engine, message.spec)
    effects = (partial(pool.configure, spec), put) if old else (put, pool.opened)
    model = Model(message.model, pool, pool, spec, words)
    if old is None or old.engine is not pool or old.words != words:
        shelf = shelf.put(model)
    return state.with_catalog(message.kind, shelf, effects)


def _drop_instance(state: RegistryState, message: DropInstance, _pools: PoolMaker) -> RegistryState:
    shelf = state.catalogs[message.kind]
    model = shelf.models.get(message.model)
    if model is None or message.instance not in model.pool:
        return state
    drop = partial(model.pool.drop, message.instance)
    if len(model.pool) > 1:
        words = model.words.drop(message.instance)
        left = replace(model, spec=words.spec(model.spec), words=words)
        shelf = shelf if left == model else shelf.put(left)
        return state.with_catalog(
            message.kind, shelf, (drop, partial(model.pool.configure, left.spec))
        )
    rest = shelf.remove(message.model, forget=False)
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
_WRITES: Final[Mapping[type, Callable[[RegistryState, Any, PoolMaker], RegistryState]]] = (
    MappingProxyType(
        {
            AddModel: _add_model,
            RemoveModel: _remove_model,
            PutInstance: _put_instance,
            DropInstance: _drop_instance,
        }
    )
)
