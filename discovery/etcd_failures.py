"""gRPC's status codes as this package's errors: one literal table, no import of grpc."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from discovery.errors import (
    EtcdCompacted,
    EtcdError,
    EtcdRefused,
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
_NO_LEADER: Final = "no leader"
_NO_LEASE: Final = "lease not found"
_COMPACTED: Final = "has been compacted"
_SERVER_DEADLINE: Final = "context deadline exceeded"
"""etcd saw our deadline pass before we did; it says UNKNOWN then."""


def translate(code: str, details: str, endpoint: str) -> EtcdError:
    """The error for a call to ``endpoint`` that ended with ``code`` (a name, as in UNAVAILABLE)."""
    detail = f"{endpoint} {code}: {details}"
    if _COMPACTED in details:
        return EtcdCompacted("the history was compacted", detail)
    if _NO_LEASE in details:
        return LeaseGone("the lease expired", detail)
    if _NO_LEADER in details:
        return EtcdUnavailable("etcd has no leader", detail)
    if _SERVER_DEADLINE in details:
        code = "DEADLINE_EXCEEDED"
    kind, summary = _TABLE.get(code, (EtcdUnavailable, f"etcd failed ({code})"))
    return kind(summary, detail)
