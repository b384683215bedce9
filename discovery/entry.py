"""The entry: one announced instance of a model, as a record that is valid or does not exist. Pure.

What each field means to an operator stands in ``discovery.codec``, beside the field of the value
that it comes from; the limits stand in ``discovery.rules``. ``discovery.codec`` reads and writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

from actors.engines.contract import Kind
from actors.engines.dialect import Continues, KeyHeader, Spoken
from actors.engines.pool import (
    DEFAULT_MODEL_SPEC,
    HedgeAfter,
    InstanceSpec,
    ModelSpec,
    PolicyName,
    Timeouts,
)
from discovery.rules import (
    MAX_CONCURRENCY,
    MAX_PERCENTILE,
    MAX_TIMEOUT,
    MAX_TOKENS,
    MAX_WEIGHT,
    check_adapters,
    check_aliases,
    check_defaults,
    check_fallback,
    check_key_variable,
    check_migration_limit,
    check_name,
    check_number,
    check_url,
)

__all__ = [
    "NO_TIMEOUTS",
    "Entry",
    "EntryTimeouts",
    "Quarantined",
    "State",
    "Unary",
    "instance_spec",
    "model_spec",
]

State: TypeAlias = Literal["serving", "draining"]
"""``draining``: requests in flight finish, no new one is sent."""
Unary: TypeAlias = Literal["pass", "fold"]
"""An answer in one piece is passed through, or put together from a stream."""

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class EntryTimeouts:
    """Deadlines in seconds, each above 0 and at most a day; ``None`` is the front-end's default."""

    connect: float | None = None
    first_byte: float | None = None
    idle: float | None = None
    total: float | None = None

    def __post_init__(self) -> None:
        for each in fields(self):
            seconds: float | None = getattr(self, each.name)
            if seconds is not None:
                check_number(seconds, f"timeouts.{each.name}", MAX_TIMEOUT)


NO_TIMEOUTS: Final = EntryTimeouts()
"""Every deadline is the front-end's default. PERF: shared by the entries that say nothing."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One announced instance of a model, valid by construction (``ValueError`` otherwise).

    ``url`` is the base URL of an OpenAI-compatible server, ``/v1`` included. ``instance`` is empty
    in the one-instance form. ``metadata`` is the announcer's own; treat it, and ``defaults``, as
    read-only.
    ``unknown`` names the fields of the value that are not known here; two entries that differ in
    nothing else are equal.
    """

    kind: Kind
    name: str
    url: str
    instance: str = ""
    aliases: tuple[str, ...] = ()
    fallback: str | None = None
    max_concurrency: int | None = None
    weight: float = 1.0
    unary: Unary = "pass"
    speaks: tuple[Spoken, ...] = ()
    continues: Continues | None = None
    timeouts: EntryTimeouts = NO_TIMEOUTS
    state: State = "serving"
    policy: PolicyName | None = None
    hedge_after: float | None = None
    migration_limit: int | None = None
    api_key_env: str | None = None
    api_key_header: KeyHeader = "authorization"
    adapters: tuple[str, ...] = ()
    context_length: int | None = None
    max_output_tokens: int | None = None
    defaults: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    metadata: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    unknown: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        check_name(self.name, "model name")
        if self.instance:
            check_name(self.instance, "instance")
        check_url(self.url)
        check_number(self.weight, "weight", MAX_WEIGHT)
        if self.max_concurrency is not None:
            check_number(self.max_concurrency, "max_concurrency", MAX_CONCURRENCY)
        if self.api_key_env is not None:
            check_key_variable(self.api_key_env)
        self._check_model()

    def _check_model(self) -> None:
        """What is about the whole model."""
        if self.hedge_after is not None:
            check_number(self.hedge_after, "hedge_after", MAX_PERCENTILE)
        if self.migration_limit is not None:
            check_migration_limit(self.migration_limit)
        if self.aliases:
            check_aliases(self.aliases, self.name)
        if self.fallback is not None:
            check_fallback(self.fallback, self.name)
        if self.adapters:
            check_adapters(self.adapters, self.name, self.aliases)
        if self.context_length is not None:
            check_number(self.context_length, "context_length", MAX_TOKENS)
        if self.max_output_tokens is not None:
            check_number(self.max_output_tokens, "max_output_tokens", MAX_TOKENS)
        if self.defaults:
            check_defaults(self.defaults)


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A key whose value can't be used, and why, in a sentence for the operator."""

    key: bytes
    reason: str


def instance_spec(entry: Entry) -> InstanceSpec:
    """What concerns this instance alone."""
    return InstanceSpec(
        weight=entry.weight,
        max_concurrency=entry.max_concurrency,
        draining=entry.state == "draining",
        endpoint=entry.url,
        continues=entry.continues,
    )


def model_spec(entry: Entry) -> ModelSpec:
    """What concerns the whole model. PERF: most entries say nothing of it, and share that."""
    timeouts = entry.timeouts
    said = ModelSpec(
        aliases=entry.aliases,
        fallback=entry.fallback,
        policy=entry.policy or DEFAULT_MODEL_SPEC.policy,
        timeouts=DEFAULT_MODEL_SPEC.timeouts
        if timeouts == NO_TIMEOUTS
        else Timeouts(timeouts.connect, timeouts.first_byte, timeouts.idle, timeouts.total),
        hedge_after=None if entry.hedge_after is None else HedgeAfter(percentile=entry.hedge_after),
        adapters=entry.adapters,
        context_length=entry.context_length,
        max_output_tokens=entry.max_output_tokens,
        defaults=entry.defaults or None,
        migration_limit=entry.migration_limit,
    )
    return DEFAULT_MODEL_SPEC if said == DEFAULT_MODEL_SPEC else said
