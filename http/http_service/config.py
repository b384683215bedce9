"""The service's settings: one frozen record that is valid, or was never made.

Every default stands here once, with its unit and its reason.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, cast

__all__ = [
    "DURATION_BUCKETS",
    "INTER_TOKEN_BUCKETS",
    "RESTART_INTENSITY",
    "RESTART_PERIOD",
    "ConfigError",
    "HttpServiceConfig",
    "are_bounds",
]

MIB: Final = 1024 * 1024

MAX_PORT: Final = 65_535
MAX_THREADS: Final = 4096
"""A worker thread costs 16 KB resident and 8 MB of address space; more than this is a mistake."""

_METRIC_PREFIX: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")

# fmt: off
DURATION_BUCKETS: Final = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0
)
"""From a short response to the longest silence that is accepted of an engine."""

INTER_TOKEN_BUCKETS: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0
)
"""From a small model on a fast machine to a large one on a busy machine."""
# fmt: on

MAX_BUCKETS: Final = 64
"""Buckets of one histogram: each is a time series for each model."""

RESTART_INTENSITY: Final = 100
"""Restarts within :data:`RESTART_PERIOD`.

Far above OTP's one in five seconds: a restart here costs microseconds and loses nothing, while
giving up ends every request in flight. A part that can't live at all still uses it up at once.
"""

RESTART_PERIOD: Final = 10.0
"""Seconds over which restarts are counted."""


def are_bounds(bounds: Sequence[object]) -> bool:
    """Whether these can be a histogram's bounds: 1 to 64 rising numbers above 0."""
    numbers = [bound for bound in bounds if type(bound) is int or type(bound) is float]
    rising = all(before < after for before, after in pairwise([0.0, *numbers, math.inf]))
    return rising and len(numbers) == len(bounds) and 1 <= len(bounds) <= MAX_BUCKETS


