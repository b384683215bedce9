"""The models: ``ModelManager`` changes them, ``DeploymentState`` asks for them; both by messages.

Both have the reference API's names. No engine is held here: the registry actor owns them, so no
request ever sees a half-applied change.
"""

from __future__ import annotations

from functools import partial
from typing import Final, Self, TypeVar

import pykka

from actors.engines.adapters import as_push_engine
from actors.engines.contract import AnyEngine, Engine, Kind
from actors.engines.pool import Pool, PoolListeners
from actors.registry.catalog import ListedModel, ModelEngines, ResolvedModel
from actors.registry.messages import (
    AddModel,
    FindPools,
    GetEngine,
    HasModel,
    ListModels,
    ReadRegistry,
    RegistryState,
    RemoveModel,
    ResolveModel,
)
from actors.registry.registry import PoolFactory, RegistryActor
from actors.supervision import Address, Child, NotDelivered, Supervisor, Tree
from actors.supervision.address import Question
from http_service.config import RESTART_INTENSITY, RESTART_PERIOD, HttpServiceConfig
from http_service.inline import CURRENT_THREAD, RetrySoon
from http_service.telemetry.metrics import Metrics
from http_service.telemetry.pool_metrics import PoolMetrics

__all__ = [
    "DeploymentState",
    "ModelManager",
    "RegistryBusy",
]

R = TypeVar("R")


class RegistryBusy(RetrySoon):
    """The registry can't be asked at once: it handles another message, or restarts."""


class DeploymentState:
    """Both engine maps, asked from ``registry``, and the metrics. Any thread.

    ``timeout`` is in seconds and covers a restart of the registry. Where a method says nothing
    else, it raises ``Timeout`` or ``NotDelivered`` if the registry does not reply.
    """

    def __init__(self, registry: Address, metrics: Metrics, timeout: float) -> None:
        self.metrics: Final = metrics
        self._registry = registry
        self._timeout = timeout

    @property
    def chat_completion_engines(self) -> ModelEngines:
        """The engines of chat models; a copy of one moment."""
        return self.snapshot().chat

    @property
    def completion_engines(self) -> ModelEngines:
        """The engines of completions models; a copy of one moment."""
        return self.snapshot().completions

    def get_chat_completions_engine(self, model: str) -> Engine:
        """The chat engine of ``model``. Raises ``ModelNotFound``."""
        return self.get_engine(Kind.CHAT, model)

    def get_completions_engine(self, model: str) -> Engine:
        """The completions engine of ``model``. Raises ``ModelNotFound``."""
        return self.get_engine(Kind.COMPLETIONS, model)

    def get_engine(self, kind: Kind, model: str) -> Engine:
        """The engine of ``kind`` for ``model``. Raises ``ModelNotFound``."""
        return self._ask(GetEngine(kind, model))

    def resolve(self, kind: Kind, model: str) -> ResolvedModel:
        """The pool of ``model``, by name, alias or fallback. Raises as above."""
        # PERF: as _ask does it, one call shorter, because every request comes here.
        question = ResolveModel(kind, model)
        if not CURRENT_THREAD.inline:
            return self._registry.ask(question, timeout=self._timeout)
        try:
            return self._registry.ask(question, timeout=0)
        except (pykka.Timeout, NotDelivered) as error:
            raise RegistryBusy(self._timeout, error) from error

    def find_pools(self, model: str) -> tuple[Pool, ...]:
        """The pools behind ``model``, one for each kind of it; empty if there is none."""
        return self._ask(FindPools(model))

    def has_model_any(self, model: str) -> bool:
        """Whether any kind of engine serves ``model``."""
        return self._ask(HasModel(model))

    def list_models(self) -> list[str]:
        """Every model once: chat models first, each kind in the order of adding."""
        catalogs = self.snapshot().catalogs.values()
        return [*dict.fromkeys(name for catalog in catalogs for name in catalog.names())]

    def listed_models(self) -> list[ListedModel]:
        """Every name of :meth:`list_models`, and after each model its adapters."""
        found: dict[str, ListedModel] = {}
        for catalog in self.snapshot().catalogs.values():
            for listed in catalog.listed():
                found.setdefault(listed.name, listed)
        return [*found.values()]

    def listed_model(self, name: str) -> ListedModel | None:
        """What is said of one name, an alias's included; ``None`` if no kind of model has it."""
        found = (catalog.find(name) for catalog in self.snapshot().catalogs.values())
        return next((model.listed(name) for model in found if model is not None), None)

    def snapshot(self) -> RegistryState:
        """Both maps at one moment."""
        return self._ask(ReadRegistry())

    def _ask(self, question: Question[R]) -> R:
        """Ask the registry; where the caller may not wait for it, only if it replies at once."""
        if not CURRENT_THREAD.inline:
            return self._registry.ask(question, timeout=self._timeout)
        try:
            return self._registry.ask(question, timeout=0)
        except (pykka.Timeout, NotDelivered) as error:
            raise RegistryBusy(self._timeout, error) from error


