"""The seed's ``ModelManager`` (section 4): add, remove and list models, by messages."""

from __future__ import annotations

import logging
from functools import partial
from typing import Final, Self

import pykka

from actors.engines.adapters import as_push_engine
from actors.engines.contract import AnyEngine, Kind
from actors.engines.pool import PoolListeners
from actors.registry.messages import AddModel, ListModels, RemoveModel
from actors.registry.registry import PoolFactory, RegistryActor
from actors.supervision import Address, Child, NotDelivered, Supervisor, Tree
from http_service.config import HttpServiceConfig
from http_service.metrics import Metrics
from http_service.pool_metrics import PoolMetrics
from http_service.restarts import INTENSITY, PERIOD
from http_service.state import DeploymentState

__all__ = ["ModelManager"]

_log: Final = logging.getLogger("http_service.manager")

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
            self._tree = Supervisor.start(child, name="models", intensity=INTENSITY, period=PERIOD)
            registry = self._tree.address("registry")
        self._registry = registry
        self._timeout = HttpServiceConfig().ask_timeout if ask_timeout is None else ask_timeout
        self._state = DeploymentState(registry, metrics, self._timeout)

    def has_model_any(self, model: str) -> bool:
        """Whether any kind of engine serves ``model``."""
        return self._state.has_model_any(model)

    def list_chat_completions_models(self) -> list[str]:
        """The models that answer conversations, in the order they were added."""
        return self.list_models(Kind.CHAT)

    def list_completions_models(self) -> list[str]:
        """The models that continue texts, in the order they were added."""
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
        """Serve ``model`` as one of ``kind`` no more. Raises ``ModelNotFound``."""
        self._registry.ask(RemoveModel(kind, model), timeout=self._timeout)

    def add_chat_completions_model(self, model: str, engine: AnyEngine) -> None:
        """Answer conversations with ``engine``, in any of its three shapes.

        Raises ``ModelAlreadyExists``: the engine that is there stays.
        """
        self.add_model(Kind.CHAT, model, engine)

    def add_completions_model(self, model: str, engine: AnyEngine) -> None:
        """Continue texts with ``engine``; as :meth:`add_chat_completions_model`."""
        self.add_model(Kind.COMPLETIONS, model, engine)

    def remove_chat_completions_model(self, model: str) -> None:
        """Answer conversations for ``model`` no more. Raises ``ModelNotFound``."""
        self.remove_model(Kind.CHAT, model)

    def remove_completions_model(self, model: str) -> None:
        """Continue texts for ``model`` no more. Raises ``ModelNotFound``."""
        self.remove_model(Kind.COMPLETIONS, model)

    def metrics(self) -> Metrics:
        """The metrics of whatever serves these models."""
        return self._state.metrics

    def state(self) -> DeploymentState:
        """The state that the routes work on."""
        return self._state

    def close(self) -> None:
        """Remove the models and stop the registry, if it is this manager's own. Idempotent."""
        tree, self._tree = self._tree, None
        if tree is not None:
            self._remove_all()
            tree.stop(timeout=STOP_TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _remove_all(self) -> None:
        """Upstreams are probed for as long as they belong to a model."""
        try:
            for kind in Kind:
                for model in self.list_models(kind):
                    self.remove_model(kind, model)
        except (NotDelivered, pykka.Timeout) as error:
            _log.warning("the models are left as they are", extra={"reason": str(error)})
