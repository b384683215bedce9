"""Which sockets are ready: epoll where there is one, else the standard library's best selector; and
who hears of it.

Both report ``READ``, ``WRITE`` and ``HANGUP``. ``HANGUP`` is always watched, as epoll does: it is
reported for a peer whose bytes are not wanted at the moment, too.

The descriptors that are connections to other servers are counted here too: engines write what
servers read, and neither imports the other. A server that divides the limit of open files
(``RLIMIT_NOFILE``) and counts only its own connections would use up the descriptors that their
requests need upstream.
"""

from __future__ import annotations

import errno
import os
import select
import selectors
import socket
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from actors.eventloop.loop import EventLoop

__all__ = [
    "HANGUP",
    "READ",
    "WRITE",
    "FdHandle",
    "Handler",
    "LoopStopped",
    "Poller",
    "SelectorPoller",
    "Waker",
    "asks_others",
    "best_poller",
    "closed",
    "opened",
    "outgoing_connections",
]


READ: Final = 0x001
WRITE: Final = 0x004
HANGUP: Final = 0x2018
"""The peer hung up or sent its last byte: EPOLLRDHUP, EPOLLHUP, EPOLLERR. The values are epoll's,
so that there nothing is translated."""

_RDHUP: Final = 0x2000
_PIPE_BYTES: Final = 4096
_MAX_EVENTS: Final = 512
"""Events taken at once: enough for a busy loop, and timers are still checked in between."""


class Poller(Protocol):
    """A set of watched file descriptors; used by one thread."""

    def add(self, fd: int, interest: int) -> None:
        """Watch ``fd``. Raises ``OSError`` if it is not open, ``FileExistsError`` if watched."""
        ...

    def change(self, fd: int, interest: int) -> None:
        """Watch ``fd`` for something else."""
        ...

    def remove(self, fd: int) -> None:
        """Stop watching ``fd``; does nothing if it is closed already."""
        ...

    def poll(self, timeout: float, /) -> list[tuple[int, int]]:
        """Wait at most ``timeout`` seconds; what is ready, as (fd, events)."""
        ...

    def close(self) -> None:
        """Let go of the kernel's resources. Idempotent."""
        ...


class LoopStopped(Exception):
    """The loop was closed: nothing that is watched will ever happen."""


class Handler(Protocol):
    """Receives the events of a watched descriptor, on the loop's thread."""

    def ready(self, events: int) -> None:
        """Some of ``READ``, ``WRITE``, ``HANGUP`` happened. Must not block."""
        ...

    def failed(self, error: BaseException) -> None:
        """:meth:`ready` raised ``error``, or the loop was closed; the watch is gone."""
        ...


class FdHandle:
    """One watched descriptor; close the watch before the descriptor. The loop's thread only."""

    __slots__ = ("_loop", "batch", "fd", "handler", "interest")

    def __init__(self, loop: EventLoop, fd: int, handler: Handler, interest: int) -> None:
        self._loop = loop
        self.fd = fd
        self.handler = handler
        self.interest = interest
        self.batch = 0

    def set_interest(self, interest: int) -> None:
        """Watch for ``interest`` (``READ | WRITE``, or 0) from now on; ``HANGUP`` always is."""
        if interest != self.interest:
            self.interest = interest
            self._loop.change(self)

    def close(self) -> None:
        """Stop watching. Idempotent."""
        self._loop.forget(self)


