"""Look up the addresses of upstreams' names without holding up the event loop."""

from __future__ import annotations

import errno
import ipaddress
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

__all__ = ["Address", "Names", "literal"]

FRESH: Final = 10.0
"""Seconds that an answer is used again: short beside any record's life, long beside a request."""

SocketPlace = tuple[str, int] | tuple[str, int, int, int]
Lookup = Callable[[str, int], "list[Address]"]
Told = Callable[["list[Address] | OSError"], object]


@dataclass(frozen=True, slots=True)
class Address:
    """One address as the socket module takes it."""

    family: int
    place: SocketPlace


def literal(host: str, port: int) -> list[Address]:
    """The address that ``host`` itself is; empty if it is a name.

    Raises ``OSError`` for an IPv6 address with a zone that this machine does not have.
    """
    try:
        version = ipaddress.ip_address(host.partition("%")[0]).version
    except ValueError:
        return []
    if version == 4:
        return [Address(socket.AF_INET, (host, port))]
    return system_lookup(host, port)  # may name a zone; asks nobody


def system_lookup(host: str, port: int) -> list[Address]:
    """What the system's resolver says; blocks for as long as it likes.

    Raises ``OSError``; ``ValueError`` for what can be no name, as one with an empty label.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    # NOTE: typeshed allows for a Python without IPv6, whose addresses are (int, bytes).
    return [Address(family, cast("SocketPlace", place)) for family, _, _, _, place in found]


class Names:
    """Looks names up, each on a short-lived daemon thread, at most one a name at a time.

    NOTE: a thread each, because the system's resolver can't be interrupted: a name server that
    hangs holds up its own names only, and never the end of the process.
    """

    def __init__(
        self, lookup: Lookup = system_lookup, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._lookup = lookup
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[tuple[str, int], tuple[float, list[Address]]] = {}
        self._waiting: dict[tuple[str, int], list[Told]] = {}

    def known(self, host: str, port: int) -> list[Address] | None:
        """The addresses, if they were looked up lately. Any thread."""
        found = self._known.get((host, port))
        if found is None or self._clock() - found[0] > FRESH:
            return None
        return found[1]

    def find(self, host: str, port: int, told: Told) -> None:
        """Call ``told`` with the addresses or with the failure, soon, on some other thread."""
        key = host, port
        with self._lock:
            waiting = self._waiting.setdefault(key, [])
            waiting.append(told)
            if len(waiting) > 1:
                return
        try:
            threading.Thread(
                target=self._find, args=key, name=f"lookup-{host}", daemon=True
            ).start()
        except RuntimeError as error:  # no thread to be had
            self._tell(key, OSError(errno.EAGAIN, str(error)))

    def _find(self, host: str, port: int) -> None:
        found: list[Address] | OSError
        try:
            found = self._lookup(host, port) or OSError(f"{host} has no address")
        except OSError as error:
            found = error
        except Exception as error:  # noqa: BLE001  # a name that can be none; whoever waits is told
            found = OSError(str(error))
        self._tell((host, port), found)

    def _tell(self, key: tuple[str, int], found: list[Address] | OSError) -> None:
        with self._lock:
            if isinstance(found, list):
                self._known[key] = self._clock(), found
            waiting = self._waiting.pop(key)
        for told in waiting:
            told(found)
