"""Waitress on a socket that is listening already, its connections on our event loop.

Written against waitress 3.0.x (pinned); the internals in use, beside those of ``channel`` and
``task``, are ``TcpWSGIServer.{handle_accept, add_task, pull_trigger, handle_error,
active_channels, trigger, accepting}`` and ``ThreadedTaskDispatcher.queue_logger``.
"""

# pyright: basic, reportArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportIncompatibleMethodOverride=false, reportIncompatibleVariableOverride=false
# pyright: reportOperatorIssue=false, reportOptionalMemberAccess=false
# The reason: see ``task``.

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.buffers import ReadOnlyFileBasedBuffer
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher
from waitress.trigger import trigger

from actors.eventloop import READ, EventLoop, FdHandle, TimerHandle
from http_service.api.generate import INLINE_BODY
from http_service.config import HttpServiceConfig
from http_service.server.limits import (
    DRAIN_LINGER,
    DRAIN_TIMEOUTS,
    LINGER_SECONDS,
    PROBE_RESERVE,
    PROBE_SECONDS,
    BodyAdmission,
    client_timeouts,
    connection_cap,
    reject,
    send_rejection,
    waitress_settings,
)
from http_service.server.parser import Parser
from http_service.server.timeouts import expired
from http_service.server.waitress_channel import Channel
from http_service.server.waitress_task import fixed_environ, replay

__all__ = ["WaitressServer"]

OUT_OF_RESOURCES: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
"""What accepting fails with while descriptors or memory are short: trying at once would spin."""

ACCEPT_RETRY_SECONDS: Final = 1.0
"""Seconds without accepting then."""

LOG_INTERVAL: Final = 60.0
"""Seconds between two lines about connections that were refused."""

SWEEP_SECONDS: Final = 1.0
"""Seconds between two looks for clients that are too slow."""

ACCEPT_BURST: Final = 64
"""Connections taken at once, before those that are open have their turn again."""


_log: Final = logging.getLogger("http_service.server")


class _Dispatcher(ThreadedTaskDispatcher):  # type: ignore[misc]  # waitress ships no types
    """Waitress' worker pool, silent about its queue: a full pool is not news on every request."""

    queue_logger = logging.Logger("http_service.queue", logging.CRITICAL)  # noqa: LOG001  # no log


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


