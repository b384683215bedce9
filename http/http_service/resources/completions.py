"""``POST /v1/completions``."""

from __future__ import annotations

from typing import Final

from actors.engines.contract import Kind
from http_service.resources.generate import Endpoint, GenerateResource
from http_service.resources.services import Services

__all__ = ["ENDPOINT", "completions"]

ENDPOINT: Final = Endpoint(Kind.COMPLETIONS, label="completions", id_prefix="cmpl-")


def completions(services: Services) -> GenerateResource:
    """The resource that continues texts."""
    return GenerateResource(ENDPOINT, services)
