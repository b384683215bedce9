"""What an etcd that lost its history does not hold any more, and who may live all the same. Pure.

Revisions only ever grow, unless the data directory was lost or an old backup restored. Then nobody
has said of the missing entries that they are gone; their workers announce them anew when they next
keep their lease alive. Until then they stay, for ``patience`` seconds at most.
"""

from __future__ import annotations

import math
from collections.abc import Container
from typing import Final

from discovery.etcd_records import Version

__all__ = ["Orphans"]


class Orphans:
    """The entries that stay without being in etcd. One owner; moments are ``time.monotonic()``."""

    def __init__(self, patience: float) -> None:
        self._patience: Final = patience
        self._until = -math.inf
        self._keys: dict[bytes, Version] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def history_lost(self, now: float) -> None:
        """etcd began anew: have patience from now on."""
        self._until = now + self._patience

    def sort_out(
        self, known: dict[bytes, Version], seen: Container[bytes], now: float
    ) -> dict[bytes, Version]:
        """What of ``known``, and of the orphans so far, ``seen`` decides about; keep the rest."""
        held = known | self._keys
        if now >= self._until:
            self._keys = {}
            return held
        self._keys = {key: version for key, version in held.items() if key not in seen}
        return {key: version for key, version in held.items() if key in seen}

    def found(self, key: bytes) -> None:
        """``key`` is announced again."""
        self._keys.pop(key, None)

    def left(self, now: float) -> float:
        """Seconds until a new look has to decide about them; infinite if there are none."""
        return max(0.0, self._until - now) if self._keys else math.inf