class WaitressServer(TcpWSGIServer):  # type: ignore[misc]  # waitress ships no types
    """Accepts from ``listening`` and serves ``application``, all of it on ``loop``'s thread.

    Workers serve only what may have to wait. ``on_failure(error)`` is called when accepting failed
    for an unexpected reason: it has stopped then, and :meth:`resume_accepting` resumes it; open
    connections are served on.
    """

    channel_class = Channel
    watch: FdHandle | None = None
    on_failure: Callable[[BaseException], None]

    def __init__(
        self,
        application: Callable[..., Any],
        listening: socket.socket,
        config: HttpServiceConfig,
        loop: EventLoop,
        intake: BodyAdmission,
    ) -> None:
        """Take over ``listening`` and start the workers; ``config`` gives every limit."""
        self.app: Final = application
        self.parser_class: Final = partial(Parser, intake=intake)
        self.limits = client_timeouts(config)
        self.linger = LINGER_SECONDS
        self._cap = connection_cap(config)
        self.loop = loop
        self.draining = False
        self.active_channels: dict[int, Channel] = {}
        self._closed = False
        self._full = False
        self._reserved: list[Channel] = []
        self._next_log = 0.0
        self._sweep_timer: TimerHandle | None = None
        settings = waitress_settings(config)
        settings["clear_untrusted_proxy_headers"] = False  # ours never come so far: see UNTRUSTED
        adjustments = Adjustments(sockets=[listening], **settings)
        info = (listening.family, listening.type, listening.proto, listening.getsockname())
        super().__init__(
            replay,
            SocketMap(loop),
            _sock=listening,
            dispatcher=_Dispatcher(),
            adj=adjustments,
            sockinfo=info,
            bind_socket=False,
        )
        self.environ: Final = fixed_environ(
            self.server_name, self.effective_port, self.adj.url_scheme, ReadOnlyFileBasedBuffer
        )
        self.trigger.close()
        self.task_dispatcher.set_thread_count(adjustments.threads)
        self._sweep()

    # A handler of the event loop: the listening socket.

    def ready(self, events: int) -> None:
        """Take the connections that wait and have room."""
        del events
        for _ in range(ACCEPT_BURST):
            before = len(self.active_channels) + self._cap.refused
            if before - self._cap.refused >= self.adj.connection_limit:
                self._pause(full=True)
                return
            self.handle_accept()
            if len(self.active_channels) + self._cap.refused == before:
                return

    def failed(self, error: BaseException) -> None:
        """Accepting raised ``error``; its watch is gone."""
        self.watch = None
        self.on_failure(error)

    def resume_accepting(self) -> None:
        """Accept, unless it does already, or is not to do so any more."""
        self._full = False
        if self.accepting and self.watch is None:
            self.watch = self.loop.watch(self._fileno, self, READ)

    def pause(self) -> None:
        """Leave new connections waiting in the kernel's queue."""
        self._pause(full=False)

    def handle_accept(self) -> None:
        """Take one connection, or turn it away: there are too many."""
        try:
            accepted = self.accept()
            if accepted is None:
                return
            connection, address = accepted
            full = self._cap.full
            admitted = self._cap.admit(address[0])
            if not admitted:
                self._log_rejections()
            if not (admitted or full):
                reject(connection)  # one client has too many: there is room for others' probes
                return
            try:
                self.set_socket_options(connection)
            except OSError:
                if admitted:
                    self._cap.release(address[0])
                connection.close()
                raise
        except OSError as error:
            if error.errno in OUT_OF_RESOURCES:
                self._retry_later(error)
            return  # else it left before it was taken
        peer = self.fix_addr(address)
        channel = self.channel_class(self, connection, peer, self.adj, map=self._map)
        if not admitted:
            self._reserve_for_probe(channel)

    def channel_closed(self, channel: Channel) -> None:
        """A connection is gone: if new ones wait for a place, take them."""
        if channel.reserved:
            self._reserved.remove(channel)
        else:
            self._cap.release(channel.addr[0])
        if self._full and len(self.active_channels) < self.adj.connection_limit:
            self.resume_accepting()

    def begin_drain(self) -> None:
        """Have every answer end its connection, and give what is half received less time."""
        self.draining = True
        self.limits = DRAIN_TIMEOUTS
        self.linger = DRAIN_LINGER
        for channel in self.channels():
            channel.progress.restart(self.loop.clock())

    def stop_accepting(self) -> None:
        """Take what the kernel has accepted already, then let go of the listening socket."""
        while self.accepting:
            before = len(self.active_channels)
            self.handle_accept()
            if len(self.active_channels) == before:
                break
        wasyncore.dispatcher.close(self)

    # Serving.

    def add_task(self, task: Channel) -> None:
        """Have the channel's next request served: soon on the loop, or by a worker if it is big."""
        if task.requests[0].body_bytes_received <= INLINE_BODY:
            self.loop.call(task.service)
        else:
            self.add_worker_task(task)

    def add_worker_task(self, task: Channel) -> None:
        """Have the channel's next request served by a worker, which may wait."""
        _ = task.outbuf_lock  # made here, before there are two threads to make it
        self.task_dispatcher.add_task(task)

    def pull_trigger(self) -> None:
        """Nothing: what changes a channel off the loop has the loop look at that channel."""

    @property
    def refused(self) -> int:
        """Connections refused until now."""
        return self._cap.refused

    def channels(self) -> list[Channel]:
        """The open connections."""
        return [*self.active_channels.values()]

    def close(self) -> None:
        """Close every connection, and have the workers end as soon as they are done."""
        if self._closed:
            return
        self._closed = True
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()
        for channel in self.channels():
            channel.cancel()
            channel.handle_close()
        wasyncore.dispatcher.close(self)
        self.task_dispatcher.set_thread_count(0)

    def close_lingering(self) -> None:
        """Close the connections whose time to read a refusal is over."""
        now = self.loop.clock()
        for channel in self.channels():
            if channel.linger_until and now > channel.linger_until:
                channel.will_close = True
                channel.settle()

    def _reserve_for_probe(self, channel: Channel) -> None:
        """Have ``channel``, one beyond the limit, answer a probe and nothing else."""
        channel.reserved = True
        self._reserved.append(channel)
        if len(self._reserved) > PROBE_RESERVE:
            self._reject_reserved(self._reserved[0])
        self.loop.call_later(PROBE_SECONDS, partial(self._reject_reserved, channel))

    def _reject_reserved(self, channel: Channel) -> None:
        """Tell a connection beyond the limit that there is no room, unless it is being answered."""
        if channel.connected and not channel.requests and not channel.linger_until:
            send_rejection(channel.socket)
            channel.handle_close()

    def _log_rejections(self) -> None:
        """Say that connections are refused, once a minute at most."""
        now = self.loop.clock()
        if now < self._next_log:
            return
        self._next_log = now + LOG_INTERVAL
        known = {"open": self._cap.open, "refused": self._cap.refused}
        _log.warning("connections are refused: too many are open", extra=known)

    def _retry_later(self, error: OSError) -> None:
        """The system has nothing left for another connection: let them wait, and say so once."""
        _log.warning(
            "can't accept connections; they wait in the kernel's queue",
            extra={"error": error.strerror, "open": len(self.active_channels)},
        )
        self._pause(full=False)
        self.loop.call_later(ACCEPT_RETRY_SECONDS, self.resume_accepting)

    def _sweep(self) -> None:
        """End the connections whose time is over."""
        now = self.loop.clock()
        for channel in self.channels():
            reason = expired(channel.progress, now, self.limits)
            if reason is not None:
                channel.time_out(reason)
        self.close_lingering()
        self._sweep_timer = self.loop.call_later(SWEEP_SECONDS, self._sweep)

    def _pause(self, *, full: bool) -> None:
        watch, self.watch = self.watch, None
        self._full = full
        if watch is not None:
            watch.close()
