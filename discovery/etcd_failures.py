"""gRPC's status codes as this package's errors: one literal table, no import of grpc."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from discovery.errors import (
    EtcdCompacted,
    EtcdError,
    EtcdRefused,
    EtcdTokenStale,
    EtcdTooLarge,
    EtcdUnavailable,
    LeaseGone,
)

__all__ = ["translate"]

_TABLE: Final = MappingProxyType(
    {
        "UNAVAILABLE": (EtcdUnavailable, "etcd can't be reached"),
        "DEADLINE_EXCEEDED": (EtcdUnavailable, "etcd does not answer"),
        "CANCELLED": (EtcdUnavailable, "the call to etcd was cancelled"),
        "UNAUTHENTICATED": (EtcdRefused, "etcd wants valid credentials"),
        "PERMISSION_DENIED": (EtcdRefused, "etcd denies access"),
        "INVALID_ARGUMENT": (EtcdRefused, "etcd rejects the request"),
        "RESOURCE_EXHAUSTED": (EtcdRefused, "etcd is at a limit"),
    }
)
_PHRASES: Final[tuple[tuple[str, type[EtcdError], str], ...]] = (
    ("has been compacted", EtcdCompacted, "the history was compacted"),
    ("lease not found", LeaseGone, "the lease expired"),
    ("no leader", EtcdUnavailable, "etcd has no leader"),
    ("invalid auth token", EtcdTokenStale, "etcd's token is not valid any more"),
    ("auth store is old", EtcdTokenStale, "etcd's token is not valid any more"),
    ("invalid user ID or password", EtcdRefused, "etcd refuses the user or the password"),
    ("user name is empty", EtcdRefused, "etcd wants a user and a password"),
    ("larger than max", EtcdTooLarge, "etcd's answer is too large"),
    ("andshake failed", EtcdUnavailable, "the TLS handshake with etcd failed"),
)
"""What etcd and gRPC say in words only, or with a code that means many things; first match wins."""
_SERVER_DEADLINE: Final = "context deadline exceeded"
"""etcd saw our deadline pass before we did; it says UNKNOWN then."""


def translate(code: str, details: str, endpoint: str) -> EtcdError:
    """The error for a call to ``endpoint`` that ended with ``code`` (a name, as in UNAVAILABLE)."""
    detail = f"{endpoint} {code}: {details}"
    for phrase, error, said in _PHRASES:
        if phrase in details:
            return error(said, detail)
    if _SERVER_DEADLINE in details:
        code = "DEADLINE_EXCEEDED"
    kind, summary = _TABLE.get(code, (EtcdUnavailable, f"etcd failed ({code})"))
    return kind(summary, detail)