class EpollPoller:
    """epoll (Linux): O(ready), whatever is watched."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        # PERF: no call of ours between the loop and the kernel.
        self.poll: Callable[[float], list[tuple[int, int]]] = partial(
            self._epoll.poll, maxevents=_MAX_EVENTS
        )

    def add(self, fd: int, interest: int) -> None:
        """See :class:`Poller`."""
        self._epoll.register(fd, interest | _RDHUP)

    def change(self, fd: int, interest: int) -> None:
        """See :class:`Poller`."""
        self._epoll.modify(fd, interest | _RDHUP)

    def remove(self, fd: int) -> None:
        """See :class:`Poller`."""
        try:
            self._epoll.unregister(fd)
        except (OSError, ValueError):
            return  # closed before it was removed; the kernel forgot it then

    def close(self) -> None:
        """See :class:`Poller`."""
        self._epoll.close()


class SelectorPoller:
    """Any selector of the standard library.

    Where only the peer's hang-up is wanted, a readable socket is peeked at: an end of file is
    ``HANGUP``. If there are bytes, a hang-up can't be seen behind them; the socket is then ignored
    until its interest changes. A socket that is reported anyway is not peeked at: that would
    consume the error of a failed connect.
    """

    def __init__(self, selector: selectors.BaseSelector | None = None) -> None:
        self._selector = selector or selectors.DefaultSelector()
        self._interest: dict[int, int] = {}
        self._blind: set[int] = set()

    def add(self, fd: int, interest: int) -> None:
        """See :class:`Poller`."""
        if fd in self._interest:
            raise FileExistsError(f"file descriptor {fd} is watched already")
        os.fstat(fd)  # raises if it is not open; not every selector does
        self._interest[fd] = interest
        self._select(fd)

    def change(self, fd: int, interest: int) -> None:
        """See :class:`Poller`."""
        self._interest[fd] = interest
        self._blind.discard(fd)
        self._select(fd)

    def remove(self, fd: int) -> None:
        """See :class:`Poller`."""
        if self._interest.pop(fd, None) is not None:
            self._blind.discard(fd)
            if fd in self._selector.get_map():
                self._selector.unregister(fd)

    def poll(self, timeout: float, /) -> list[tuple[int, int]]:
        """See :class:`Poller`."""
        ready: list[tuple[int, int]] = []
        for key, events in self._selector.select(timeout):
            told = self._told(key.fd, events)
            if told:
                ready.append((key.fd, told))
        return ready

    def close(self) -> None:
        """See :class:`Poller`."""
        self._selector.close()

    def _told(self, fd: int, events: int) -> int:
        told = WRITE if events & selectors.EVENT_WRITE else 0
        if events & selectors.EVENT_READ:
            if self._interest[fd] & READ:
                told |= READ
            elif not told and _at_end(fd):
                told |= HANGUP
            elif not told:
                self._blind.add(fd)
                self._select(fd)
        return told

    def _select(self, fd: int) -> None:
        """Bring the selector in step with what is wanted of ``fd``."""
        events = 0 if fd in self._blind else selectors.EVENT_READ
        if self._interest[fd] & WRITE:
            events |= selectors.EVENT_WRITE
        known = fd in self._selector.get_map()
        if not events:
            self._selector.unregister(fd)
        elif known:
            self._selector.modify(fd, events)
        else:
            self._selector.register(fd, events)


def best_poller() -> Poller:
    """The fastest poller of this system."""
    return EpollPoller() if hasattr(select, "epoll") else SelectorPoller()


def _at_end(fd: int) -> bool:
    """Whether the peer of socket ``fd`` has sent its last byte, and nothing is left to read."""
    with socket.socket(fileno=fd) as borrowed:
        try:
            return borrowed.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            return error.errno != errno.ENOTCONN  # a listener, with a connection to accept
        finally:
            borrowed.detach()


class Waker:
    """Wakes a poller from another thread: an eventfd where there is one, else a pipe.

    :attr:`fd` is readable from :meth:`wake` until :meth:`reset`, however often it was woken.
    """

    def __init__(self) -> None:
        if hasattr(os, "eventfd"):
            self.fd = self._out = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        else:
            self.fd, self._out = os.pipe()
            os.set_blocking(self.fd, False)
            os.set_blocking(self._out, False)

    def wake(self) -> None:
        """Make it readable. Any thread; never blocks; does nothing once it is closed."""
        # PERF: try instead of contextlib.suppress, which is three calls more.
        try:
            os.write(self._out, b"\1\0\0\0\0\0\0\0")
        except OSError:
            return  # full, so it is readable already; or closed, and nothing is left to wake

    def reset(self) -> None:
        """Make it unreadable again."""
        try:
            os.read(self.fd, 8 if self.fd == self._out else _PIPE_BYTES)
        except BlockingIOError:
            return  # it was not woken

    def close(self) -> None:
        """Close its descriptors. Idempotent."""
        fds, self.fd, self._out = {self.fd, self._out}, -1, -1
        for fd in fds - {-1}:
            os.close(fd)


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
