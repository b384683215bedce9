"""``POST /v1/chat/completions``."""

from __future__ import annotations

from typing import Final

from actors.engines.contract import Kind
from http_service.resources.generate import Endpoint, GenerateResource
from http_service.resources.services import Services

__all__ = ["ENDPOINT", "chat_completions"]

ENDPOINT: Final = Endpoint(Kind.CHAT, label="chat_completions", id_prefix="chatcmpl-")


def chat_completions(services: Services) -> GenerateResource:
    """The resource that answers conversations."""
    return GenerateResource(ENDPOINT, services)
