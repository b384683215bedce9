"""All models of one kind as one immutable value: names, pools, aliases, fallbacks. Pure.

A model's own name wins over an alias; among models that claim one alias, the oldest one that is
still here. A fallback is remembered when its model is gone, because that is when it is needed.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

import orjson

from actors.engines.contract import Engine, EngineRequest, with_model
from actors.engines.pool import DEFAULT_MODEL_SPEC, ModelSpec, Pool
from actors.registry.persistent import PersistentMap

__all__ = [
    "NO_DECLARATIONS",
    "Catalog",
    "Declaration",
    "Declarations",
    "ListedModel",
    "ModelAlreadyExists",
    "ModelEngines",
    "ModelNotFound",
    "RegistryError",
    "ResolvedModel",
    "ServedModel",
]


class RegistryError(Exception):
    """The base of the registry's errors; ``model`` is the name that was asked about."""

    def __init__(self, message: str, model: str) -> None:
        super().__init__(message)
        self.model = model


class ModelNotFound(RegistryError):
    """No engine of that kind serves the model."""

    def __init__(self, model: str) -> None:
        super().__init__(f"model {model!r} is not registered", model)


class ModelAlreadyExists(RegistryError):
    """An engine of that kind already serves the model; remove it first."""

    def __init__(self, model: str) -> None:
        super().__init__(f"model {model!r} is registered already; remove it first", model)


MAX_REMEMBERED: Final = 10_000
"""Fallbacks that are kept: above the number of models that ever leave in one process' life."""


class ResolvedModel(NamedTuple):
    """Where a request for the name ``asked`` goes: to the pool ``engine`` of the model ``model``.

    ``model`` is what its instances are asked for: a primary name or an adapter's. The two differ
    for an alias, and where a fallback answers.
    """

    asked: str
    model: str
    engine: Pool

    def with_primary_name(self, request: EngineRequest) -> EngineRequest:
        """``request`` under the name ``model``; itself, byte for byte, where that was asked for."""
        if request.model == self.model:
            return request
        parsed = request.parsed
        if parsed is not None:
            parsed = {**parsed, "model": self.model}
        if request.form is not None:
            body, form = request.form.renamed(request.raw, self.model)
            return replace(request, model=self.model, parsed=parsed, raw=body, form=form)
        raw = with_model(request.raw, self.model)
        if raw is None:
            raw = orjson.dumps(parsed or {**request.body, "model": self.model})
        return replace(request, model=self.model, parsed=parsed, raw=raw)


@dataclass(frozen=True, slots=True)
class Declaration:
    """The settings that one instance declares for its model, and whether it is draining."""

    instance: str
    spec: ModelSpec
    draining: bool


@dataclass(frozen=True, slots=True)
class Declarations:
    """The declarations of a model's instances, the oldest first. Changes make new records.

    Instances may disagree, above all during a rolling update. The latest declaration counts, of
    draining instances only where no other made one; it goes when its instance goes.

    PERF: a change copies them all; a model has tens of instances, and a thousand cost 50 µs.
    """

    items: tuple[Declaration, ...] = ()

    def put(self, instance: str, spec: ModelSpec | None, *, draining: bool) -> Declarations:
        """``instance`` declares ``spec``; ``None`` repeats its last declaration, if there is one.

        The latest place is for instances that serve: one that drains keeps its place.
        """
        items = [*self.items]
        at = next((at for at, item in enumerate(items) if item.instance == instance), len(items))
        if spec is None:
            if at == len(items):
                return self
            spec = items[at].spec
        declaration = Declaration(instance, spec, draining)
        if draining:
            items[at : at + 1] = [declaration]
        else:
            del items[at : at + 1]
            items.append(declaration)
        return Declarations(tuple(items))

    def drop(self, instance: str) -> Declarations:
        """Without the declaration of ``instance``."""
        return Declarations(tuple(item for item in self.items if item.instance != instance))

    def spec(self, default: ModelSpec) -> ModelSpec:
        """The settings that count; ``default`` if none were declared."""
        for item in reversed(self.items):
            if not item.draining:
                return item.spec
        return self.items[-1].spec if self.items else default


