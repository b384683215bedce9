"""What a conversation with etcd yields, as records and errors of our own: no type of grpc or etcd3.

gRPC's status codes are a literal table; nothing here imports grpc.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from types import MappingProxyType
from typing import Final, TypeAlias

from discovery.source import DiscoveryError

__all__ = [
    "WANTED",
    "EtcdCanceled",
    "EtcdCompacted",
    "EtcdError",
    "EtcdPlanned",
    "EtcdRefused",
    "EtcdTokenStale",
    "EtcdTooLarge",
    "EtcdUnavailable",
    "KeyValue",
    "LeaseGone",
    "Snapshot",
    "Version",
    "WatchBatch",
    "WrongLibrary",
    "check_one_distribution",
    "prefix_end",
    "translate",
]


Version: TypeAlias = tuple[int, int, int]
"""Create revision, modification revision and hash of a value: enough to see that it changed."""


@dataclass(frozen=True, slots=True)
class KeyValue:
    """One key as it stands in etcd; two equal records are the same write."""

    key: bytes
    value: bytes
    create_revision: int
    mod_revision: int

    @property
    def version(self) -> Version:
        """What to remember of it; the value itself may be a megabyte."""
        return self.create_revision, self.mod_revision, hash(self.value)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All keys under a prefix as they stood together at ``revision``."""

    revision: int
    entries: dict[bytes, KeyValue]


@dataclass(frozen=True, slots=True)
class WatchBatch:
    """What one message of a watch told: everything up to ``revision``, changes in order.

    A change is the key's new record, or the bare key if it was deleted.
    """

    revision: int
    changes: tuple[KeyValue | bytes, ...]


def prefix_end(prefix: bytes) -> bytes:
    """The first key behind all keys that begin with ``prefix``; ``\\0`` for "to the end"."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes((stem[-1] + 1,)) if stem else b"\0"


class EtcdError(DiscoveryError):
    """The base of everything that a conversation with etcd can end with.

    ``summary`` is one clause without addresses or names; ``str(self)`` adds the detail.
    """

    def __init__(self, summary: str, detail: str = "") -> None:
        super().__init__(f"{summary}: {detail}" if detail else summary)
        self.summary = summary


class EtcdUnavailable(EtcdError):
    """No one's fault: etcd is down, frozen, leaderless, or the network is. Try again later."""


class EtcdRefused(EtcdError):
    """Ours or the operator's fault: etcd understood and said no (authentication, limits)."""


class EtcdTokenStale(EtcdRefused):
    """The token that once let us in is not valid any more. Get another one."""


class EtcdTooLarge(EtcdRefused):
    """The answer was larger than we accept. Ask for less at a time."""


class EtcdCompacted(EtcdError):
    """The history that the watch asked for is gone. Take a new snapshot."""


class EtcdCanceled(EtcdError):
    """etcd ended the watch on its own account. Take a new snapshot."""


class EtcdPlanned(EtcdError):
    """The watch reached its planned age. Take a new snapshot; nothing is wrong."""


class LeaseGone(EtcdError):
    """The lease expired or was revoked; its keys are gone. Grant a new one and put them again."""


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


_log = logging.getLogger("discovery.etcd")

WANTED: Final = "cslab-etcd3"
"""The distribution this package is written for."""
_RIVALS: Final = ("etcd3", "python3-etcd3", "etcd3-rs")
"""Distributions that own the same directory."""


class WrongLibrary(DiscoveryError):
    """The package ``etcd3`` can't be imported, or it is not the one that we need."""


@contextmanager
def check_one_distribution() -> Generator[None]:
    """Import ``etcd3`` inside: failures become :class:`WrongLibrary` and name the cure."""
    rivals = [name for name in _RIVALS if _is_installed(name)]
    try:
        yield
    except (ImportError, TypeError, NameError) as error:
        raise WrongLibrary(_explain(rivals, error)) from error
    if rivals:
        _log.warning("several distributions own the package etcd3: %s", [WANTED, *rivals])


def _explain(rivals: list[str], error: Exception) -> str:
    if rivals:
        cure = f"pip uninstall {' '.join(rivals)}; pip install --force-reinstall {WANTED}"
        return f"etcd3 was installed over by {', '.join(rivals)} ({error}); run: {cure}"
    return f"the etcd client can't be imported ({error}); run: pip install {WANTED}"


def _is_installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True
