"""The generating endpoints: one file and one row each; everything else follows from the table."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from http_service.api.endpoints import chat, completions
from http_service.api.endpoints.endpoint import ApiEndpoint, GenerateRequest

__all__ = ["ENDPOINTS", "LABELS", "ApiEndpoint", "GenerateRequest"]

ENDPOINTS: Final[tuple[ApiEndpoint, ...]] = (
    chat.ENDPOINT,
    completions.ENDPOINT,
)

LABELS: Final[Mapping[str, str]] = MappingProxyType(
    {endpoint.path: endpoint.label for endpoint in ENDPOINTS}
)
"""What the metrics call the paths where something is generated."""
