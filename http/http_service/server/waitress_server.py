"""Waitress on a socket that is listening already, stepped by its owner.

Written against waitress 3.0.x (pinned); the internals in use, beside those of ``channel``, are
``TcpWSGIServer.{maintenance, handle_error, pull_trigger, active_channels, accepting}``,
``ThreadedTaskDispatcher.queue_logger``, ``wasyncore.poll2`` and ``wasyncore.close_all``.
"""

# pyright: basic, reportArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportIncompatibleMethodOverride=false, reportIncompatibleVariableOverride=false
# pyright: reportOperatorIssue=false, reportOptionalMemberAccess=false
# The reason: waitress ships no types, and what pyright guesses instead is wrong in places (that a
# channel's socket is always None, that timeouts are whole seconds).

from __future__ import annotations

import contextlib
import logging
import socket
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher

from http_service.server.channel import Channel

__all__ = ["WORKER_STOP", "WaitressServer"]

WORKER_STOP: Final = 1.0
"""Seconds that workers get to notice, at the end, that their connections are closed."""


class _Dispatcher(ThreadedTaskDispatcher):  # type: ignore[misc]  # waitress ships no types
    """Waitress' worker pool, silent about its queue: a full pool is not news on every request."""

    queue_logger = logging.Logger("http_service.queue", logging.CRITICAL)  # noqa: LOG001  # no log


class WaitressServer(TcpWSGIServer):  # type: ignore[misc]  # waitress ships no types
    """Waitress on a socket that is listening already, stepped by its owner.

    ``step``, ``stop_accepting`` and ``close`` belong to one thread, the loop's; ``wake`` and
    ``draining`` to any.
    """

    channel_class = Channel

    def __init__(
        self, application: Callable[..., Any], listening: socket.socket, settings: dict[str, Any]
    ) -> None:
        """Take over ``listening`` and start the workers; ``settings`` are Waitress' adjustments."""
        self.draining = False
        self.broken: BaseException | None = None
        self._closed = False
        adjustments = Adjustments(sockets=[listening], **settings)
        workers = _Dispatcher()
        sockets: dict[int, Any] = {}
        info = (listening.family, listening.type, listening.proto, listening.getsockname())
        super().__init__(
            application,
            sockets,
            _sock=listening,
            dispatcher=workers,
            adj=adjustments,
            sockinfo=info,
            bind_socket=False,
        )
        workers.set_thread_count(adjustments.threads)

    def step(self, timeout: float) -> None:
        """Wait at most ``timeout`` seconds for events; handle them. Raises what broke accepting."""
        wasyncore.poll2(timeout, self._map)
        if self.broken is not None:
            raise self.broken

    def wake(self) -> None:
        """End the current ``step`` early; any thread."""
        self.pull_trigger()

    def stop_accepting(self) -> None:
        """Take what the kernel has accepted already, then let go of the listening socket."""
        while self.accepting:
            before = len(self.active_channels)
            self.handle_accept()
            if len(self.active_channels) == before:
                break
        # NOTE: not self.close(): that closes the trigger too, which the workers still need.
        wasyncore.dispatcher.close(self)

    def channels(self) -> Iterator[Channel]:
        """The open connections."""
        yield from [*self.active_channels.values()]

    def close(self) -> None:
        """Close every connection and stop the workers."""
        for channel in self.channels():
            channel.cancel()
            channel.handle_close()
        self.task_dispatcher.shutdown(cancel_pending=True, timeout=WORKER_STOP)
        self._closed = True
        wasyncore.dispatcher.close(self)
        wasyncore.close_all(self._map, ignore_all=True)

    def maintenance(self, now: float) -> None:
        """Close what was idle, or lingered, for too long. Called by Waitress now and then."""
        super().maintenance(now)
        self.close_lingering()

    def close_lingering(self) -> None:
        """Close the connections whose time to read a refusal is over."""
        now = time.monotonic()
        for channel in self.channels():
            if channel.linger_until and now > channel.linger_until:
                channel.will_close = True

    def handle_error(self) -> None:
        """Accepting failed for a reason nobody foresaw: ``step`` raises it, the actor crashes."""
        self.broken = sys.exc_info()[1]

    def pull_trigger(self) -> None:
        """Ring the loop; any thread, also after the end."""
        if not self._closed:
            # A worker that outlived the loop may still ring; its pipe is gone then.
            with contextlib.suppress(OSError):
                self.trigger.pull_trigger()
