"""How many of this process's descriptors are connections to other servers.

For whoever shares out the limit of open files (``RLIMIT_NOFILE``): a server that counts only its
own connections takes the descriptors that each of their requests needs upstream.
"""

from __future__ import annotations

from typing import Final

__all__ = ["asks_others", "closed", "opened", "outgoing_connections"]

# PERF: without a lock; each of a set's methods is one step under the GIL.
_descriptors: Final[set[int]] = set()
_ever: Final[list[bool]] = []


def outgoing_connections() -> int:
    """Connections to upstreams that are open now, those under way and kept ones too. Any thread."""
    return len(_descriptors)


def asks_others() -> bool:
    """Whether this process has ever connected to an upstream. Any thread."""
    return bool(_ever)


def opened(descriptor: int) -> None:
    """``descriptor`` is one from now on."""
    _descriptors.add(descriptor)
    if not _ever:
        _ever.append(True)


def closed(descriptor: int) -> None:
    """``descriptor`` is about to be closed."""
    _descriptors.discard(descriptor)
