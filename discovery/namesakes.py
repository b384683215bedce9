"""Keys that two workers of one instance name share: who has one, and who takes one back.

The worker that came last has the key, because it was put under that one's lease last. One that
drains leaves it alone then. When the last one goes, and its lease takes the key along, the other
takes it back at its next look. A key that nobody else had, or one without a lease, was taken away
by hand and on purpose: that one is not put again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

from discovery.etcd_client import EtcdClient
from discovery.ledger import label_of

__all__ = ["Namesakes"]

_log = logging.getLogger("discovery.registration")


class Namesakes:
    """What one worker knows of others that announce under its keys, while it holds one lease.

    ``timeout``, in seconds, is for each call. Every method raises what the client raises.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout: Final = timeout
        self._taken: Final[set[bytes]] = set()  # held by another's lease at our last look

    def forget(self) -> None:
        """Our lease is gone: all keys will be put anew."""
        self._taken.clear()

    def has(self, client: EtcdClient, key: bytes, lease: int) -> bool:
        """Whether a lease other than ours holds ``key``."""
        return client.lease_of(key, self._timeout) not in {None, 0, lease}

    def look_after(self, client: EtcdClient, pairs: Mapping[bytes, bytes], lease: int) -> None:
        """See who holds the keys of ``pairs``; put what a namesake took and left behind."""
        held = client.keys_of(lease, self._timeout)
        self._taken.difference_update(held)
        for key in [key for key in pairs if key not in held]:
            holder = client.lease_of(key, self._timeout)
            if holder is None and key in self._taken:
                client.put(key, pairs[key], lease=lease, timeout=self._timeout)
                self._taken.discard(key)
                _log.info("announced again: its namesake left", extra=_facts(key))
            elif holder and key not in self._taken:
                self._taken.add(key)
                _log.warning(
                    "another worker has this instance name now: give each an --instance of its "
                    "own, unless one replaces the other",
                    extra=_facts(key),
                )


def _facts(key: bytes) -> dict[str, str]:
    return {"entry_key": label_of(key)}
