"""All models of one kind, as one immutable value: names, pools, aliases, fallbacks. Pure.

A canonical name wins over an alias; among models that claim one alias, the first that is still
here. A fallback is remembered when its model goes, because that is when it is needed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from actors.engines.contract import Engine
from actors.engines.pool import PLAIN, ModelSpec, Pool
from actors.registry.errors import ModelNotFound
from actors.registry.model_engines import ModelEngines
from actors.registry.persistent import PersistentMap
from actors.registry.route import Route
from actors.registry.words import SILENCE, Words

__all__ = ["Model", "Shelf"]

MAX_REMEMBERED: Final = 10_000
"""Fallbacks that are kept; more models than that never leave for good in one process' life."""


@dataclass(frozen=True, slots=True)
class Model:
    """One model that is served. ``engine`` is what ``GetEngine`` answers: the pool, or the one
    engine that was added in this process while it is alone. ``spec`` is what counts of ``words``,
    which are what its instances say of it."""

    name: str
    engine: Engine
    pool: Pool
    spec: ModelSpec = PLAIN
    words: Words = SILENCE


def _no_models() -> PersistentMap[str, Model]:
    return PersistentMap()


def _no_aliases() -> PersistentMap[str, tuple[str, ...]]:
    return PersistentMap()


def _no_fallbacks() -> PersistentMap[str, str]:
    return PersistentMap()


def _no_routes() -> dict[str, Route]:
    return {}


@dataclass(frozen=True, slots=True)
class Shelf:
    """The models of one kind. Each change makes a new shelf."""

    engines: ModelEngines = field(default_factory=ModelEngines)
    models: PersistentMap[str, Model] = field(default_factory=_no_models)
    aliases: PersistentMap[str, tuple[str, ...]] = field(default_factory=_no_aliases)
    fallbacks: PersistentMap[str, str] = field(default_factory=_no_fallbacks)
    direct: dict[str, Route] = field(
        default_factory=_no_routes, init=False, compare=False, repr=False
    )
    """Where names lead that lead somewhere as long as the pool serves: models and aliases that were
    resolved so far. PERF: the registry looks here first, at each request."""

    def put(self, model: Model) -> Shelf:
        """With ``model``, new or in the place of the one of its name."""
        engines = self.engines.copy()
        old = self.models.get(model.name)
        if old is None:
            engines.add(model.name, model.engine)
        elif old.engine is not model.engine:
            engines.replace(model.name, model.engine)
        models = self.models.with_item(model.name, model)
        shelf = Shelf(engines, models, self.aliases, self.fallbacks)
        before = PLAIN if old is None else old.spec
        if before != model.spec or model.name in self.fallbacks:
            return _with_names(shelf, model.name, before, model.spec)
        return shelf

    def remove(self, name: str, *, forget: bool) -> Shelf:
        """Without that model; ``forget`` its fallback too. Raises ``ModelNotFound``."""
        old = self.models.get(name)
        if old is None:
            raise ModelNotFound(name)
        engines = self.engines.copy()
        engines.remove(name)
        spec = PLAIN if forget else ModelSpec(fallback=old.spec.fallback)
        shelf = replace(self, engines=engines, models=self.models.without(name))
        return _with_names(shelf, name, old.spec, spec)

    def find(self, name: str) -> Model | None:
        """The model of that name or alias."""
        model = self.models.get(name)
        if model is not None:
            return model
        claims = self.aliases.get(name)
        return None if claims is None else self.models.get(claims[0])

    def resolve(self, name: str) -> Route:
        """Which pool answers a request for ``name``. Raises ``ModelNotFound``.

        A model all of whose instances drain is passed over for its fallback, if that has some.
        """
        first: Model | None = None
        seen: set[str] = set()
        current: str | None = name
        while current is not None and current not in seen:
            seen.add(current)
            model = self.find(current)
            if model is not None:
                if model.pool.serving:
                    route = Route(name, model.name, model.pool)
                    if current is name:
                        self.direct[name] = route
                    return route
                first = first or model
                current = model.name
            current = self.fallbacks.get(current)
        if first is None:
            raise ModelNotFound(name)
        return Route(name, first.name, first.pool)


def _with_names(shelf: Shelf, name: str, old: ModelSpec, new: ModelSpec) -> Shelf:
    aliases = shelf.aliases
    for alias in old.aliases:
        claims = tuple(each for each in aliases.get(alias) or () if each != name)
        aliases = aliases.with_item(alias, claims) if claims else aliases.without(alias)
    for alias in dict.fromkeys(new.aliases):
        aliases = aliases.with_item(alias, (*(aliases.get(alias) or ()), name))
    fallbacks = shelf.fallbacks.without(name)
    if new.fallback is not None and len(fallbacks) < MAX_REMEMBERED:
        fallbacks = fallbacks.with_item(name, new.fallback)
    return replace(shelf, aliases=aliases, fallbacks=fallbacks)
