"""The entry codec: what a worker writes under one key, checked field by field. Pure.

Keys: ``{root}/models/{chat|completions}/{model}`` (one instance) and the same with
``#{instance}`` at the end (several); model names may contain "/", neither name may contain "#".

Value, a JSON object (unknown fields are ignored)::

    {"name": "...", "model_type": "chat", "endpoint": {"url": "http://10.0.0.7:8000/v1"},
     "instance"?: "...", "max_concurrency"?: 8, "weight"?: 1.0, "unary"?: "pass" | "fold",
     "metadata"?: {...}}

Invariants: an :class:`Entry` that exists is valid, its key follows from it and from nothing else,
and :func:`decode` never raises: whatever breaks a rule becomes a :class:`Quarantined` with a
reason that an operator can act on and that repeats no password.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal

import msgspec

from actors.engines.contract import Kind
from discovery.rules import (
    MAX_CONCURRENCY,
    MAX_NAME,
    MAX_WEIGHT,
    check_name,
    check_number,
    check_size,
    check_url,
    shown,
)

__all__ = ["Entry", "Quarantined", "decode", "encode", "key_of", "prefix_of"]

_KINDS: Final = MappingProxyType(
    {
        "chat": Kind.CHAT,
        "completion": Kind.COMPLETIONS,
        "completions": Kind.COMPLETIONS,
    }
)
"""What ``model_type`` may say, in lower case."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One announced instance of a model, valid by construction (``ValueError`` otherwise).

    ``url`` is the base URL of an OpenAI-compatible server, ``/v1`` included. ``instance`` is empty
    in the one-instance form. ``unary`` says how an answer in one piece is obtained: passed through
    or folded from a stream. ``metadata`` is the announcer's own; treat it as read-only.
    """

    kind: Kind
    name: str
    url: str
    instance: str = ""
    max_concurrency: int | None = None
    weight: float = 1.0
    unary: Literal["pass", "fold"] = "pass"
    metadata: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        check_name(self.name, "model name")
        if self.instance:
            check_name(self.instance, "instance")
        check_url(self.url)
        if self.max_concurrency is not None:
            check_number(self.max_concurrency, "max_concurrency", MAX_CONCURRENCY)
        check_number(self.weight, "weight", MAX_WEIGHT)


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A key whose value can't be used, and why, in a sentence for the operator."""

    key: bytes
    reason: str


class _Endpoint(msgspec.Struct):
    url: str


class _Value(msgspec.Struct, omit_defaults=True):
    """The value as it stands in etcd; msgspec checks presence and types."""

    name: str
    model_type: str
    endpoint: _Endpoint
    instance: str | None = None
    max_concurrency: int | None = None
    weight: float | None = None
    unary: Literal["pass", "fold"] | None = None
    metadata: dict[str, Any] | None = None


_DECODER: Final = msgspec.json.Decoder(_Value)
_ENCODER: Final = msgspec.json.Encoder()


def prefix_of(root: str) -> bytes:
    """The prefix that all entries under ``root`` share, for the watch."""
    return f"{root.rstrip('/')}/models/".encode()


def key_of(entry: Entry, root: str = "") -> bytes:
    """The one key under which ``entry`` may stand."""
    instance = f"#{entry.instance}" if entry.instance else ""
    return prefix_of(root) + f"{entry.kind}/{entry.name}{instance}".encode()


def encode(entry: Entry, root: str = "") -> tuple[bytes, bytes]:
    """Key and value for ``entry``; ``decode`` gives back an equal one.

    Raises ``ValueError`` if the metadata is no JSON or makes the value larger than
    ``MAX_VALUE_BYTES``.
    """
    value = _Value(
        name=entry.name,
        model_type=str(entry.kind),
        endpoint=_Endpoint(entry.url),
        instance=entry.instance or None,
        max_concurrency=entry.max_concurrency,
        weight=None if entry.weight == 1.0 else entry.weight,
        unary=None if entry.unary == "pass" else entry.unary,
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
        return _entry(_read_value(value), kind, name, instance)
    except ValueError as error:  # msgspec's errors and UnicodeDecodeError are ValueErrors
        return Quarantined(key, str(error))


def _read_key(key: bytes, root: str) -> tuple[Kind, str, str]:
    """Kind, model and instance (may be empty) that the key names."""
    prefix = prefix_of(root)
    if not key.startswith(prefix):
        raise ValueError(f"the key doesn't begin with {prefix.decode()!r}")
    kind, slash, rest = _text(key[len(prefix) :], "key").partition("/")
    if kind not in {*Kind} or not slash:
        raise ValueError(f"the key names no model type ({', '.join(Kind)}) but {shown(kind)}")
    name, separator, instance = rest.partition("#")
    if separator and not instance:
        raise ValueError("the key ends with '#' but names no instance")
    return Kind(kind), name, instance


def _read_value(value: bytes) -> _Value:
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


def _entry(value: _Value, kind: Kind, name: str, instance: str) -> Entry:
    """The entry, if what the value says agrees with what its key says."""
    if value.name != name:
        raise ValueError(f"the key says model {shown(name)}, the value {shown(value.name)}")
    said = _KINDS.get(value.model_type.lower())
    if said is None:
        raise ValueError(f"model_type {shown(value.model_type)} is none of {', '.join(Kind)}")
    if said is not kind:
        raise ValueError(f"the key says model type '{kind}', the value '{said}'")
    if (value.instance or instance) != instance:
        raise ValueError(
            f"the key says instance {shown(instance)}, the value {shown(value.instance or '')}"
        )
    return Entry(
        kind=kind,
        name=name,
        url=value.endpoint.url,
        instance=instance,
        max_concurrency=value.max_concurrency,
        weight=1.0 if value.weight is None else value.weight,
        unary=value.unary or "pass",
        metadata=MappingProxyType(value.metadata or {}),
    )


def _text(data: bytes, what: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"the {what} is not UTF-8 (byte {error.start})") from None