STOP_TIMEOUT = 5.0
"""Seconds to wait for a registry of one's own at the end: it only ever computes."""


class ModelManager:
    """Manages the models of a registry actor; a face of its ``Address``, usable from any thread.

    Without ``registry`` it starts one of its own, supervised by a tree of one child, and
    :meth:`close` stops it. ``metrics`` and ``ask_timeout`` default to those of a default
    configuration.
    """

    def __init__(
        self,
        registry: Address | None = None,
        *,
        metrics: Metrics | None = None,
        ask_timeout: float | None = None,
    ) -> None:
        self._tree: Tree | None = None
        metrics = metrics or Metrics()
        if registry is None:
            pools = PoolFactory(PoolListeners([PoolMetrics(metrics)]))
            child = Child("registry", partial(RegistryActor.start, pools), hand_over=True)
            self._tree = Supervisor.start(
                child, name="models", intensity=RESTART_INTENSITY, period=RESTART_PERIOD
            )
            self._tree.on_exit(pools.close)
            registry = self._tree.address("registry")
        self._registry = registry
        self._timeout = HttpServiceConfig().ask_timeout if ask_timeout is None else ask_timeout
        self._state = DeploymentState(registry, metrics, self._timeout)

    def has_model_any(self, model: str) -> bool:
        """Whether any kind of engine serves ``model``."""
        return self._state.has_model_any(model)

    def list_chat_completions_models(self) -> list[str]:
        """The chat models, in the order they were added."""
        return self.list_models(Kind.CHAT)

    def list_completions_models(self) -> list[str]:
        """The completions models, in the order they were added."""
        return self.list_models(Kind.COMPLETIONS)

    def list_models(self, kind: Kind) -> list[str]:
        """The models of ``kind``, in the order they were added."""
        return self._registry.ask(ListModels(kind), timeout=self._timeout)

    def add_model(self, kind: Kind, model: str, engine: AnyEngine) -> None:
        """Serve ``model`` as one of ``kind`` with ``engine``, in any of its three shapes.

        Raises ``ModelAlreadyExists``: the engine that is there stays.
        """
        self._registry.ask(AddModel(kind, model, as_push_engine(engine)), timeout=self._timeout)

    def remove_model(self, kind: Kind, model: str) -> None:
        """Stop serving ``model`` as one of ``kind``. Raises ``ModelNotFound``."""
        self._registry.ask(RemoveModel(kind, model), timeout=self._timeout)

    def add_chat_completions_model(self, model: str, engine: AnyEngine) -> None:
        """Serve the chat model ``model`` with ``engine``, in any of its three shapes.

        Raises ``ModelAlreadyExists``: the engine that is there stays.
        """
        self.add_model(Kind.CHAT, model, engine)

    def add_completions_model(self, model: str, engine: AnyEngine) -> None:
        """Serve a completions model with ``engine``; as :meth:`add_chat_completions_model`."""
        self.add_model(Kind.COMPLETIONS, model, engine)

    def remove_chat_completions_model(self, model: str) -> None:
        """Stop serving the chat model ``model``. Raises ``ModelNotFound``."""
        self.remove_model(Kind.CHAT, model)

    def remove_completions_model(self, model: str) -> None:
        """Stop serving the completions model ``model``. Raises ``ModelNotFound``."""
        self.remove_model(Kind.COMPLETIONS, model)

    def metrics(self) -> Metrics:
        """The metrics of whatever serves these models."""
        return self._state.metrics

    def state(self) -> DeploymentState:
        """The state that the routes work on."""
        return self._state

    def close(self) -> None:
        """Stop the registry and the probes, if they are this manager's own. Idempotent."""
        tree, self._tree = self._tree, None
        if tree is not None:
            tree.stop(timeout=STOP_TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()
