"""Waitress' socket map on our event loop: whoever is in it is watched."""

# pyright: basic
# The reason: see ``task``.

from __future__ import annotations

from typing import Any

from waitress.trigger import trigger

from actors.eventloop import READ, EventLoop

__all__ = ["SocketMap"]


class SocketMap(dict[int, Any]):
    """What wasyncore calls a map: file descriptor to dispatcher. The loop's thread only.

    A dispatcher is a :class:`~actors.eventloop.Handler` with an attribute ``watch``. Waitress' own
    trigger is left out: calls from other threads go through the loop.
    """

    def __init__(self, loop: EventLoop) -> None:
        super().__init__()
        self._loop = loop

    def __setitem__(self, fd: int, dispatcher: Any) -> None:
        super().__setitem__(fd, dispatcher)
        if not isinstance(dispatcher, trigger):
            dispatcher.watch = self._loop.watch(fd, dispatcher, READ)

    def __delitem__(self, fd: int) -> None:
        dispatcher = self.pop(fd)
        watch = getattr(dispatcher, "watch", None)
        if watch is not None:
            dispatcher.watch = None
            watch.close()
