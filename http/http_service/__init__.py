"""The HTTP service: OpenAI's API on Falcon and Waitress, every request asking the registry.

Knows engines only by their contract and models only through the registry's messages; knows nothing
of etcd and of the process it runs in.
"""

from http_service.api.context import Component, ComponentStatus
from http_service.builder import HttpServiceConfigBuilder
from http_service.config import ConfigError, HttpServiceConfig
from http_service.models import DeploymentState, ModelManager
from http_service.server.server import BindFailed
from http_service.service import HttpService, ServiceCrashed, ServiceHandle
from http_service.telemetry.metrics import Metrics

__all__ = [
    "BindFailed",
    "Component",
    "ComponentStatus",
    "ConfigError",
    "DeploymentState",
    "HttpService",
    "HttpServiceConfig",
    "HttpServiceConfigBuilder",
    "Metrics",
    "ModelManager",
    "ServiceCrashed",
    "ServiceHandle",
]
