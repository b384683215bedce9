"""What a conversation with etcd yields, as records of our own: no type of grpc or etcd3. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["KeyValue", "Snapshot", "Version", "WatchBatch", "prefix_end"]

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
