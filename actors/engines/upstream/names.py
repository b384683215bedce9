"""Look up the addresses of upstreams' names without holding up the event loop.

The system's resolver can't be interrupted, so it is asked on threads, and a name whose server hangs
holds one for as long as that takes. There are few threads, however many such names there are: the
rest waits for its turn, names that have an address before those that may have none.
"""

from __future__ import annotations

import errno
import ipaddress
import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

__all__ = ["Address", "Names", "literal"]

FRESH: Final = 10.0
"""Seconds that an answer is used again: short beside any record's life, long beside a request."""

THREADS: Final = 32
"""Look-ups at a time."""

UNSURE: Final = 24
"""How many of them may be of names that had no address when they were last looked up, or that never
were. The others are kept for those of the instances that serve."""

REMEMBERED: Final = 65_536
"""Names of which it is known how the last look-up ended."""

_log: Final = logging.getLogger("actors.engines.upstream")

Key = tuple[str, int]
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
    """Looks names up on a few short-lived daemon threads, each name once at a time. Any thread."""

    def __init__(
        self, lookup: Lookup = system_lookup, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._lookup = lookup
        self._clock = clock
        self._lock = threading.Lock()
        self._last: dict[Key, tuple[float, list[Address] | None]] = {}
        """When each look-up ended, and with what; oldest first."""
        self._waiting: dict[Key, list[tuple[float, Told]]] = {}
        """Who waits, and until when, for each name that is queued or being looked up."""
        self._queues: Final[tuple[deque[Key], ...]] = (deque(), deque(), deque())
        """By rank: names that had an address, names that are new, names that had none."""
        self._threads = 0
        self._unsure = 0

    def known(self, host: str, port: int) -> list[Address] | None:
        """The addresses, if they were looked up lately. Any thread."""
        found = self._last.get((host, port))
        if found is None or self._clock() - found[0] > FRESH:
            return None
        return found[1]

    def find(self, host: str, port: int, seconds: float, told: Told) -> None:
        """Call ``told`` with the addresses or with the failure, soon, on some other thread.

        Whoever asks waits for so many ``seconds`` and then gives up: if the name's turn does not
        come until then, ``told`` is not called.
        """
        key = host, port
        now = self._clock()
        with self._lock:
            waiting = self._waiting.get(key)
            if waiting is not None:
                waiting[:] = [each for each in waiting if each[0] > now]
                waiting.append((now + seconds, told))
                return
            self._waiting[key] = [(now + seconds, told)]
            rank = self._rank(key)
            self._queues[rank].append(key)
            if self._threads >= (UNSURE if rank else THREADS):
                return
            self._threads += 1
            name = f"lookup-{self._threads}"
        try:
            threading.Thread(target=self._work, name=name, daemon=True).start()
        except RuntimeError as error:  # no thread to be had
            self._no_thread(OSError(errno.EAGAIN, str(error)))

    def _rank(self, key: Key) -> int:
        last = self._last.get(key)
        if last is None:
            return 1
        return 2 if last[1] is None else 0

    def _no_thread(self, error: OSError) -> None:
        """A thread could not be started: fail what no other thread will look up."""
        with self._lock:
            self._threads -= 1
            lost = [] if self._threads else [key for queue in self._queues for key in queue]
            if lost:
                for queue in self._queues:
                    queue.clear()
        for key in lost:
            self._tell(key, error)

    def _work(self) -> None:
        """A thread's life: one name after the other, while there are any."""
        while (job := self._next()) is not None:
            key, rank = job
            found = self._find(*key)
            with self._lock:
                self._unsure -= rank > 0
                self._note(key, found)
            self._tell(key, found)

    def _next(self) -> tuple[Key, int] | None:
        """Whose turn it is, and its rank; after ``None`` the calling thread ends."""
        now = self._clock()
        with self._lock:
            for rank, queue in enumerate(self._queues):
                while queue and (rank == 0 or self._unsure < UNSURE):
                    key = queue.popleft()
                    if any(until > now for until, _ in self._waiting[key]):
                        self._unsure += rank > 0
                        return key, rank
                    del self._waiting[key]  # all have given up
            self._threads -= 1
            return None

    def _find(self, host: str, port: int) -> list[Address] | OSError:
        try:
            return self._lookup(host, port) or OSError(f"{host} has no address")
        except OSError as error:
            return error
        except Exception as error:  # noqa: BLE001  # a name that can be none; whoever waits is told
            return OSError(str(error))

    def _note(self, key: Key, found: list[Address] | OSError) -> None:
        self._last.pop(key, None)
        self._last[key] = self._clock(), found if isinstance(found, list) else None
        if len(self._last) > REMEMBERED:
            del self._last[next(iter(self._last))]

    def _tell(self, key: Key, found: list[Address] | OSError) -> None:
        with self._lock:
            waiting = self._waiting.pop(key)
        for _, told in waiting:
            try:
                told(found)
            except Exception:  # noqa: BLE001  # the others are told all the same
                _log.exception("an address can't be handed on", extra={"host": key[0]})
