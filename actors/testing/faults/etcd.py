"""Faults of etcd, through a handle: this module knows no etcd library.

Give them any object with the methods of :class:`EtcdHandle`; a subprocess and the JSON gateway are
enough to write one. ``happened`` counts calls of the handle that have returned: for garbage each
entry, for the others each injection.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from actors.testing.faults.fault import Fault

__all__ = [
    "GARBAGE",
    "EtcdCompaction",
    "EtcdFreeze",
    "EtcdGarbage",
    "EtcdHandle",
    "EtcdKill",
    "EtcdLeaseExpiry",
    "EtcdWiped",
]


GARBAGE: Mapping[bytes, bytes] = {
    b"not-json": b"{not json",
    b"not-an-object": b"[1, 2, 3]",
    b"wrong-type": b'{"name": 7, "model_type": [], "endpoint": "there"}',
    b"empty": b"",
    b"not-utf-8": b"\xff\xfe\xfd",
    b"deep": b"[" * 100_000,
    b"large": b'"' + b"x" * 1_400_000 + b'"',
    b"\xff\xc3": b'{"name": "key that is not text"}',
}
"""Last parts of keys, and values, that no reader should choke on."""


class EtcdHandle(Protocol):
    """What the faults need of an etcd: its process and its keys."""

    def kill(self) -> None:
        """SIGKILL it and wait for its end."""
        ...

    def start(self) -> None:
        """Start it at the same address with what data there are; return when it answers."""
        ...

    def freeze(self) -> None:
        """SIGSTOP it."""
        ...

    def thaw(self) -> None:
        """SIGCONT it."""
        ...

    def wipe(self) -> None:
        """Remove the data of an etcd that does not run."""
        ...

    def compact(self) -> None:
        """Throw all history away."""
        ...

    def put(self, key: bytes, value: bytes, /) -> Any:
        """Set a key."""
        ...

    def delete(self, key: bytes, /) -> Any:
        """Remove a key."""
        ...

    def revoke(self, lease: int, /) -> Any:
        """End a lease, and with it its keys."""
        ...


class EtcdKill(Fault):
    """SIGKILL, and a start with the old data on healing. Imitates a member that crashed."""

    def __init__(self, etcd: EtcdHandle) -> None:
        super().__init__()
        self._etcd = etcd

    def _inject(self) -> None:
        self._etcd.kill()
        self.happened += 1

    def _heal(self) -> None:
        self._etcd.start()


class EtcdFreeze(Fault):
    """SIGSTOP, and SIGCONT on healing. Imitates a disk that hangs: TCP looks healthy."""

    def __init__(self, etcd: EtcdHandle) -> None:
        super().__init__()
        self._etcd = etcd

    def _inject(self) -> None:
        self._etcd.freeze()
        self.happened += 1

    def _heal(self) -> None:
        self._etcd.thaw()


class EtcdCompaction(Fault):
    """All history goes; a watcher that was away can't catch up. Over as soon as it happened.

    Imitates auto-compaction, which every production etcd runs.
    """

    def __init__(self, etcd: EtcdHandle) -> None:
        super().__init__()
        self._etcd = etcd

    def _inject(self) -> None:
        self._etcd.compact()
        self.happened += 1


class EtcdWiped(Fault):
    """Killed, its data removed, started again at revision 1: on injecting, not on healing.

    Imitates a cluster rebuilt from nothing, or restored from an old backup.
    """

    def __init__(self, etcd: EtcdHandle) -> None:
        super().__init__()
        self._etcd = etcd

    def _inject(self) -> None:
        self._etcd.kill()
        self._etcd.wipe()
        self._etcd.start()
        self.happened += 1


class EtcdGarbage(Fault):
    """Entries that can't be read, below ``prefix``; removed on healing.

    Imitates another program in the same key space, an operator's typo, a newer version's format.
    """

    def __init__(
        self, etcd: EtcdHandle, prefix: bytes, entries: Mapping[bytes, bytes] = GARBAGE
    ) -> None:
        super().__init__(prefix=prefix.decode(errors="replace"), entries=len(entries))
        self._etcd, self._prefix, self._entries = etcd, prefix, entries

    def _inject(self) -> None:
        for name, value in self._entries.items():
            self._etcd.put(self._prefix + name, value)
            self.happened += 1

    def _heal(self) -> None:
        for name in self._entries:
            self._etcd.delete(self._prefix + name)


class EtcdLeaseExpiry(Fault):
    """A lease ends early, and its keys with it. Imitates a keep-alive that came too late."""

    def __init__(self, etcd: EtcdHandle, lease: int) -> None:
        super().__init__(lease=lease)
        self._etcd, self._lease = etcd, lease

    def _inject(self) -> None:
        self._etcd.revoke(self._lease)
        self.happened += 1
