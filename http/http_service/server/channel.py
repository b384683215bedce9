"""One connection: what is changed of Waitress' channel, so that no request holds a thread.

A request is served on the event loop's own thread; an answer that is still to come is *detached*
(``delivery``), and the connection waits for it without one. Written against waitress 3.0.x
(pinned); the internals in use are ``HTTPChannel.{handle_close, handle_read, handle_write, readable,
writable, received, service, cancel, add_channel, del_channel, sendbuf_len}``, its buffers, and
``_flush_some``, ``_flush_exception`` and ``_flush_outbufs_below_high_watermark``.
"""

# pyright: basic, reportArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportIncompatibleMethodOverride=false, reportIncompatibleVariableOverride=false
# pyright: reportOperatorIssue=false, reportOptionalMemberAccess=false
# The reason: see ``task``.

from __future__ import annotations

import socket
from collections.abc import Iterable
from functools import partial
from typing import Any, Final

from waitress.channel import HTTPChannel

from actors.eventloop import GONE, READ, WRITE, EventLoop, Watch
from http_service.connection import Answering
from http_service.errors import ClientGone
from http_service.inline import NeedsWorker, set_inline
from http_service.server.admission import FULL, PROBES
from http_service.server.deadlines import Progress, Reason
from http_service.server.refusals import Refusal
from http_service.server.task import Detached, RefusalTask, Task

__all__ = ["Channel"]

TLS_HANDSHAKE: Final = b"\x16"
"""The first byte of a TLS record that says hello (RFC 8446, 5.1); no request begins with it."""

DISCARD_BYTES: Final = 64 * 1024
"""How much of a refused upload is read and dropped at a time."""

TURN: Final = 64 * 1024
"""Bytes sent to one client until the others have their turn: a fast reader takes a large answer as
quickly as it is written, and everybody would wait for its end."""


