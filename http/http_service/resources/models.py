"""``GET /v1/models`` and ``GET /v1/models/{model}``: what is served just now."""

from __future__ import annotations

import time
from typing import Any, Final

import falcon
import orjson

from actors.registry.errors import ModelNotFound
from http_service.resources.services import Services

__all__ = ["ModelResource", "ModelsResource"]

OWNER: Final = "callboard"


class ModelsResource:
    """The list of models, in the order they were added: chat models first, each named once."""

    def __init__(self, services: Services) -> None:
        self._state = services.state
        self._since = int(time.time())

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Every model that any enabled endpoint can serve."""
        data = [model_object(model, self._since) for model in self._state.list_models()]
        _write(resp, {"object": "list", "data": data})

    on_head = on_get


class ModelResource:
    """One model; its id may contain slashes."""

    def __init__(self, services: Services) -> None:
        self._state = services.state
        self._since = int(time.time())

    def on_get(self, _req: falcon.Request, resp: falcon.Response, model: str) -> None:
        """The model's object. Raises ``ModelNotFound``."""
        if not self._state.has_model_any(model):
            raise ModelNotFound(model)
        _write(resp, model_object(model, self._since))

    on_head = on_get


def model_object(model: str, created: int) -> dict[str, Any]:
    """OpenAI's model object; ``created`` is when this service started, in Unix seconds."""
    return {"id": model, "object": "model", "created": created, "owned_by": OWNER}


def _write(resp: falcon.Response, document: dict[str, Any]) -> None:
    resp.content_type = falcon.MEDIA_JSON
    resp.data = orjson.dumps(document)