NO_DECLARATIONS: Final = Declarations()


class ModelEngines:
    """The reference API's mapping from model to engine, in the order of adding, with a default.

    Not synchronised, and independent of the registry: a catalog makes one of its models.
    """

    __slots__ = ("_engines",)

    def __init__(self, engines: Iterable[tuple[str, Engine]] = ()) -> None:
        self._engines = dict(engines)

    @property
    def default(self) -> str | None:
        """The oldest model, ``None`` exactly when there is none."""
        return next(iter(self._engines), None)

    def add(self, model: str, engine: Engine) -> None:
        """Serve ``model`` with ``engine``. Raises :class:`ModelAlreadyExists`."""
        if model in self._engines:
            raise ModelAlreadyExists(model)
        self._engines[model] = engine

    def remove(self, model: str) -> None:
        """Stop serving ``model``. Raises :class:`ModelNotFound`."""
        if model not in self._engines:
            raise ModelNotFound(model)
        del self._engines[model]

    def get(self, model: str) -> Engine | None:
        """The engine that serves ``model``, or ``None``."""
        return self._engines.get(model)

    def list(self) -> builtins.list[str]:
        """The models, in the order they were added."""
        return [*self._engines]

    def contains(self, model: str) -> bool:
        """Whether ``model`` is served."""
        return model in self._engines

    def copy(self) -> ModelEngines:
        """An independent copy."""
        return ModelEngines(self._engines.items())

    def __contains__(self, model: object) -> bool:
        return model in self._engines

    def __len__(self) -> int:
        return len(self._engines)

    def __repr__(self) -> str:
        return f"ModelEngines({', '.join(self._engines) or 'none'}; default={self.default!r})"


@dataclass(frozen=True, slots=True)
class ServedModel:
    """One model. ``engine`` is what ``GetEngine`` returns: the pool, or the one engine that was
    added in this process while it is alone. ``spec`` is what counts of ``declarations``. The
    catalog numbers its models in the order of their adding: ``number``.
    """

    name: str
    engine: Engine
    pool: Pool
    spec: ModelSpec = DEFAULT_MODEL_SPEC
    declarations: Declarations = NO_DECLARATIONS
    number: int = 0

    def asked_for(self, name: str) -> str:
        """What its instances are asked for where a client asks for ``name``."""
        return name if name in self.spec.adapters else self.name

    def listed(self, name: str) -> ListedModel:
        """What ``GET /v1/models`` says of it under ``name``, which is one of its own."""
        parent = self.name if name in self.spec.adapters else None
        return ListedModel(name, parent, self.spec.context_length, self.spec.max_output_tokens)


class ListedModel(NamedTuple):
    """What clients read about one name: the model it adapts, if so, and its bounds in tokens."""

    name: str
    parent: str | None = None
    context_length: int | None = None
    max_output_tokens: int | None = None


def _no_models() -> PersistentMap[str, ServedModel]:
    return PersistentMap()


def _no_aliases() -> PersistentMap[str, tuple[str, ...]]:
    return PersistentMap()


def _no_fallbacks() -> PersistentMap[str, str]:
    return PersistentMap()


def _no_routes() -> dict[str, ResolvedModel]:
    return {}


