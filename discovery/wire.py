"""The value as it stands in etcd: every field once, with what it means to who writes it. Pure.

msgspec checks presence and types while it parses; ``discovery.entry`` checks the rest, in words an
operator can act on. What the schema says of ranges (``extra_json_schema``) comes from the same
constants as those checks. :func:`schema` is what ``docs/reference/discovery.md`` shows.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from actors.engines.pool import PolicyName
from discovery.entry import State, Unary
from discovery.rules import (
    KEY_VARIABLE,
    MAX_ALIASES,
    MAX_CONCURRENCY,
    MAX_NAME,
    MAX_PERCENTILE,
    MAX_TIMEOUT,
    MAX_URL,
    MAX_WEIGHT,
)

__all__ = ["WireEndpoint", "WireTimeouts", "WireValue", "schema", "unknown_fields"]

_NAME: Final = {"minLength": 1, "maxLength": MAX_NAME, "pattern": r"^[^#\s]+$"}
MAX_UNKNOWN: Final = 10
"""Unknown fields of one value that are listed."""
MAX_SHOWN: Final = 60
"""Characters of an unknown field's name that are listed."""


def _says(description: str, **limits: Any) -> Meta:
    """The field's line in the schema; ``limits`` are for readers, ``discovery.entry`` checks."""
    return Meta(description=description, extra_json_schema=limits or None)


def _above_zero(most: float) -> dict[str, Any]:
    return {"exclusiveMinimum": 0, "maximum": most}


Seconds = Annotated[float | None, _says("Seconds.", **_above_zero(MAX_TIMEOUT))]


class WireEndpoint(msgspec.Struct):
    """Where the instance listens."""

    url: Annotated[
        str,
        _says(
            "Base URL of an OpenAI-compatible server, /v1 included; http or https, no user name, "
            "query or fragment in it.",
            format="uri",
            maxLength=MAX_URL,
        ),
    ]


class WireTimeouts(msgspec.Struct, omit_defaults=True):
    """Deadlines; what is left out is the front-end's default."""

    connect: Seconds = None
    first_byte: Seconds = None
    idle: Seconds = None
    total: Seconds = None


class WireValue(msgspec.Struct, omit_defaults=True):
    """One instance of a model. Unknown fields are allowed, and listed by /health."""

    name: Annotated[str, _says("The model's name; must be the key's.", **_NAME)]
    model_type: Annotated[
        str, _says("chat or completions, in any case; must be the key's.", examples=["chat"])
    ]
    endpoint: WireEndpoint
    instance: Annotated[
        str | None, _says("If it is there, it must be the key's.", maxLength=MAX_NAME)
    ] = None
    aliases: Annotated[
        list[str] | None, _says("Other names of the model.", maxItems=MAX_ALIASES, uniqueItems=True)
    ] = None
    fallback: Annotated[
        str | None, _says("The model that answers while this one has no instance.")
    ] = None
    max_concurrency: Annotated[
        int | None, _says("Requests in flight to this instance.", **_above_zero(MAX_CONCURRENCY))
    ] = None
    weight: Annotated[
        float | None, _says("Share of the requests, relative to 1.", **_above_zero(MAX_WEIGHT))
    ] = None
    unary: Annotated[
        Unary | None,
        _says("fold: ask for streams only and put answers in one piece together in the front-end."),
    ] = None
    timeouts: WireTimeouts | None = None
    state: Annotated[
        State | None, _says("draining: no new request is sent, those in flight finish.")
    ] = None
    policy: Annotated[
        str | None, _says("How the model's instances share its requests.", enum=[*PolicyName, None])
    ] = None
    hedge_after: Annotated[
        float | None,
        _says(
            "Percentile of the latency after which a second instance is asked too.",
            **_above_zero(MAX_PERCENTILE),
        ),
    ] = None
    api_key_env: Annotated[
        str | None,
        _says(
            "Name of the front-end's environment variable that holds the bearer key for this "
            "instance; never the key itself.",
            pattern=f"^{KEY_VARIABLE}$",
        ),
    ] = None
    metadata: Annotated[dict[str, Any] | None, _says("For you; kept and not read.")] = None


_KNOWN: Final = frozenset(WireValue.__struct_fields__)
_PARTS: Final = {
    "endpoint": frozenset(WireEndpoint.__struct_fields__),
    "timeouts": frozenset(WireTimeouts.__struct_fields__),
}
_NAMES: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NULL: Final = b"null"


def unknown_fields(value: bytes) -> tuple[str, ...]:
    """The fields of a value that no :class:`WireValue` has, nested ones as ``endpoint.port``.

    At most ``MAX_UNKNOWN``, each cut to ``MAX_SHOWN`` characters. ``value`` was decoded before.
    """
    found = _NAMES.decode(value)
    strange = [name for name in found if name not in _KNOWN]
    for part, known in _PARTS.items():
        raw = found.get(part)
        if raw is not None and bytes(raw) != _NULL:
            strange += [f"{part}.{name}" for name in _NAMES.decode(raw) if name not in known]
    return tuple(ascii(name[:MAX_SHOWN])[1:-1] for name in strange[:MAX_UNKNOWN])


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a value."""
    (body,), parts = msgspec.json.schema_components([WireValue], ref_template="#/$defs/{name}")
    top = parts.pop(body["$ref"].rpartition("/")[2])
    top.pop("title", None)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Callboard entry",
        **top,
        "$defs": parts,
    }
