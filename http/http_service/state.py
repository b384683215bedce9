"""The seed's ``DeploymentState`` (section 3): what all requests share, as a face of the registry.

It holds no engine itself: both engine maps belong to the registry actor, and every question is a
message to it, so that no request ever sees a half-applied change.
"""

from __future__ import annotations

from typing import Final, TypeVar

import pykka

from actors.engines.contract import Engine, Kind
from actors.engines.pool import Pool
from actors.registry.catalog import ModelEngines, ResolvedModel
from actors.registry.messages import (
    FindPools,
    GetEngine,
    HasModel,
    ReadRegistry,
    RegistryState,
    ResolveModel,
)
from actors.supervision.address import Address, Question
from actors.supervision.errors import NotDelivered
from http_service.inline import HERE, Later
from http_service.metrics import Metrics

__all__ = ["DeploymentState", "RegistryBusy"]

R = TypeVar("R")


class RegistryBusy(Later):
    """The registry can't answer at once: it is at work elsewhere, or restarts."""


class DeploymentState:
    """Both engine maps, asked from ``registry``, and the metrics. Any thread.

    ``timeout`` is in seconds and covers a restart of the registry. Where a method says nothing
    else, it raises ``Timeout`` or ``NotDelivered`` if the registry does not answer.
    """

    def __init__(self, registry: Address, metrics: Metrics, timeout: float) -> None:
        self.metrics: Final = metrics
        self._registry = registry
        self._timeout = timeout

    @property
    def chat_completion_engines(self) -> ModelEngines:
        """The engines that answer conversations; a copy of one moment."""
        return self.snapshot().chat

    @property
    def completion_engines(self) -> ModelEngines:
        """The engines that continue texts; a copy of one moment."""
        return self.snapshot().completions

    def get_chat_completions_engine(self, model: str) -> Engine:
        """The engine that answers conversations for ``model``. Raises ``ModelNotFound``."""
        return self.get_engine(Kind.CHAT, model)

    def get_completions_engine(self, model: str) -> Engine:
        """The engine that continues texts for ``model``. Raises ``ModelNotFound``."""
        return self.get_engine(Kind.COMPLETIONS, model)

    def get_engine(self, kind: Kind, model: str) -> Engine:
        """The engine of ``kind`` for ``model``. Raises ``ModelNotFound``."""
        return self._ask(GetEngine(kind, model))

    def resolve(self, kind: Kind, model: str) -> ResolvedModel:
        """Who answers a request for ``model``, by name, alias or fallback. Raises as above."""
        # PERF: as _ask does it, one call shorter, because every request comes here.
        question = ResolveModel(kind, model)
        if not HERE.inline:
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

    def snapshot(self) -> RegistryState:
        """Both maps at one moment."""
        return self._ask(ReadRegistry())

    def _ask(self, question: Question[R]) -> R:
        """Ask the registry; where the caller may not wait for it, only if it answers at once."""
        if not HERE.inline:
            return self._registry.ask(question, timeout=self._timeout)
        try:
            return self._registry.ask(question, timeout=0)
        except (pykka.Timeout, NotDelivered) as error:
            raise RegistryBusy(self._timeout, error) from error