class Channel(HTTPChannel):  # type: ignore[misc]  # waitress ships no types
    """One connection. All on the loop's thread, except ``service`` where it has to wait.

    A client that closes its side of the connection while it waits for an answer has left: its
    engine is told at once. (A half-close can't be told from a close before something is written.)
    """

    task_class: Any = Task
    error_task_class = RefusalTask
    watch: Watch | None = None
    answering: Answering | None = None
    """Who writes the response to the first request, once the application has returned."""
    taken: Answering | None = None
    """The same until then."""
    again = False
    """Whether the first request is to run again, on a worker."""
    request: Any
    sendbuf_len: int
    reserved = False
    """Beyond the limit of connections: only a probe is answered."""
    lingers = False
    linger_until = 0.0
    _sent = 0
    _turn_left = 0

    def __init__(self, server: Any, *arguments: Any, **options: Any) -> None:
        self.loop: Final[EventLoop] = server.loop
        self.progress: Final = Progress(server.limits, self.loop.clock())
        self.parser_class: Any = server.parser_class
        super().__init__(server, *arguments, **options)
        self.sendbuf_len = min(self.sendbuf_len, TURN)

    # A handler of the event loop.

    def ready(self, events: int) -> None:
        """Read, write, or notice that the client has left."""
        if events & READ and self._reads():
            self.handle_read()
        elif events & GONE:
            self.handle_close()
        elif events & READ and self.watch is not None:
            self.watch.want(0)  # bytes behind a request that is being answered: they wait
        if events & WRITE and self.connected:
            self.handle_write()
        self.settle()

    def failed(self, error: BaseException) -> None:
        """A handler raised ``error``: this connection is lost, no other."""
        del error
        self.handle_close()

    def settle(self) -> None:
        """Close if that is due, then have the loop watch for what matters now."""
        if self.close_when_flushed and not self.total_outbufs_len and self.connected:
            self.handle_write()
        watch = self.watch
        if watch is not None:
            now = self.server.loop.now
            self.progress.read(now, self.request, busy=bool(self.requests))
            self.progress.wrote(now, unsent=self.total_outbufs_len, sent=self._sent)
            watch.want(self._interest())

    def end_late(self, reason: Reason) -> None:
        """The client was too slow: answer where there is something to answer, and close."""
        if reason.status is None or self.request is None:
            self.handle_close()
            return
        with self.requests_lock:
            late, self.request = self.request, None
            late.refuse_late()
            self.requests.append(late)
        self.server.add_task(self)

    def _interest(self) -> int:
        # PERF: Waitress' readable() and writable() in one, asked several times a request.
        if self.linger_until:
            return READ | WRITE if self.will_close else READ
        if self.total_outbufs_len or self.close_when_flushed or self.will_close:
            return WRITE
        if self.requests and self.watch is not None:
            # PERF: left as it is, for most clients send nothing while they wait: that saves two
            # system calls a request. Who does is no longer listened to (see ready).
            return self.watch.interest & READ
        return READ

    def _reads(self) -> bool:
        """Whether bytes that came are to be read now."""
        waits = self.requests or self.total_outbufs_len or self.close_when_flushed
        return bool(self.linger_until) or not (waits or self.will_close)

    # Serving requests.

    def service(self) -> None:
        """Run the application for the next request; on the loop, or on a worker if it must wait."""
        self._turn_left = TURN
        loop = self.server.loop
        if self.reserved:
            self._refuse_unless_probe()
        try:
            set_inline(loop.on_loop)
            try:
                super().service()
            finally:
                set_inline(False)
        except Detached as detached:
            self.answering = detached.answering
            if loop.on_loop:
                self._begin(detached)
            else:
                loop.call(partial(self._begin, detached))
            return
        except NeedsWorker:
            self.server.task_dispatcher.add_task(self)
            return
        if loop.on_loop:
            self.settle()
        else:
            loop.call(self.settle)

    def _refuse_unless_probe(self) -> None:
        request = self.requests[0]
        if request.error is None and request.path.removesuffix("/") not in PROBES:
            request.error = Refusal(503, FULL)

    def _begin(self, detached: Detached) -> None:
        if not self.connected:
            detached.answering.client_left()
            return
        detached.begin()
        self.settle()

    # A connection to the resource that answers: see ``http_service.connection``.

    def whole_body(self) -> bytes:
        """The request's body, all of it. Any thread."""
        body = self.requests[0].body_rcv
        whole: bytes = b"" if body is None else body.getfile().getvalue()
        return whole

    def hold(self, size: int) -> bool:
        """Whether ``size`` bytes more may be held for this request, until it is over."""
        held: bool = self.requests[0].hold(size)
        return held

    def take_over(self, answering: Answering) -> Iterable[bytes]:
        """Have ``answering`` write the response; what to give to WSGI for a body. Any thread."""
        self.taken = answering
        return ()

    def run_on_worker(self) -> Iterable[bytes]:
        """Run the request again, from its beginning, on a thread that may wait; as above."""
        self.again = True
        return ()

    def send_now(self, data: bytes) -> int:
        """Send what the socket takes, keep the rest; how much is unsent. Raises ``ClientGone``."""
        if not self.connected:
            raise ClientGone
        sent = 0
        with self.outbuf_lock:
            if not self.total_outbufs_len:
                try:
                    sent = self.socket.send(data)
                except BlockingIOError:
                    sent = 0
                except OSError as error:
                    self.will_close = True
                    raise ClientGone from error
                if sent == len(data):
                    return 0
            self.outbufs[-1].append(data[sent:] if sent else data)
            self.total_outbufs_len += len(data) - sent
        self.settle()
        unsent: int = self.total_outbufs_len
        return unsent

    def resume(self, *, close: bool) -> None:
        """The detached answer is complete: close, or go on with the next request."""
        self.answering = None
        if not self.requests:
            return
        if close or self.request is not None or len(self.requests) > 1:
            # Waitress' own epilogue of a request, with a task that has nothing left to do.
            self.task_class = partial(_Done, close=close)
            try:
                super().service()
            finally:
                del self.task_class
        else:
            # PERF: what the epilogue comes to where nothing else waits, as on most connections.
            self.requests.pop().close()
        self.settle()

    def drop(self) -> None:
        """Close at once, whatever is unsent."""
        self.handle_close()

    def cancel(self) -> None:
        """Drop the requests and close at once: nobody writes to a channel that says it is gone."""
        super().cancel()
        self.handle_close()

    def send(self, data: bytes, do_close: bool = True) -> int:  # noqa: FBT001, FBT002  # Waitress'
        """Send what the socket takes; how much. Nothing more once it had its turn."""
        if self._turn_left <= 0:
            return 0
        sent: int = super().send(data, do_close)
        self._sent += sent
        self._turn_left -= sent
        return sent

    def handle_close(self) -> None:
        """Close the connection; an answer on its way is told."""
        super().handle_close()
        answering, self.answering = self.answering, None
        if answering is not None:
            answering.client_left()

    def del_channel(self, map: Any = None) -> None:  # noqa: A002  # waitress' name
        """The connection is gone: there is room for another."""
        first = self._fileno is not None  # a connection that was being answered is closed twice
        super().del_channel(map)
        if first:
            for request in (*self.requests, self.request):
                if request is not None:
                    request.release()
            self.server.channel_closed(self)

    @property
    def draining(self) -> bool:
        """Whether the connection is to end with the response that is being written."""
        ending = self.server.draining or self.reserved
        return bool(ending) and len(self.requests) <= 1  # else more was pipelined

    @property
    def idle_since(self) -> float | None:
        """When its last answer was sent; ``None`` while something is received, answered or sent."""
        busy = self.requests or self.request is not None or self.total_outbufs_len
        return None if busy or self.linger_until else self.progress.idle_since

    def close_unless_heard(self) -> None:
        """Close, unless a request has come that was not read yet: that one is served."""
        try:
            heard = self.socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except OSError:  # nothing has come, or the client is gone
            heard = b""
        if heard:
            self.ready(READ)
        else:
            self.handle_close()

    def _flush_outbufs_below_high_watermark(self) -> None:
        # The loop's thread is the one that flushes: it can't wait for itself.
        if not self.server.loop.on_loop:
            super()._flush_outbufs_below_high_watermark()

    # A refused upload: answer, say that no more comes, read the rest and drop it, then close.

    def received(self, data: bytes) -> bool:
        """Parse requests out of ``data``, unless it belongs to one that was refused."""
        if self.requests and (self.requests[-1].error is not None or self.requests[-1].unread):
            return True  # the rest of what was refused, not a request
        taken: bool = super().received(data)
        if self.requests and self.requests[-1].unread:
            self.lingers = True
        begun = self.request
        if begun is not None and begun.header_plus[:1] == TLS_HANDSHAKE:
            self.handle_close()  # it waits for a certificate: an answer would mean nothing to it
        return taken

    def handle_write(self) -> None:
        """Send what is ready; after a refusal, linger instead of closing."""
        self._turn_left = TURN
        if self.linger_until:
            if self.will_close:
                self.handle_close()
            return
        # A request behind the last answer of a drain would have the kernel reset what was sent.
        lingers = self.lingers or self.server.draining
        if lingers and self.close_when_flushed and not self.will_close:
            self._flush_exception(self._flush_some)
            if not self.total_outbufs_len and not self.will_close and self.connected:
                self._linger()
            return
        super().handle_write()
        if self.answering is not None:
            self.answering.sent(self.total_outbufs_len)

    def _linger(self) -> None:
        self.close_when_flushed = False
        self.linger_until = self.server.loop.clock() + self.server.linger
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:  # the client has left already
            self.handle_close()

    def handle_read(self) -> None:
        """Read; while lingering, only to drop it."""
        if not self.linger_until:
            super().handle_read()
        elif self.server.loop.clock() > self.linger_until:
            self.handle_close()
        else:
            self.recv(DISCARD_BYTES)  # closes the channel itself at the end of the upload


class _Done:
    """A task whose work is done: lets Waitress run its epilogue for a detached answer."""

    wrote_header = True

    def __init__(self, channel: Channel, request: Any, *, close: bool) -> None:
        del channel
        self.request = request
        self.close_on_finish = close

    def service(self) -> None:
        """Nothing is left to do."""
