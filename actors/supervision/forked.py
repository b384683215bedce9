"""After ``os.fork()`` the child process has every actor and none of their threads.

Whoever called one would wait for nobody, so in the child they all count as ended: calls fail at
once and say why. The parent does not notice. Neither watchers nor cancellation callbacks are called
in the child: what they would put in order is the parent's.
"""

from __future__ import annotations

import os

from actors.supervision.actor import runtimes
from actors.supervision.address import Address
from actors.supervision.address_table import AddressTable

__all__ = ["lose_every_actor"]


def lose_every_actor() -> None:
    """In a process that was forked just now: have every actor and every address count as ended."""
    why = (
        f"runs in process {os.getppid()}, and this one, {os.getpid()}, was forked from it: threads "
        "don't survive a fork. Start a tree of its own here, or begin processes by 'spawn'"
    )
    addresses: dict[Address, None] = {}
    for runtime, address in runtimes():
        runtime.lose(f"{runtime.name} {why}")
        addresses[address] = None
        if isinstance(address.table, AddressTable):
            addresses.update(dict.fromkeys(address.table.all()))
    for address in addresses:
        address.retire(why)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lose_every_actor)
