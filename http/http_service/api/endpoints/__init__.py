"""The endpoints that models are asked on: one file and one row each; the rest follows."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from http_service.api.endpoints import (
    chat,
    completions,
    embeddings,
    media,
    messages,
    relayed,
    responses,
)
from http_service.api.endpoints.endpoint import (
    ApiEndpoint,
    GenerateRequest,
    ModelRequest,
    Translation,
)

__all__ = ["ENDPOINTS", "LABELS", "ApiEndpoint", "GenerateRequest", "ModelRequest", "Translation"]

ENDPOINTS: Final[tuple[ApiEndpoint, ...]] = (
    chat.ENDPOINT,
    completions.ENDPOINT,
    messages.ENDPOINT,
    responses.ENDPOINT,
    embeddings.ENDPOINT,
    *relayed.ENDPOINTS,
    *media.ENDPOINTS,
)

LABELS: Final[Mapping[str, str]] = MappingProxyType(
    {endpoint.path: endpoint.label for endpoint in ENDPOINTS}
)
"""What the metrics call the paths where models are asked."""
