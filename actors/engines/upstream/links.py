"""Connections to one upstream: dialled, lent to one exchange at a time, kept alive for a while."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from socket import socket
from typing import Final, Protocol

from actors.engines.upstream.answer import AnswerReader
from actors.engines.upstream.dial import Dial, Place
from actors.engines.upstream.names import Names
from actors.engines.upstream.wire import Wire
from actors.eventloop import EventLoop, Timer

__all__ = ["Borrower", "Link", "Links"]

IDLE_SECONDS: Final = 3.0
"""A connection that was idle for so long is not used again: servers close theirs after 5 s, and
one that they close while a request is on its way fails the request."""

MAX_AGE: Final = 300.0
"""A connection is not kept for longer than this, give or take a tenth by chance: under steady
traffic it would never be idle, and a name's new address never be looked up."""

_chance: Final = random.Random()  # noqa: S311  # spreads what would be renewed at once

_MAX_IDLE: Final = 512
# What may follow the end of a stream before its connection is kept: the last chunk's trailer.
_TAIL_BYTES: Final = 4_096
_TAIL_SECONDS: Final = 0.2


class Borrower(Protocol):
    """Who uses a link now."""

    def received(self, data: bytes) -> None:
        """``data`` arrived; feed it to ``link.reader``."""
        ...

    def lost(self, error: BaseException | None) -> None:
        """The connection is closed: by the peer (``None``), or it broke."""
        ...


class Link:
    """One connection and the reader of its answers."""

    __slots__ = ("_links", "borrower", "expires", "idle_since", "reader", "used", "wire")

    def __init__(self, links: Links, loop: EventLoop, sock: socket, borrower: Borrower) -> None:
        self._links = links
        self.borrower: Borrower | None = borrower
        self.reader = AnswerReader()
        self.used = False
        """Whether it was kept after an earlier exchange: it may be stale."""
        self.expires = loop.clock() + MAX_AGE * _chance.uniform(0.9, 1.1)
        self.idle_since = 0.0
        self.wire = Wire(loop, sock, self)

    def received(self, data: bytes) -> None:
        """Pass ``data`` on; nobody asked for what comes to an idle link."""
        borrower = self.borrower
        if borrower is None:
            self.close()
        else:
            borrower.received(data)

    def lost(self, error: BaseException | None) -> None:
        """Tell the borrower, and be gone."""
        borrower, self.borrower = self.borrower, None
        self._links.forget(self)
        if borrower is not None:
            borrower.lost(error)
        self.reader.close()

    def close(self) -> None:
        """End the connection now; the borrower hears nothing more. Idempotent."""
        self.borrower = None
        self.wire.close()
        self.reader.close()
        self._links.forget(self)


class Links:
    """The connections to ``place``; belongs to the loop's thread."""

    def __init__(self, loop: EventLoop, names: Names, place: Place) -> None:
        self._loop = loop
        self._names = names
        self._place = place
        self._idle: list[Link] = []
        self._all: set[Link] = set()
        self._sweeper: Timer | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._all)

    def take(self, borrower: Borrower) -> Link | None:
        """Lend the link that was used last, if one is kept and fresh."""
        if not self._idle:
            return None
        link = self._idle.pop()
        if self._loop.clock() - link.idle_since > IDLE_SECONDS:
            self._idle.append(link)
            self._close_idle(0.0)  # those before it are older still
            return None
        link.borrower = borrower
        link.reader.begin()
        return link

    def dial(
        self,
        borrower: Borrower,
        seconds: float,
        opened: Callable[[Link], object],
        failed: Callable[[OSError], object],
    ) -> Dial:
        """Open a new link for ``borrower``; close what is returned to give up."""
        return Dial(
            self._loop, self._names, self._place, seconds, partial(self._lend, borrower, opened),
            failed,
        )  # fmt: skip

    def give_back(self, link: Link) -> None:
        """Keep ``link`` if its answer was read to its end, or nearly; else close it."""
        reader, wire = link.reader, link.wire
        if reader.complete and reader.reusable and wire.idle and not self._closed:
            self._keep(link)
        elif not reader.complete and reader.error is None and wire.idle and not self._closed:
            link.borrower = _Tail(self._loop, self, link)
        else:
            link.close()

    def forget(self, link: Link) -> None:
        """``link`` is closed."""
        self._all.discard(link)
        if link in self._idle:
            self._idle.remove(link)

    def close(self) -> None:
        """Close what is idle, now and from now on."""
        self._closed = True
        for link in [*self._all]:
            if link.borrower is None or isinstance(link.borrower, _Tail):
                link.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    def _lend(self, borrower: Borrower, opened: Callable[[Link], object], sock: socket) -> None:
        link = Link(self, self._loop, sock, borrower)
        self._all.add(link)
        opened(link)

    def _keep(self, link: Link) -> None:
        now = self._loop.clock()
        if len(self._idle) >= _MAX_IDLE or now >= link.expires:
            link.close()
            return
        link.borrower = None
        link.used = True
        link.idle_since = now
        self._idle.append(link)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(IDLE_SECONDS, self._sweep)

    def _sweep(self) -> None:
        self._sweeper = None
        self._close_idle(IDLE_SECONDS)
        if self._idle:
            # NOTE: in a third of the time, so that none is idle for longer than 4 s.
            self._sweeper = self._loop.call_later(IDLE_SECONDS / 3, self._sweep)

    def _close_idle(self, seconds: float) -> None:
        """Close all that have been idle for at least ``seconds``."""
        latest = self._loop.clock() - seconds
        for link in [link for link in self._idle if link.idle_since <= latest]:
            link.close()


class _Tail:
    """Reads what little follows a stream's end marker, so that its connection can be kept."""

    __slots__ = ("_left", "_link", "_links", "_timer")

    def __init__(self, loop: EventLoop, links: Links, link: Link) -> None:
        self._links = links
        self._link = link
        self._left = _TAIL_BYTES
        self._timer = loop.call_later(_TAIL_SECONDS, link.close)

    def received(self, data: bytes) -> None:
        """Go on to the answer's end, unless it is far."""
        reader = self._link.reader
        self._left -= len(data)
        reader.feed(data)
        reader.take()
        if reader.complete:
            self._timer.cancel()
            self._links.give_back(self._link)
        elif reader.error is not None or self._left < 0:
            self._timer.cancel()
            self._link.close()

    def lost(self, error: BaseException | None) -> None:
        """Then it can't be kept."""
        del error
        self._timer.cancel()