class ConfigError(ValueError):
    """A setting has a value it can't have; the message names setting, value and what is allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpServiceConfig:
    """What an :class:`~http_service.HttpService` is built from.

    ``port`` and ``host``: where to listen; port 0 lets the system pick one.
    ``enable_chat_endpoints``, ``enable_cmpl_endpoints``: a disabled endpoint is not routed at all.
    ``metrics_prefix``: what every metric's name begins with.
    ``body_limit``: bytes; a request body of exactly this size is still accepted (Dynamo's default).
    ``body_memory``: bytes that all request bodies may hold at once; beyond it a body is refused
    with 503 before it is read. One body of ``body_limit`` always has room.
    ``drain_timeout``: seconds that requests in flight get to finish once the service stops.
    ``drain_grace``: seconds before that in which ``/ready`` is 503 and all else goes on as before.
    ``duration_buckets``: the rising bounds, in seconds, of the histograms of request durations and
    of times to the first token; for a service with a manager of its own.
    ``threads``: Waitress workers; they serve only what may have to wait, and hold no stream.
    ``ask_timeout``: seconds to wait for the registry, a restart of its actor included.
    ``engine_timeout``: the longest silence of an engine that is accepted, in seconds, before the
    first token and between two.
    ``idle_timeout``: seconds after which an idle keep-alive connection is closed.
    ``connection_limit``: open connections beyond which new ones are answered with 503 and closed.
    ``connections_per_address``: the same for one client address (an IPv6 /64 counts as one); 0
    means no limit, because behind a load balancer all connections come from its address.
    ``allowed_hosts``: names in ``Host`` beside localhost and loopback addresses that are answered,
    others get 421; empty, or with "*", for any.
    ``api_key_file``: a file of API keys, one a line, re-read on change; "" lets every client in.
    ``operator_key_file``: the same of those who may see where things run; all of these are let in.
    ``open_probes``: whether probes and metrics need no key.
    ``responses_store``: bytes of memory for responses that clients may ask for, or go on from,
    later; 0 stores none.

    Raises :class:`ConfigError` when a value is not allowed.
    """

    port: int = 8787
    host: str = "0.0.0.0"
    enable_chat_endpoints: bool = True
    enable_cmpl_endpoints: bool = True
    metrics_prefix: str = "callboard_frontend"
    body_limit: int = 45 * MIB
    body_memory: int = 256 * MIB
    # Below the 30 s that Kubernetes grants by default between SIGTERM and SIGKILL.
    drain_timeout: float = 25.0
    drain_grace: float = 0.0
    duration_buckets: tuple[float, ...] = DURATION_BUCKETS
    threads: int = 4
    ask_timeout: float = 5.0
    # A long prompt on a slow machine is minutes of silence before the first token.
    engine_timeout: float = 600.0
    # Above the 60 s at which common load balancers drop idle connections: they close first, so no
    # request of theirs meets a connection that we are just closing.
    idle_timeout: int = 75
    connection_limit: int = 10_000
    connections_per_address: int = 0
    allowed_hosts: tuple[str, ...] = ()
    api_key_file: str = ""
    operator_key_file: str = ""
    open_probes: bool = True
    responses_store: int = 0

    def __post_init__(self) -> None:
        for name, (allowed, holds) in _RULES.items():
            value = getattr(self, name)
            if not holds(value):
                raise ConfigError(f"{name} is {value!r}, but must be {allowed}")


def _is_int(low: int, high: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and low <= value <= high


def _is_seconds(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value < float("inf")


def _is_seconds_or_none_at_all(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < float("inf")


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def _is_host(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and not re.search(r"[\s/]", value)


def _is_names(value: Any) -> bool:
    names: Any = value
    return type(value) is tuple and all(isinstance(name, str) and name for name in names)


def _is_path_or_empty(value: Any) -> bool:
    return isinstance(value, str) and "\0" not in value


def _are_bounds(value: Any) -> bool:
    return isinstance(value, tuple) and are_bounds(cast("tuple[object, ...]", value))


def _is_prefix(value: Any) -> bool:
    return isinstance(value, str) and _METRIC_PREFIX.fullmatch(value) is not None


_RULES: Final[dict[str, tuple[str, Callable[[Any], bool]]]] = {
    "port": (f"a whole number from 0 to {MAX_PORT}", _is_int(0, MAX_PORT)),
    "host": ("a host name or an IP address", _is_host),
    "enable_chat_endpoints": ("True or False", _is_bool),
    "enable_cmpl_endpoints": ("True or False", _is_bool),
    "metrics_prefix": ("letters, digits and _, not beginning with a digit", _is_prefix),
    "duration_buckets": (
        f"a tuple of 1 to {MAX_BUCKETS} rising numbers of seconds above 0",
        _are_bounds,
    ),
    "body_limit": ("a number of bytes, 1 or more", _is_int(1, 1 << 40)),
    "body_memory": ("a number of bytes, 1 or more", _is_int(1, 1 << 50)),
    "drain_grace": ("a number of seconds, 0 or more", _is_seconds_or_none_at_all),
    "drain_timeout": ("a number of seconds, 0 or more", _is_seconds_or_none_at_all),
    "threads": (f"a whole number from 1 to {MAX_THREADS}", _is_int(1, MAX_THREADS)),
    "ask_timeout": ("a number of seconds above 0", _is_seconds),
    "engine_timeout": ("a number of seconds above 0", _is_seconds),
    "idle_timeout": ("a whole number of seconds, 1 or more", _is_int(1, 86_400)),
    "connection_limit": ("a whole number, 1 or more", _is_int(1, 1_000_000)),
    "connections_per_address": ("a whole number, 0 or more", _is_int(0, 1_000_000)),
    "allowed_hosts": ("a tuple of host names", _is_names),
    "api_key_file": ("the path of a file, or empty", _is_path_or_empty),
    "operator_key_file": ("the path of a file, or empty", _is_path_or_empty),
    "open_probes": ("True or False", _is_bool),
    "responses_store": ("a number of bytes, 0 or more", _is_int(0, 1 << 50)),
}
