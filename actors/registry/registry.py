"""The registry actor: the one owner of the model map.

Rules of this file: every handler is O(microseconds), does no I/O and calls no foreign code, because
the registry is a turn actor and runs on the thread of whoever asks (``docs/why/design.md``). Each
handler that changes something is a pure function from state to state; ``on_receive`` commits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from actors.engines.contract import Engine, Kind
from actors.engines.pool import Pool
from actors.registry.errors import ModelNotFound
from actors.registry.messages import (
    AddModel,
    DropInstance,
    GetEngine,
    HasModel,
    ListModels,
    PutInstance,
    ReadRegistry,
    RegistryState,
    RemoveModel,
)
from actors.registry.model_engines import ModelEngines
from actors.supervision.turn import TurnActor

__all__ = ["RegistryActor", "UnknownMessage"]

STATIC_INSTANCE: Final = "#static"
"""The instance name under which an engine added in-process joins announced ones, which can't have
it: no announced name holds a ``#``."""


class UnknownMessage(Exception):
    """The registry was sent something that is no message of its own: a bug of the sender."""


class RegistryActor(TurnActor):
    """Owns both model maps and serialises every message about them.

    After each change it publishes the new state, which the supervisor hands to the next
    incarnation: killing the registry loses no model. An unknown message crashes it on purpose
    ("let it crash"): the sender's bug must be seen, and costs nobody a request.
    """

    fatal = (UnknownMessage,)

    def on_start(self) -> None:
        """Take over what the previous incarnation published, or begin empty."""
        inherited = self.inherited
        self._state: RegistryState = (
            RegistryState(ModelEngines(), ModelEngines()) if inherited is None else inherited
        )

    def on_receive(self, message: object) -> Any:
        """Answer a question, or commit a change and publish it. Runs on the sender's thread."""
        kind = type(message)
        read = _READS.get(kind)
        if read is not None:
            return read(self._state, message)
        write = _WRITES.get(kind)
        if write is None:
            raise UnknownMessage(f"the registry knows no message {kind.__name__}")
        changed = write(self._state, message)
        if changed is not self._state:
            self._state = changed
            self.publish(changed)
        return None


def _get_engine(state: RegistryState, message: GetEngine) -> Engine:
    engine = state.engines(message.kind).get(message.model)
    if engine is None:
        raise ModelNotFound(message.model)
    return engine


def _has_model(state: RegistryState, message: HasModel) -> bool:
    return message.model in state.chat or message.model in state.completions


def _list_models(state: RegistryState, message: ListModels) -> list[str]:
    return state.engines(message.kind).list()


def _read_registry(state: RegistryState, _message: ReadRegistry) -> RegistryState:
    return state


def _add_model(state: RegistryState, message: AddModel) -> RegistryState:
    engines = state.engines(message.kind).copy()
    engines.add(message.model, message.engine)
    return _with_engines(state, message.kind, engines)


def _remove_model(state: RegistryState, message: RemoveModel) -> RegistryState:
    engines = state.engines(message.kind).copy()
    engines.remove(message.model)
    return _with_engines(state, message.kind, engines)


def _put_instance(state: RegistryState, message: PutInstance) -> RegistryState:
    engines = state.engines(message.kind).copy()
    current = engines.get(message.model)
    if current is None:
        engines.add(message.model, Pool().with_instance(message.instance, message.engine))
    else:
        pool = current if isinstance(current, Pool) else _pool_of_static(current)
        engines.replace(message.model, pool.with_instance(message.instance, message.engine))
    return _with_engines(state, message.kind, engines)


def _drop_instance(state: RegistryState, message: DropInstance) -> RegistryState:
    engines = state.engines(message.kind).copy()
    current = engines.get(message.model)
    if not isinstance(current, Pool):
        return state
    rest = current.without(message.instance)
    if rest is current:
        return state
    if rest:
        engines.replace(message.model, rest)
    else:
        engines.remove(message.model)
    return _with_engines(state, message.kind, engines)


def _pool_of_static(engine: Engine) -> Pool:
    return Pool().with_instance(STATIC_INSTANCE, engine)


def _with_engines(state: RegistryState, kind: Kind, engines: ModelEngines) -> RegistryState:
    if kind is Kind.CHAT:
        return RegistryState(engines, state.completions, state.revision + 1)
    return RegistryState(state.chat, engines, state.revision + 1)


_READS: Final[Mapping[type, Callable[[RegistryState, Any], Any]]] = MappingProxyType(
    {
        GetEngine: _get_engine,
        HasModel: _has_model,
        ListModels: _list_models,
        ReadRegistry: _read_registry,
    }
)
_WRITES: Final[Mapping[type, Callable[[RegistryState, Any], RegistryState]]] = MappingProxyType(
    {
        AddModel: _add_model,
        RemoveModel: _remove_model,
        PutInstance: _put_instance,
        DropInstance: _drop_instance,
    }
)
