"""What every resource may use, in one record: resources own nothing themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from http_service.api_keys import ApiKeys
from http_service.components import Component
from http_service.config import HttpServiceConfig
from http_service.inflight import InflightRequests
from http_service.lifecycle import Lifecycle
from http_service.metrics import Metrics
from http_service.operators import Operators
from http_service.route import Route
from http_service.state import DeploymentState

__all__ = ["Services"]


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of one HTTP service that its resources share; all of them are thread-safe."""

    config: HttpServiceConfig
    state: DeploymentState
    components: Sequence[Component] = ()
    routes: Sequence[Route] = ()
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    keys: ApiKeys | None = None
    operator_keys: ApiKeys | None = None
    inflight: InflightRequests = field(default_factory=InflightRequests)

    @property
    def operators(self) -> Operators:
        """Who may see where things run."""
        return Operators(self.keys, self.operator_keys)

    @property
    def metrics(self) -> Metrics:
        """The service's metrics, which belong to its state (the seed's section 3.1)."""
        return self.state.metrics
