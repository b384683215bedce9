"""Which host names a service on the loopback address accepts.

SECURITY: a web page can have its own name resolve to 127.0.0.1 (DNS rebinding), and a browser then
lets it speak to whatever listens there. Its requests still bear the page's name in ``Host``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from ipaddress import ip_address
from typing import Final

__all__ = [
    "ANY",
    "Hosts",
    "hosts_of",
    "is_loopback",
    "name_of",
]

ANY: Final = "*"
"""Lets every name in."""

LOCALHOST: Final = "localhost"

REMEMBER_COUNT: Final = 256
"""Values of ``Host`` that are remembered; strangers can fill it, and then it no longer helps."""


class Hosts:
    """Accepts localhost, loopback addresses, and the ``names``. Any thread."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(name_of(name) for name in names)
        self.known: Final[dict[str | None, bool]] = {None: True}
        """Earlier decisions. HTTP/1.0 needs no host; a browser always sends it."""

    def allow(self, host: str | None) -> bool:
        """Whether a request with the ``Host`` header ``host`` is for us."""
        known = self.known.get(host)
        if known is None:
            name = name_of(host or "")
            known = name in self._names or is_loopback(name)
            if len(self.known) < REMEMBER_COUNT:
                self.known[host] = known
        return known


def hosts_of(names: Collection[str]) -> Hosts | None:
    """The hosts that the setting ``allowed_hosts`` means; ``None`` for any."""
    return Hosts(names) if names and ANY not in names else None


def name_of(host: str) -> str:
    """``host`` without its port, in lower case; pure. ``[::1]:80`` is ``::1``."""
    host = host.lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0].rstrip(".") if host.count(":") == 1 else host.rstrip(".")


def is_loopback(name: str) -> bool:
    """Whether only this machine can be meant by ``name``; pure."""
    if name == LOCALHOST or name.endswith("." + LOCALHOST):
        return True
    try:
        address = ip_address(name)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
