"""A memory source that is fed as etcd is: with keys and values in bytes."""

from __future__ import annotations

from discovery.codec import event_of, label_of
from discovery.memory import MemorySource

__all__ = ["KeyValueSource"]


class KeyValueSource(MemorySource):
    """Decodes at its edge, as every source does."""

    def set(self, key: bytes, value: bytes) -> None:
        self.apply(event_of(key, value))

    def delete(self, key: bytes) -> None:
        self.remove(label_of(key))
