"""What is said about a model and its instances: frozen records, valid by construction. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NoReturn

from actors.engines.dialect import Continues
from actors.suggestion import suggestion

__all__ = [
    "DEFAULT_INSTANCE_SPEC",
    "DEFAULT_MODEL_SPEC",
    "NO_TIMEOUTS",
    "HedgeAfter",
    "InstanceSpec",
    "ModelSpec",
    "PolicyName",
    "Timeouts",
]

_PERCENTILE: Final = re.compile(r"p([1-9][0-9]?(?:\.[0-9]+)?)")


class PolicyName(StrEnum):
    """How a pool chooses the instance of a request."""

    LEAST_LOADED = "least_loaded"
    """The one with the fewest requests for its weight; ties by chance. The default."""
    ROUND_ROBIN = "round_robin"
    """By turns, as often as their weights say, evenly spread."""
    POWER_OF_TWO = "power_of_two"
    """The less loaded one of two chosen by chance."""
    SESSION = "session"
    """The same one for the same session (or ``user``), while that one is not overloaded."""
    PREFIX = "prefix"
    """The same one for prompts that begin alike (its cache is warm), while not overloaded."""
    CACHE = "cache"
    """The one that was sent most of the prompt's beginning, weighed against the load."""

    @classmethod
    def _missing_(cls, value: object) -> NoReturn:
        """``PolicyName(word)`` for an unknown word: a ``ValueError`` that suggests a known one."""
        hint = suggestion(str(value), cls)
        raise ValueError(f"unknown policy {value!r:.100}: give one of {', '.join(cls)}{hint}")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds that an answer may take, ``None`` for no bound: each part, and all of it.

    ``connect`` and ``first_byte`` are before the first chunk, ``idle`` is between two chunks,
    ``total`` is from the request to the end of its answer, retries included.
    """

    connect: float | None = None
    first_byte: float | None = None
    idle: float | None = None
    total: float | None = None

    def __post_init__(self) -> None:
        for name in ("connect", "first_byte", "idle", "total"):
            value: float | None = getattr(self, name)
            if value is not None and not (0 < value < math.inf):
                raise ValueError(f"the timeout {name!r} is {value}: give seconds above 0, or none")


NO_TIMEOUTS: Final = Timeouts()
"""Nothing is bounded."""


@dataclass(frozen=True, slots=True)
class HedgeAfter:
    """When a second instance is asked: after ``seconds``, or at a ``percentile`` of first tokens.

    Exactly one of them is set; a percentile is above 0 and below 100.
    """

    seconds: float | None = None
    percentile: float | None = None

    def __post_init__(self) -> None:
        if (self.seconds is None) == (self.percentile is None):
            raise ValueError("hedge_after is either seconds or a percentile: give one of them")
        if self.seconds is not None and not (0 < self.seconds < math.inf):
            raise ValueError(f"hedge_after is {self.seconds} seconds: give more than 0")
        if self.percentile is not None and not (0 < self.percentile < 100):
            raise ValueError(f"hedge_after is the percentile {self.percentile}: give 0 < p < 100")

    @classmethod
    def of(cls, value: float | str | None) -> HedgeAfter | None:
        """Read ``0.8`` (seconds) or ``"p95"``; ``None`` for no hedging. Raises ``ValueError``."""
        if value is None:
            return None
        if not isinstance(value, str):
            return cls(seconds=float(value))
        found = _PERCENTILE.fullmatch(value)
        if found is None:
            raise ValueError(f'hedge_after is {value!r}: give seconds, or a percentile as in "p95"')
        return cls(percentile=float(found[1]))


@dataclass(frozen=True, slots=True)
class InstanceSpec:
    """What one instance says of itself.

    ``weight`` is its share beside the others. ``max_concurrency`` requests are sent to it at once,
    ``None`` for any number. A ``draining`` one gets no new request. ``endpoint`` is where it
    answers, without credentials; an instance put again with the same endpoint keeps its health.
    ``continues`` is how it goes on with an answer that another one began, ``None`` if it can't.
    """

    weight: float = 1.0
    max_concurrency: int | None = None
    draining: bool = False
    endpoint: str = ""
    continues: Continues | None = None

    def __post_init__(self) -> None:
        if not (0 < self.weight < math.inf):
            raise ValueError(f"the weight is {self.weight}: give a number above 0")
        if self.max_concurrency is not None and self.max_concurrency < 1:
            raise ValueError(f"max_concurrency is {self.max_concurrency}: give 1 or more, or none")


DEFAULT_INSTANCE_SPEC: Final = InstanceSpec()
"""An instance that says nothing of itself."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What the instances of a model say of the model; the one put last is believed.

    ``aliases`` are further names of it; ``adapters`` are too, and reach its instances as they are.
    ``fallback`` names the model that answers while this one has no instance. ``context_length``
    and ``max_output_tokens`` are in tokens, for clients to read. ``defaults`` are the fields of a
    request that lacks them. ``migration_limit`` is how often other instances go on with one answer,
    ``None`` for the service's own limit. The rest is how its pool works.
    """

    aliases: tuple[str, ...] = ()
    fallback: str | None = None
    policy: PolicyName = PolicyName.LEAST_LOADED
    timeouts: Timeouts = NO_TIMEOUTS
    hedge_after: HedgeAfter | None = None
    adapters: tuple[str, ...] = ()
    context_length: int | None = None
    max_output_tokens: int | None = None
    defaults: Mapping[str, Any] | None = None
    migration_limit: int | None = None


DEFAULT_MODEL_SPEC: Final = ModelSpec()
"""A model of which nothing is said."""
