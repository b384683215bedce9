"""What an operator does to one instance: drain, undrain, weight, eject, readmit.

"Here" is an override of this front-end's pool, which ends with the process. "Everywhere" is written
to the source that announced the instance, and every front-end follows; the override stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Final, TypeAlias

import falcon
from msgspec import Meta, Struct

from actors.engines.pool import Overrides, Pool, UnknownInstance
from actors.registry.catalog import ModelNotFound
from http_service.admin.audit import audited
from http_service.admin.parts import PREFIX, CantRewrite, Moved, Parts
from http_service.admin.requesting import body_as, on_worker, raw_path, write
from http_service.api.context import AppContext
from http_service.errors import InvalidValue

__all__ = ["VERBS", "Change", "Changed", "InstanceActionResource", "Weighing"]


class Change(Struct, forbid_unknown_fields=True):
    """Whether the change is written to the source, for all front-ends, and not only made here."""

    everywhere: bool = False


class Weighing(Struct, forbid_unknown_fields=True):
    """The weight that an instance gets; ``null``: the one that it announces itself."""

    weight: Annotated[float, Meta(gt=0, le=1_000_000)] | None
    everywhere: bool = False


class Changed(Struct):
    """What a change found, and what it left."""

    before: dict[str, Any]
    after: dict[str, Any]


EVERYWHERE: Final[Mapping[str, Callable[[Any], Mapping[str, Any]]]] = {
    "drain": lambda _body: {"state": "draining"},
    "undrain": lambda _body: {"state": "serving"},
    "weight": lambda body: {"weight": body.weight},
}
"""What is written to the source, by the word behind the colon."""

Act: TypeAlias = Callable[[Pool, str, Any], tuple[Overrides, Overrides]]


def _set(pool: Pool, id_: str, _body: Any, **fields: bool) -> tuple[Overrides, Overrides]:
    return pool.override(id_, lambda now: replace(now, **fields))


def _weigh(pool: Pool, id_: str, body: Weighing) -> tuple[Overrides, Overrides]:
    return pool.override(id_, lambda now: replace(now, weight=body.weight))


def _readmit(pool: Pool, id_: str, _body: Any) -> tuple[Overrides, Overrides]:
    return pool.readmit(id_)


VERBS: Final[Mapping[str, tuple[type[Struct], Act, str]]] = {
    "drain": (Change, partial(_set, drained=True), "Give an instance no new request"),
    "undrain": (Change, partial(_set, drained=False), "Give it requests again"),
    "weight": (Weighing, _weigh, "Set its share of the requests"),
    "eject": (Change, partial(_set, ejected=True), "Ask it only where no other is left"),
    "readmit": (Change, _readmit, "Take it back, however it was ejected"),
}
"""What can be done, by the word behind the colon: the body, what to do, and what that means."""

_PATH: Final = re.compile(r"(?P<id>.*):(?P<verb>[a-z]+)", re.DOTALL)


class InstanceActionResource:
    """``POST …/instances/{kind}/{model}/{id}:{verb}``; each part is encoded by itself."""

    def __init__(self, parts: Parts, app: AppContext) -> None:
        self._state = app.state
        self._rewrite = parts.subject.rewrite
        self._prefix = f"{PREFIX}/instances"

    def on_post(self, req: falcon.Request, resp: falcon.Response, **_fields: str) -> None:
        """Do it, and answer with the overrides before and after. Raises what is wrong."""
        kind, model, last = self._named(req)
        match = _PATH.fullmatch(last)
        if match is None or match["verb"] not in VERBS:
            raise falcon.HTTPNotFound(description=_unknown_verb())
        schema, act, _ = VERBS[match["verb"]]
        body: Any = body_as(req, schema)
        pool = self._pool(kind, model)
        if body.everywhere:
            write(resp, audited(req, *self._everywhere(pool, match["id"], match["verb"], body)))
            return
        try:
            before, after = act(pool, match["id"], body)
        except UnknownInstance:
            raise falcon.HTTPNotFound(description=_no_instance(kind, model)) from None
        write(resp, audited(req, _document(before), _document(after)))

    def _everywhere(
        self, pool: Pool, id_: str, verb: str, body: Any
    ) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Write to the source; the fields before and after."""
        fields_of = EVERYWHERE.get(verb)
        if fields_of is None:
            raise InvalidValue(
                "An ejection is one front-end's own: leave out everywhere", "everywhere"
            )
        if id_ not in pool:
            raise falcon.HTTPNotFound(description=_no_instance(pool.kind, pool.model))
        on_worker()
        fields = fields_of(body)
        try:
            return self._rewrite(pool.kind, pool.model, id_, fields), fields
        except Moved as error:
            raise falcon.HTTPConflict(description=str(error)) from error
        except CantRewrite as error:
            raise InvalidValue(str(error), "everywhere") from error

    def _named(self, req: falcon.Request) -> tuple[str, str, str]:
        """The kind, the model, and the rest of the path."""
        parts = raw_path(req, self._prefix)
        if len(parts) != 3:
            raise falcon.HTTPNotFound(
                description="Give the kind, the model and the instance, each percent-encoded: "
                "instances/chat/team%2Fmodel/worker-1:drain"
            )
        return parts[0], parts[1], parts[2]

    def _pool(self, kind: str, model: str) -> Pool:
        pools = self._state.find_pools(model)
        pool = next((each for each in pools if each.kind.value == kind), None)
        if pool is None:
            raise ModelNotFound(model)
        return pool


def _document(overrides: Overrides) -> dict[str, Any]:
    return {
        "drained": overrides.drained,
        "ejected": overrides.ejected,
        "weight": overrides.weight,
    }


def _unknown_verb() -> str:
    return f"What can be done to an instance: {', '.join(VERBS)}."


def _no_instance(kind: str, model: str) -> str:
    return f"The model {model[:200]!r} has no such instance as {kind} model; it may just have left."
