"""``GET /v1/models`` and what is below it: the models served now, and the instances of each."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import falcon
import orjson
from msgspec import Struct

from actors.engines.pool import InstanceView, Pool
from actors.registry.catalog import ListedModel, ModelNotFound
from http_service.api.context import AppContext

__all__ = [
    "InstancesResource",
    "ModelOrInstances",
    "ModelResource",
    "ModelsResource",
    "without_credentials",
]

OWNER: Final = "callboard"

ANTHROPIC_VERSION: Final = "HTTP_ANTHROPIC_VERSION"
"""What Anthropic's clients send with every request, in WSGI's environment."""

_NO_ENDS: Final[Mapping[str, str | None]] = MappingProxyType({"first_id": None, "last_id": None})


class Model(Struct):
    """A model that is served."""

    id: str
    object: str
    created: int
    owned_by: str
    parent: str | None = None
    root: str | None = None
    context_window: int | None = None
    max_model_len: int | None = None
    max_output_tokens: int | None = None


class ModelList(Struct):
    """All models that are served."""

    object: str
    data: list[Model]


class ModelInstance(Struct):
    """One instance of a model; ``state`` is whether it gets requests."""

    id: str
    object: str
    kind: str
    state: str


class InstanceList(Struct):
    """The instances of a model."""

    object: str
    model: str
    data: list[ModelInstance]


class ModelsResource:
    """The list of models, in the order they were added: chat models first, each named once."""

    def __init__(self, app: AppContext) -> None:
        self._state = app.state
        self._since = int(time.time())

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Every model that any enabled endpoint can serve."""
        models = self._state.listed_models()
        if ANTHROPIC_VERSION in req.env:
            data = [anthropic_model(model, self._since) for model in models]
            ends = {"first_id": models[0].name, "last_id": models[-1].name} if models else _NO_ENDS
            _write(resp, {"data": data, "has_more": False, **ends})
            return
        data = [model_object(model, self._since) for model in models]
        _write(resp, {"object": "list", "data": data})

    on_head = on_get


class ModelResource:
    """One model; its id may contain slashes."""

    def __init__(self, app: AppContext) -> None:
        self._state = app.state
        self._since = int(time.time())

    def on_get(self, req: falcon.Request, resp: falcon.Response, model: str) -> None:
        """The model's object. Raises ``ModelNotFound``."""
        listed = self._state.listed_model(model)
        if listed is None:
            raise ModelNotFound(model)
        described = anthropic_model if ANTHROPIC_VERSION in req.env else model_object
        _write(resp, described(listed, self._since))

    on_head = on_get


def model_object(model: ListedModel, created: int) -> dict[str, Any]:
    """OpenAI's model object; ``created`` is when this service started, in Unix seconds.

    What is known beyond it has vLLM's names and Dynamo's.
    """
    known = {
        "parent": model.parent,
        "root": model.parent,
        "context_window": model.context_length,
        "max_model_len": model.context_length,
        "max_output_tokens": model.max_output_tokens,
    }
    own = {"id": model.name, "object": "model", "created": created, "owned_by": OWNER}
    return own | _without_none(known)


def anthropic_model(model: ListedModel, created: int) -> dict[str, Any]:
    """Anthropic's model object, which its clients are told by their header."""
    since = datetime.fromtimestamp(created, UTC).isoformat().replace("+00:00", "Z")
    known = {"max_input_tokens": model.context_length, "max_tokens": model.max_output_tokens}
    own = {"type": "model", "id": model.name, "display_name": model.name, "created_at": since}
    return own | _without_none(known)


def _without_none(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


def _write(resp: falcon.Response, document: dict[str, Any]) -> None:
    resp.content_type = falcon.MEDIA_JSON
    resp.data = orjson.dumps(document)


SUFFIX: Final = "/instances"


class InstancesResource:
    """Every instance of a model, of each kind; the model's id may contain slashes.

    Only operators see where an instance runs.
    """

    def __init__(self, app: AppContext) -> None:
        self._state = app.state
        self._operators = app.operators

    def on_get(self, req: falcon.Request, resp: falcon.Response, model: str) -> None:
        """The list, in the order in which they came. Raises ``ModelNotFound``."""
        pools = self._state.find_pools(model)
        if not pools:
            raise ModelNotFound(model)
        document: dict[str, Any] = {
            "object": "list",
            "model": pools[0].model,
            "data": [instance for pool in pools for instance in _instances(pool)],
        }
        if not self._operators.include(req.env):
            for instance in document["data"]:
                instance["endpoint"] = None
        resp.content_type = falcon.MEDIA_JSON
        resp.set_header("cache-control", "no-store")
        resp.data = orjson.dumps(document)

    on_head = on_get


class ModelOrInstances:
    """``GET /v1/models/{model}``, and what follows the model's id.

    A model whose own id ends with "/instances" wins over the instances of another one.
    """

    def __init__(self, app: AppContext) -> None:
        self._state = app.state
        self._model = ModelResource(app)
        self._instances = InstancesResource(app)

    def on_get(self, req: falcon.Request, resp: falcon.Response, model: str) -> None:
        """As the resource that is meant. Raises ``ModelNotFound``."""
        name = model.removesuffix(SUFFIX)
        if name == model or self._state.has_model_any(model):
            self._model.on_get(req, resp, model)
        else:
            self._instances.on_get(req, resp, name)

    on_head = on_get


def _instances(pool: Pool) -> Iterator[dict[str, Any]]:
    view = pool.view()
    for instance in view.instances:
        yield instance_object(instance, view.kind, view.waiting)


def instance_object(instance: InstanceView, kind: str, waiting: int) -> dict[str, Any]:
    """One instance as JSON; ``since`` is for how many seconds it has been in its state."""
    return {
        "id": instance.id,
        "object": "instance",
        "kind": kind,
        "endpoint": without_credentials(instance.endpoint),
        "state": instance.state,
        "breaker": instance.breaker,
        "inflight": instance.inflight,
        "max_concurrency": instance.max_concurrency,
        "weight": instance.weight,
        "share": instance.share,
        "selections": instance.selections,
        "failures": instance.failures,
        "last_error": instance.last_error,
        "since": instance.since,
        "waiting": waiting,
    }


def without_credentials(endpoint: str) -> str:
    """``endpoint`` without user name, password, query and fragment: any of them may be a secret."""
    if "://" not in endpoint:
        return endpoint
    try:
        parts = urlsplit(endpoint)
    except ValueError:
        return "unreadable"
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
