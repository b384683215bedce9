"""Every message the registry understands: frozen, printable, each with the answer it promises."""

from __future__ import annotations

from dataclasses import dataclass

from actors.engines.contract import Engine, Kind
from actors.registry.model_engines import ModelEngines
from actors.supervision.address import Question

__all__ = [
    "AddModel",
    "DropInstance",
    "GetEngine",
    "HasModel",
    "ListModels",
    "PutInstance",
    "ReadRegistry",
    "RegistryState",
    "RemoveModel",
]


@dataclass(frozen=True, slots=True)
class RegistryState:
    """What the registry knows, immutable: published after each committed message.

    ``revision`` grows by one with each change, and across restarts of the actor.
    """

    chat: ModelEngines
    completions: ModelEngines
    revision: int = 0

    def engines(self, kind: Kind) -> ModelEngines:
        """The engines that serve ``kind``."""
        return self.chat if kind is Kind.CHAT else self.completions


@dataclass(frozen=True, slots=True)
class GetEngine(Question[Engine]):
    """Which engine serves ``model``? Raises ``ModelNotFound``."""

    kind: Kind
    model: str


@dataclass(frozen=True, slots=True)
class HasModel(Question[bool]):
    """Does any kind of engine serve ``model``?"""

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


@dataclass(frozen=True, slots=True)
class RemoveModel(Question[None]):
    """Stop serving ``model``, all its instances included. Raises ``ModelNotFound``."""

    kind: Kind
    model: str


@dataclass(frozen=True, slots=True)
class PutInstance(Question[None]):
    """An instance of ``model`` was announced, or announced anew: add it, or replace its engine.

    The first instance adds the model. ``instance`` is any text that is unique within the model.
    """

    kind: Kind
    model: str
    instance: str
    engine: Engine


@dataclass(frozen=True, slots=True)
class DropInstance(Question[None]):
    """An instance left; the last one takes the model with it. Unknown ones are ignored."""

    kind: Kind
    model: str
    instance: str