@dataclass(frozen=True, slots=True)
class Catalog:
    """The models of one kind; ``added`` is how many there ever were. A change makes a new one."""

    models: PersistentMap[str, ServedModel] = field(default_factory=_no_models)
    aliases: PersistentMap[str, tuple[str, ...]] = field(default_factory=_no_aliases)
    fallbacks: PersistentMap[str, str] = field(default_factory=_no_fallbacks)
    added: int = 0
    direct: dict[str, ResolvedModel] = field(
        default_factory=_no_routes, init=False, compare=False, repr=False
    )
    """Names and aliases that were resolved so far, each valid for as long as its pool serves. PERF:
    the registry looks here first, at each request."""
    _names: tuple[str, ...] | None = field(default=None, init=False, compare=False, repr=False)

    def names(self) -> tuple[str, ...]:
        """The models, in the order they were added. Any thread."""
        names = self._names
        if names is None:
            ordered = sorted((model.number, model.name) for model in self.models.values())
            names = tuple(name for _, name in ordered)
            object.__setattr__(self, "_names", names)  # PERF: sorted once, on demand
        return names

    def listed(self) -> Iterator[ListedModel]:
        """The models, in the order they were added, each before those of its adapters that are
        reached under that name.
        """
        for name in self.names():
            model = self.find(name)
            if model is not None:
                yield model.listed(name)
                for adapter in model.spec.adapters:
                    if self.find(adapter) is model:
                        yield model.listed(adapter)

    def engines(self) -> ModelEngines:
        """The engine of each model, as the reference API has it; the caller's own."""
        models = sorted(self.models.values(), key=lambda model: model.number)
        return ModelEngines((model.name, model.engine) for model in models)

    def pools(self) -> tuple[Pool, ...]:
        """The pool of each model, in the order they were added."""
        return tuple(
            model.pool for model in sorted(self.models.values(), key=lambda model: model.number)
        )

    def put(self, model: ServedModel) -> Catalog:
        """With ``model``, new or in the place of the one of its name."""
        old = self.models.get(model.name)
        added = self.added + 1 if old is None else self.added
        numbered = replace(model, number=added if old is None else old.number)
        models = self.models.with_item(model.name, numbered)
        catalog = Catalog(models, self.aliases, self.fallbacks, added)
        before = DEFAULT_MODEL_SPEC if old is None else old.spec
        if before != model.spec or model.name in self.fallbacks:
            return _with_names(catalog, model.name, before, model.spec)
        return catalog

    def remove(self, name: str, *, forget: bool) -> Catalog:
        """Without that model; ``forget`` its fallback too. Raises ``ModelNotFound``."""
        old = self.models.get(name)
        if old is None:
            raise ModelNotFound(name)
        spec = DEFAULT_MODEL_SPEC if forget else ModelSpec(fallback=old.spec.fallback)
        catalog = replace(self, models=self.models.without(name))
        return _with_names(catalog, name, old.spec, spec)

    def find(self, name: str) -> ServedModel | None:
        """The model of that name or alias."""
        model = self.models.get(name)
        if model is not None:
            return model
        claims = self.aliases.get(name)
        return None if claims is None else self.models.get(claims[0])

    def resolve(self, name: str) -> ResolvedModel:
        """Which pool answers a request for ``name``. Raises ``ModelNotFound``.

        A model all of whose instances drain is passed over for its fallback, if that serves.
        """
        first: ResolvedModel | None = None
        seen: set[str] = set()
        current: str | None = name
        while current is not None and current not in seen:
            seen.add(current)
            model = self.find(current)
            if model is not None:
                if model.pool.serving:
                    resolved = ResolvedModel(name, model.asked_for(current), model.pool)
                    if current is name:
                        self.direct[name] = resolved
                    return resolved
                first = first or ResolvedModel(name, model.asked_for(current), model.pool)
                current = model.name
            current = self.fallbacks.get(current)
        if first is None:
            raise ModelNotFound(name)
        return first


def _with_names(catalog: Catalog, name: str, old: ModelSpec, new: ModelSpec) -> Catalog:
    """``catalog`` with the aliases and the fallback that model ``name`` has now."""
    aliases = catalog.aliases
    for alias in (*old.aliases, *old.adapters):
        claims = tuple(model for model in aliases.get(alias) or () if model != name)
        aliases = aliases.with_item(alias, claims) if claims else aliases.without(alias)
    for alias in dict.fromkeys((*new.aliases, *new.adapters)):
        aliases = aliases.with_item(alias, (*(aliases.get(alias) or ()), name))
    fallbacks = catalog.fallbacks.without(name)
    if new.fallback is not None and len(fallbacks) < MAX_REMEMBERED:
        fallbacks = fallbacks.with_item(name, new.fallback)
    return replace(catalog, aliases=aliases, fallbacks=fallbacks)
