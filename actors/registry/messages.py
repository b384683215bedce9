"""Every message the registry understands: frozen, printable, each with the answer it promises."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from actors.engines.contract import Engine, Kind
from actors.engines.pool import ORDINARY, InstanceSpec, ModelSpec, Pool
from actors.registry.model_engines import ModelEngines
from actors.registry.route import ResolveModel
from actors.registry.shelf import Shelf
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
"""What a change does to a pool, once it is published; doing it again changes nothing."""


def _empty_catalogs() -> Mapping[Kind, Shelf]:
    return {kind: Shelf() for kind in Kind}


@dataclass(frozen=True, slots=True)
class RegistryState:
    """What the registry knows, immutable: published after each committed message.

    ``catalogs`` has one for each kind of model; the mapping is never changed. ``revision`` grows
    by one with each change, and across restarts of the actor. ``effects`` are what the last
    message does to pools: the next incarnation does them again, because it is unknown how many of
    them the last one completed. Pools themselves are alive, and the same in each state.
    """

    catalogs: Mapping[Kind, Shelf] = field(default_factory=_empty_catalogs)
    revision: int = 0
    effects: tuple[Effect, ...] = field(default=(), compare=False, repr=False)

    @property
    def chat(self) -> ModelEngines:
        """The engines that answer conversations; not to be changed (``copy()`` may be)."""
        return self.catalogs[Kind.CHAT].engines

    @property
    def completions(self) -> ModelEngines:
        """The engines that continue texts; not to be changed (``copy()`` may be)."""
        return self.catalogs[Kind.COMPLETIONS].engines

    def engines(self, kind: Kind) -> ModelEngines:
        """The engines that serve ``kind``."""
        return self.catalogs[kind].engines

    def with_catalog(
        self, kind: Kind, catalog: Shelf, effects: tuple[Effect, ...]
    ) -> RegistryState:
        """The next state: ``catalog`` in its place, and what is to be done then."""
        return RegistryState({**self.catalogs, kind: catalog}, self.revision + 1, effects)


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
    spec: InstanceSpec = ORDINARY
    model_spec: ModelSpec | None = None


@dataclass(frozen=True, slots=True)
class RemoveModel(Question[None]):
    """Stop serving ``model``, all its instances included. Raises ``ModelNotFound``."""

    kind: Kind
    model: str


@dataclass(frozen=True, slots=True)
class PutInstance(Question[None]):
    """An instance of ``model`` was announced, or announced anew: add it, or replace its engine.

    The first instance adds the model. ``instance`` is any text that is unique within the model.
    With the same endpoint as before it keeps its requests in flight and its health; told to be
    draining, it gets no new request. ``model_spec`` is about the whole model: the last one counts
    of the instances that are there and don't drain; ``None`` leaves it as it is.
    """

    kind: Kind
    model: str
    instance: str
    engine: Engine
    spec: InstanceSpec = ORDINARY
    model_spec: ModelSpec | None = None


@dataclass(frozen=True, slots=True)
class DropInstance(Question[None]):
    """An instance left; the last one takes the model with it. Unknown ones are ignored."""

    kind: Kind
    model: str
    instance: str
