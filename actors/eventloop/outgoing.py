"""How many of this process's descriptors are connections to other servers.

For a server that divides the limit of open files (``RLIMIT_NOFILE``): one that counts only its own
connections would use up the descriptors that their requests need upstream. A file of its own,
because engines write what servers read, and neither imports the other.
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
    """Count ``descriptor`` as a connection to an upstream from now on."""
    _descriptors.add(descriptor)
    if not _ever:
        _ever.append(True)


def closed(descriptor: int) -> None:
    """Stop counting ``descriptor``, which is about to be closed."""
    _descriptors.discard(descriptor)
