"""The entry codec: what a worker writes under one key, checked field by field. Pure.

Keys: ``{root}/models/{type}/{model}`` (one instance) and the same with ``#{instance}`` at the end
(several); model names may contain "/", neither name may contain "#". The value is a JSON object
(``discovery.codec``); unknown fields pass, and are named by :attr:`Entry.unknown`.

Invariants: the key follows from the entry and from nothing else, and :func:`decode` never raises:
whatever breaks a rule becomes a :class:`Quarantined` with a reason that an operator can act on and
that repeats no password.
"""

from __future__ import annotations

import hashlib
from types import MappingProxyType
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from actors.engines.contract import Kind
from actors.engines.dialect import WORDS, Continues, KeyHeader, spoken
from actors.engines.pool import PolicyName
from discovery.entry import NO_TIMEOUTS, Entry, EntryTimeouts, Quarantined, State, Unary
from discovery.rules import (
    KEY_VARIABLE,
    MAX_ADAPTERS,
    MAX_ALIASES,
    MAX_CONCURRENCY,
    MAX_MIGRATIONS,
    MAX_NAME,
    MAX_PERCENTILE,
    MAX_TIMEOUT,
    MAX_TOKENS,
    MAX_URL,
    MAX_WEIGHT,
    check_size,
    shown,
)
from discovery.source import Put, Unusable

