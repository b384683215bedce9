"""Every message that the registry understands, each with its reply; and the registry's state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from actors.engines.contract import Engine, Kind
from actors.engines.pool import DEFAULT_INSTANCE_SPEC, InstanceSpec, ModelSpec, Pool
from actors.registry.catalog import Catalog, ModelEngines, ResolvedModel
from actors.supervision.address import Question

__all__ = [
    "AddModel",
    "DropInstance",
    "Effect",
    "FindPools",
    "GetEngine",
    "HasModel",
    "ListModels",
    "PutInstance",
    "ReadRegistry",
    "RegistryState",
    "RemoveModel",
    "ResolveModel",
]


Effect = Callable[[], object]
"""What a change does to a pool, once it is published. Idempotent."""


def _empty_catalogs() -> Mapping[Kind, Catalog]:
    return {kind: Catalog() for kind in Kind}


@dataclass(frozen=True, slots=True)
class RegistryState:
    """What the registry knows, immutable: published after each committed message.

    ``catalogs`` has one for each kind of model; the mapping is never changed. ``revision`` grows
    by one with each change, and across restarts of the actor. ``effects`` are what the last
    message does to pools: the next incarnation does them again, because it is unknown how many of
    them the last one completed. Pools themselves are alive, and the same in each state.
    """

    catalogs: Mapping[Kind, Catalog] = field(default_factory=_empty_catalogs)
    revision: int = 0
    effects: tuple[Effect, ...] = field(default=(), compare=False, repr=False)

    @property
    def chat(self) -> ModelEngines:
        """The engines that answer conversations, as the reference API has them; a copy."""
        return self.catalogs[Kind.CHAT].engines()

    @property
    def completions(self) -> ModelEngines:
        """The engines that continue texts, as the reference API has them; a copy."""
        return self.catalogs[Kind.COMPLETIONS].engines()

    def pools(self) -> tuple[Pool, ...]:
        """Every pool, kind by kind, each kind in the order of adding."""
        return tuple(pool for catalog in self.catalogs.values() for pool in catalog.pools())

    def with_catalog(
        self, kind: Kind, catalog: Catalog, effects: tuple[Effect, ...]
    ) -> RegistryState:
        """The next state, with ``catalog`` in its place and the ``effects`` that follow."""
        return RegistryState({**self.catalogs, kind: catalog}, self.revision + 1, effects)


@dataclass(slots=True, unsafe_hash=True)
class ResolveModel(Question[ResolvedModel]):
    """Which pool answers a request for ``model``: a name, an alias, or a name with a fallback?

    Raises ``ModelNotFound``. Not to be changed. PERF: asked by every request; frozen as the other
    messages are, making one would cost as much as the rest of the ask.
    """

    kind: Kind
    model: str


@dataclass(frozen=True, slots=True)
class GetEngine(Question[Engine]):
    """Which engine serves ``model``? Raises ``ModelNotFound``."""

    kind: Kind
    model: str


@dataclass(frozen=True, slots=True)
class FindPools(Question[tuple[Pool, ...]]):
    """The pools behind ``model`` (a name or an alias), one for each kind; empty if there is none.

    Ask them for their ``view()`` elsewhere: that takes longer than the registry has.
    """

    model: str


@dataclass(frozen=True, slots=True)
class HasModel(Question[bool]):
    """Does any kind of engine serve ``model``, under this name or as an alias?"""

    model: str


@dataclass(frozen=True, slots=True)
class ListModels(Question[list[str]]):
    """The names served for ``kind``, in the order they were added."""

    kind: Kind


@dataclass(frozen=True, slots=True)
class ReadRegistry(Question[RegistryState]):
    """The whole state as one immutable record: no half-applied update can be seen."""


@dataclass(frozen=True, slots=True)
class AddModel(Question[None]):
    """Serve ``model`` with ``engine``. Raises ``ModelAlreadyExists``; the old engine stays."""

    kind: Kind
    model: str
    engine: Engine
    spec: InstanceSpec = DEFAULT_INSTANCE_SPEC
    model_spec: ModelSpec | None = None


@dataclass(frozen=True, slots=True)
class RemoveModel(Question[None]):
    """Stop serving ``model``, all its instances included. Raises ``ModelNotFound``."""

    kind: Kind
    model: str


@dataclass(frozen=True, slots=True)
class PutInstance(Question[None]):
    """An instance of ``model`` was announced, or announced again: add it, or replace its engine.

    The first instance adds the model. ``instance`` is any text that is unique within the model.
    With the same endpoint as before it keeps its requests in flight and its health; one that drains
    gets no new request. ``model_spec`` is about the whole model: the latest one of the instances
    that are present and not draining counts; ``None`` leaves it as it is.
    """

    kind: Kind
    model: str
    instance: str
    engine: Engine
    spec: InstanceSpec = DEFAULT_INSTANCE_SPEC
    model_spec: ModelSpec | None = None


@dataclass(frozen=True, slots=True)
class DropInstance(Question[None]):
    """An instance left; the last one takes the model with it. Unknown ones are ignored."""

    kind: Kind
    model: str
    instance: str
