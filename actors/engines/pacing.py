"""Waits for a client that does not keep up, on behalf of engines that produce in a loop.

Such a wait ends when the sink has room again, when its request has ended (the sink says so, too),
or when the request's token is cancelled: a server gives up a client that never reads.
"""

from __future__ import annotations

import asyncio
import threading

from actors.engines.contract import Sink
from actors.supervision.cancellation import CancellationToken

__all__ = ["AsyncPace", "Pace"]


class Pace:
    """One request's pace; its thread calls :meth:`keep` after each push."""

    __slots__ = ("_room", "_sink", "_token")

    def __init__(self, sink: Sink, token: CancellationToken) -> None:
        self._sink = sink
        self._token = token
        self._room = threading.Event()

    def keep(self) -> None:
        """Return as soon as the client keeps up, or nobody waits any more."""
        if self._sink.has_room(self._room.set):
            return
        with self._token.on_cancel(self._room.set):
            self._room.wait()
        self._room.clear()


class AsyncPace:
    """:class:`Pace` for a coroutine; a cancelled request cancels its task anyway."""

    __slots__ = ("_loop", "_room", "_sink")

    def __init__(self, sink: Sink, loop: asyncio.AbstractEventLoop) -> None:
        self._sink = sink
        self._loop = loop
        self._room = asyncio.Event()

    async def keep(self) -> None:
        """Return as soon as the client keeps up."""
        if self._sink.has_room(self._wake):
            return
        await self._room.wait()
        self._room.clear()

    def _wake(self) -> None:
        self._loop.call_soon_threadsafe(self._room.set)