__all__ = [
    "MAX_LABEL",
    "WireEndpoint",
    "WireTimeouts",
    "WireValue",
    "decode",
    "encode",
    "event_of",
    "key_for",
    "key_of",
    "kind_of",
    "label_of",
    "prefix_of",
    "schema",
    "unknown_fields",
]

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
    speaks: Annotated[
        list[str] | None,
        _says(
            "Dialects beside chat completions that this server speaks well: a client of such a "
            "dialect is passed through to it, to any other server it is translated. And how it "
            "can be asked to count a prompt's tokens.",
            items={"enum": [*WORDS]},
        ),
    ] = None
    continues: Annotated[
        str | None,
        _says(
            "How this server goes on with an answer that another one began and could not finish: "
            "prefill (it continues a last message of the assistant), continue_final_message (the "
            "same where the request says so: vLLM, SGLang), prompt (completions only).",
            enum=[*Continues, None],
        ),
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
    migration_limit: Annotated[
        int | None,
        _says(
            "How often other instances go on with one answer; 0: never.",
            minimum=0,
            maximum=MAX_MIGRATIONS,
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
    api_key_header: Annotated[
        KeyHeader | None,
        _says("Where the server reads its key: a bearer token in Authorization, or x-api-key."),
    ] = None
    adapters: Annotated[
        list[str] | None,
        _says(
            "Names of LoRA adapters that the server has: requests for them reach it as they are.",
            maxItems=MAX_ADAPTERS,
            uniqueItems=True,
        ),
    ] = None
    context_length: Annotated[
        int | None, _says("Tokens of prompt and answer together.", **_above_zero(MAX_TOKENS))
    ] = None
    max_output_tokens: Annotated[
        int | None, _says("Tokens of an answer at most.", **_above_zero(MAX_TOKENS))
    ] = None
    defaults: Annotated[
        dict[str, Any] | None, _says("Fields of a request, filled in where it lacks them.")
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


MAX_LABEL: Final = 200
"""Characters of a key that are kept for display; etcd allows keys of a megabyte."""
_DIGEST: Final = 8
"""Bytes of the digest that tells two over-long keys apart."""
_KINDS: Final = MappingProxyType(
    {**{str(kind): kind for kind in Kind}, "completion": Kind.COMPLETIONS}
)
"""What ``model_type`` may say, in lower case; the singular is Dynamo's."""
_BY_NAME: Final = MappingProxyType({str(kind): kind for kind in Kind})
"""What a key may say. PERF: looking through the enumeration costs more than the rest of the key."""
_DECODER: Final = msgspec.json.Decoder(WireValue)
_ENCODER: Final = msgspec.json.Encoder()


def prefix_of(root: str) -> bytes:
    """The prefix that all entries under ``root`` share, for the watch."""
    return f"{root.rstrip('/')}/models/".encode()


def key_of(entry: Entry, root: str = "") -> bytes:
    """The one key under which ``entry`` may stand."""
    return key_for(entry.kind, entry.name, entry.instance, root)


def key_for(kind: str, name: str, instance: str, root: str = "") -> bytes:
    """The key of an entry of which only this much is known."""
    return prefix_of(root) + f"{kind}/{name}{f'#{instance}' if instance else ''}".encode()


def kind_of(model_type: str) -> Kind | None:
    """What a ``model_type`` means, ``None`` if nothing."""
    return _KINDS.get(model_type.lower())


def encode(entry: Entry, root: str = "") -> tuple[bytes, bytes]:
    """Key and value for ``entry``; ``decode`` gives back an equal one.

    Raises ``ValueError`` if the metadata is not JSON or makes the value larger than
    ``MAX_VALUE_BYTES``.
    """
    times = entry.timeouts
    value = WireValue(
        name=entry.name,
        model_type=str(entry.kind),
        endpoint=WireEndpoint(entry.url),
        instance=entry.instance or None,
        aliases=[*entry.aliases] or None,
        fallback=entry.fallback,
        max_concurrency=entry.max_concurrency,
        weight=None if entry.weight == 1.0 else entry.weight,
        unary=None if entry.unary == "pass" else entry.unary,
        speaks=[*entry.speaks] or None,
        continues=entry.continues,
        timeouts=None
        if times == NO_TIMEOUTS
        else WireTimeouts(times.connect, times.first_byte, times.idle, times.total),
        state=None if entry.state == "serving" else entry.state,
        policy=entry.policy,
        hedge_after=entry.hedge_after,
        migration_limit=entry.migration_limit,
        api_key_env=entry.api_key_env,
        api_key_header=None if entry.api_key_header == "authorization" else entry.api_key_header,
        adapters=[*entry.adapters] or None,
        context_length=entry.context_length,
        max_output_tokens=entry.max_output_tokens,
        defaults=dict(entry.defaults) or None,
        metadata=dict(entry.metadata) or None,
    )
    try:
        encoded = _ENCODER.encode(value)
    except (TypeError, RecursionError) as error:
        raise ValueError(f"the metadata can't be written as JSON: {error}") from None
    check_size(encoded)
    return key_of(entry, root), encoded


def decode(key: bytes, value: bytes, root: str = "") -> Entry | Quarantined:
    """What stands under ``key``: an entry, or why it is none. Never raises."""
    try:
        kind, name, instance = _read_key(key, root)
        wire = _read_value(value)
        return _entry(wire, kind, name, instance, unknown_fields(value))
    except ValueError as error:  # msgspec's errors and UnicodeDecodeError are ValueErrors
        return Quarantined(key, str(error))


def event_of(key: bytes, value: bytes, root: str = "") -> Put | Unusable:
    """What a source delivers for ``value`` under ``key``. Never raises."""
    found = decode(key, value, root)
    if isinstance(found, Quarantined):
        return Unusable(label_of(key), found.reason)
    return Put(label_of(key), found)


def _read_key(key: bytes, root: str) -> tuple[Kind, str, str]:
    """Kind, model and instance (may be empty) that the key names."""
    prefix = prefix_of(root)
    if not key.startswith(prefix):
        raise ValueError(f"the key doesn't begin with {prefix.decode()!r}")
    said, slash, rest = _text(key[len(prefix) :], "key").partition("/")
    kind = _BY_NAME.get(said)
    if kind is None or not slash:
        raise ValueError(f"the key names no model type ({', '.join(Kind)}) but {shown(said)}")
    name, separator, instance = rest.partition("#")
    if separator and not instance:
        raise ValueError("the key ends with '#' but names no instance")
    return kind, name, instance


def _read_value(value: bytes) -> WireValue:
    check_size(value)
    _text(value, "value")
    try:
        return _DECODER.decode(value)
    except msgspec.ValidationError as error:
        raise ValueError(f"the value breaks the schema: {str(error)[:MAX_NAME]}") from None
    except msgspec.DecodeError as error:
        raise ValueError(f"the value is not JSON: {str(error)[:MAX_NAME]}") from None
    except RecursionError:
        raise ValueError("the value is nested too deep") from None


def _entry(
    value: WireValue, kind: Kind, name: str, instance: str, unknown: tuple[str, ...]
) -> Entry:
    """The entry, if what the value says agrees with what its key says."""
    _check_agreement(value, kind, name, instance)
    times = value.timeouts
    return Entry(
        kind=kind,
        name=name,
        url=value.endpoint.url,
        instance=instance,
        aliases=tuple(value.aliases or ()),
        fallback=value.fallback,
        max_concurrency=value.max_concurrency,
        weight=1.0 if value.weight is None else value.weight,
        unary=value.unary or "pass",
        speaks=tuple(map(spoken, dict.fromkeys(value.speaks))) if value.speaks else (),
        continues=None if value.continues is None else Continues(value.continues),
        timeouts=NO_TIMEOUTS
        if times is None
        else EntryTimeouts(times.connect, times.first_byte, times.idle, times.total),
        state=value.state or "serving",
        policy=None if value.policy is None else PolicyName(value.policy),
        hedge_after=value.hedge_after,
        migration_limit=value.migration_limit,
        api_key_env=value.api_key_env,
        api_key_header=value.api_key_header or "authorization",
        adapters=tuple(value.adapters or ()),
        context_length=value.context_length,
        max_output_tokens=value.max_output_tokens,
        defaults=MappingProxyType(value.defaults or {}),
        metadata=MappingProxyType(value.metadata or {}),
        unknown=unknown,
    )


def _check_agreement(value: WireValue, kind: Kind, name: str, instance: str) -> None:
    if value.name != name:
        raise ValueError(f"the key says model {shown(name)}, the value {shown(value.name)}")
    said = kind_of(value.model_type)
    if said is None:
        raise ValueError(f"model_type {shown(value.model_type)} is none of {', '.join(Kind)}")
    if said is not kind:
        raise ValueError(f"the key says model type '{kind}', the value '{said}'")
    if (value.instance or instance) != instance:
        raise ValueError(
            f"the key says instance {shown(instance)}, the value {shown(value.instance or '')}"
        )


def _text(data: bytes, what: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"the {what} is not UTF-8 (byte {error.start})") from None


def label_of(key: bytes) -> str:
    """``key`` as a text to show: printable, bounded, and still one label for one key."""
    text = key.decode(errors="replace")
    plain = "\\" not in text and text.isprintable() and text.encode() == key
    shown = text if plain else repr(key)[2:-1]  # which holds a backslash, so it's no other's text
    if len(shown) <= MAX_LABEL:
        return shown
    digest = hashlib.blake2b(key, digest_size=_DIGEST).hexdigest()
    return f"{shown[:MAX_LABEL]}…{digest}"
