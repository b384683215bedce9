"""One connection: what is changed of Waitress' channel, so that no request holds a thread.

The way of a request: :meth:`Channel.ready` reads, ``parser`` makes a request of the bytes,
:meth:`Channel.service` has the application answer it, on the event loop's own thread and in that
same round where the request is whole and nothing else waits. The application finds the connection
in its environment (``http_service.connection``): an answer that is still to come is taken over, and
the connection waits for it without a thread. A short whole answer is one system call. Whatever else
an application may return is written by Waitress (``task``).

Written against waitress 3.0.x (pinned); the internals in use are ``HTTPChannel.{service,
add_channel, send_continue, sent_continue}``, the attributes that its ``__init__`` sets, and those
of ``waitress_closing``.
"""

# pyright: basic, reportArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportIncompatibleMethodOverride=false, reportIncompatibleVariableOverride=false
# pyright: reportOperatorIssue=false, reportOptionalMemberAccess=false
# The reason: see ``task``.

from __future__ import annotations

import threading
from _thread import get_ident
from collections.abc import Iterable
from functools import partial
from typing import Any, Final

from waitress import wasyncore

from actors.eventloop import HANGUP, READ, WRITE, EventLoop, FdHandle
from http_service.api.generate import INLINE_BODY
from http_service.connection import HANDED_OFF, ResponseWriter
from http_service.errors import ClientGone
from http_service.inline import CURRENT_THREAD
from http_service.server.limits import FULL, PROBES
from http_service.server.request_head import ParseError
from http_service.server.timeouts import Progress
from http_service.server.waitress_closing import WRITE_QUANTUM, ClosingChannel
from http_service.server.waitress_task import (
    ANSWERED,
    AppResponse,
    RefusalTask,
    Task,
    request_environ,
)
from http_service.streaming.exchange import response_head

__all__ = ["Channel"]

TLS_HANDSHAKE: Final = b"\x16"
"""The first byte of a TLS record that says hello (RFC 8446, 5.1); no request begins with it."""


SHORTEST_PARKING: Final = 0.002
LONGEST_PARKING: Final = 0.1
"""Seconds until a parked request runs again."""


class Channel(ClosingChannel):
    """One connection. All on the loop's thread, except ``service`` where it has to wait.

    A client that closes its side of the connection while it waits for an answer has left: its
    engine is told at once. (A half-close can't be told from a close before something is written.)
    """

    task_class: Any = Task
    error_task_class = RefusalTask
    watch: FdHandle | None = None
    sent_continue: bool
    reserved = False
    """Beyond the limit of connections: only a probe is answered."""
    _settles = False
    """Whether :meth:`ready` settles in a moment. PERF: then nothing else has to."""

    def __init__(
        self,
        server: Any,
        sock: Any,
        addr: Any,
        adj: Any,
        map: Any = None,  # noqa: A002  # waitress' name
    ) -> None:
        # PERF: Waitress' own does this, and makes a buffer and a condition of one kilobyte, which
        # few connections ever need: here they are made when they are.
        self.server = server
        self.loop: EventLoop = server.loop
        self.adj = adj
        self.addr = addr
        self.parser_class: Any = server.parser_class
        self.progress = Progress(server.limits, self.loop.clock())
        self.requests: list[Any] = []
        self.requests_lock = threading.Lock()
        # PERF: what each request sets stands in the table of names that all connections share.
        self.request: Any = None
        self.made: Any = None
        """The :class:`AppResponse` of the first request, until its response is on its way."""
        self.writer: ResponseWriter | None = None
        """Who writes the response to the first request, once the application has returned."""
        wasyncore.dispatcher.__init__(self, sock, map=map)
        self.connected = True

    # A handler of the event loop.

    def ready(self, events: int) -> None:
        """Read, write, or notice that the client has left."""
        busy = self.requests or self.total_outbufs_len or self.close_when_flushed
        if events & READ and (not (busy or self.will_close) or self.linger_until):
            self._settles = True
            self.handle_read()
            self._settles = False
        elif events & HANGUP:
            self.handle_close()
        elif events & READ and self.watch is not None:
            self.watch.set_interest(0)  # bytes behind a request that is being answered: they wait
        if events & WRITE and self.connected:
            self.handle_write()
        if self.writer is None or self.total_outbufs_len or events & WRITE:
            self.settle()
        else:
            # PERF: what settling comes to where an answer was just begun.
            progress = self.progress
            progress.head_since = progress.body_since = progress.idle_since = None

    def settle(self) -> None:
        """Close if that is due, note since when it waits for what, and watch for what matters."""
        if self.close_when_flushed and not self.total_outbufs_len and self.connected:
            self.handle_write()
        watch = self.watch
        if watch is None:
            return
        # PERF: Progress.read() and wrote() only where they have to compare something.
        progress, requests, unsent = self.progress, self.requests, self.total_outbufs_len
        now = self.loop.now
        if requests or self.request is None:
            progress.head_since = progress.body_since = None
            progress.idle_since = None if requests else now
        else:
            progress.read(now, self.request, busy=False)
        if unsent or progress.unsent_since is not None:
            progress.wrote(now, unsent=unsent, sent=self._sent)
        if unsent or self.close_when_flushed or self.will_close or self.linger_until:
            interest = READ | WRITE if self.will_close else READ if self.linger_until else WRITE
        elif requests:
            # PERF: left as it is, for most clients send nothing while they wait: that saves two
            # system calls a request. Who does is no longer listened to (see ready).
            interest = watch.interest & READ
        else:
            interest = READ
        if interest != watch.interest:
            watch.set_interest(interest)

    # From bytes to requests.

    def handle_read(self) -> None:
        """Read; while lingering, only to drop it."""
        if self.linger_until:
            self._discard()
            return
        try:
            data = self.socket.recv(self.adj.recv_bytes)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.handle_close()
            return
        if self.request is None:
            # PERF: most requests come in one read; ``ready`` has seen that nothing else waits.
            request = self.parser_class(self.adj)
            taken = request.received(data)
            if request.whole:
                self.requests.append(request)  # no worker looks at them: there was none
                if request.body_bytes_received <= INLINE_BODY:
                    self._serve()
                else:
                    self.server.add_worker_task(self)
                return
            with self.requests_lock:
                self.request = request
                data = data[taken:] if self._take(request) else b""
        if self.received(data):
            self._go_on()

    def _go_on(self) -> None:
        """Serve, or have served, what was received."""
        requests, begun = self.requests, self.request
        if not requests:
            if begun is not None and begun.header_plus[:1] == TLS_HANDSHAKE:
                self.handle_close()  # it waits for a certificate: it would not read an answer
        elif begun is None and len(requests) == 1 and not self.total_outbufs_len:
            if requests[0].body_bytes_received <= INLINE_BODY:
                self._serve()
            else:
                self.server.add_worker_task(self)
        else:
            self.server.add_task(self)  # one a read: a client that pipelines delays no other

    def received(self, data: bytes) -> bool:
        """Make requests of ``data``; whether the connection takes any."""
        with self.requests_lock:
            if self.will_close or self.close_when_flushed:
                return False
            while data:
                request = self.request
                if request is None:
                    request = self.request = self.parser_class(self.adj)
                data = data[request.received(data) :]
                if not self._take(request):
                    break
        return True

    def _take(self, request: Any) -> bool:
        """Take what ``request`` has become; whether the bytes behind it may be another one."""
        if request.expect_continue and not (self.requests or self.sent_continue):
            self.send_continue()
        if not request.completed:
            return True
        self.request = None
        if self.sent_continue:
            self.sent_continue = False
        if request.empty:
            return True
        self.requests.append(request)
        self.lingers = self.lingers or request.unread
        return request.error is None and not request.unread

    # From a request to the application, and to its response.

    def service(self) -> None:
        """Serve the first request; on the loop, or on a worker if it must wait."""
        self._serve()
        if self.loop.thread == get_ident():
            self.settle()
        else:
            self.loop.call(self.settle)

    def _serve(self) -> None:
        request = self.requests[0]
        if self.reserved:
            self._refuse_unless_probe(request)
        if request.error is None and self.connected:
            made = self.made = AppResponse()
            environ = request_environ(self.server.environ, request, self.addr, self)
            CURRENT_THREAD.inline = inline = self.loop.thread == get_ident()
            try:
                made.body = self.server.app(environ, made.start_response)
            except Exception as error:  # noqa: BLE001  # Waitress answers and logs it
                made.error = error
            finally:
                CURRENT_THREAD.inline = False
            if inline and made.writer is not None and made.error is None:
                self._begin(made)
                return
            if made.error is None and self._leave(made, request, inline=inline):
                return
        self._quantum_left = WRITE_QUANTUM
        super().service()  # Waitress writes what was refused, iterates over what is long
        failed, self.made = self.made, None
        if failed is not None and failed.error is not None:
            failed.forget(self.loop)

    def _leave(self, made: AppResponse, request: Any, *, inline: bool) -> bool:
        """Whether nothing is left for Waitress: the response is another's, or sent."""
        if made.parked is not None:
            self.made = None
            self.loop.call_later(made.parked, self._serve_parked)
        elif made.body is not HANDED_OFF and made.writer is None and not made.again:
            data = made.short_body(request.command, WRITE_QUANTUM) if inline else None
            if data is None:
                return False
            self._send_whole(made, request, data)
        elif made.writer is None:
            self.made = None
            self.server.add_worker_task(self)
        else:
            self.loop.call(partial(self._begin, made))
        return True

    def _serve_parked(self) -> None:
        """Serve the first request again; nothing if its client left meanwhile."""
        if self.connected and self.requests:
            self.service()

    def _begin(self, made: AppResponse) -> None:
        """Have the response written by who took it over."""
        writer: Any = made.writer
        self.made = None
        if not self.connected:
            writer.client_left()
            return
        request = self.requests[0]
        if request.reserved or request.unread:
            request.forget()
        else:
            self.requests[0] = ANSWERED  # a held stream keeps neither headers nor body here
        self.writer = writer
        ending = self.server.draining or self.reserved  # PERF: not by the property
        close = request.connection_close or (ending and len(self.requests) <= 1)
        writer.begin(request.version, made.headers, close=close)

    def _send_whole(self, made: AppResponse, request: Any, data: bytes) -> None:
        """Head and body in one system call."""
        self.made = None
        close = request.connection_close or self.draining
        made.complete_headers(request.version, len(data), close=close)
        try:
            self.send_now(response_head(request.version, made.status, made.headers) + data)
        except ClientGone:
            close = True
        self.resume(close=close)

    def _refuse_unless_probe(self, request: Any) -> None:
        if request.error is None and request.path.removesuffix("/") not in PROBES:
            request.error = ParseError(503, FULL)

    # A connection to the resource that answers: see ``http_service.connection``.

    def whole_body(self) -> bytes:
        """The request's body, all of it. Any thread."""
        request = self.requests[0]
        whole: bytes = request.body if request.body_rcv is None else request.whole_body()
        return whole

    def hold(self, size: int) -> bool:
        """Whether ``size`` bytes more may be held until the request is over. Any thread."""
        held: bool = self.requests[0].hold(size)
        return held

    def take_over(self, writer: ResponseWriter) -> Iterable[bytes]:
        """Have ``writer`` write the response; what to give to WSGI for a body. Any thread."""
        self.made.writer = writer
        return HANDED_OFF

    def run_on_worker(self) -> Iterable[bytes]:
        """Run the request again, from its beginning, on a thread that may wait; as above."""
        self.made.again = True
        return HANDED_OFF

    def park(self, seconds: float) -> Iterable[bytes] | None:
        """Run the request again, from its beginning, on the loop and in a moment; as above.

        ``None`` once it has waited for so many ``seconds``.
        """
        request, now = self.requests[0], self.loop.clock()
        if request.parked_since is None:
            request.parked_since = now
        waited = now - request.parked_since
        if waited >= seconds:
            return None
        # As long again as it has waited: few runs for a long wait, a short one is not prolonged.
        self.made.parked = min(max(waited, SHORTEST_PARKING), LONGEST_PARKING)
        return HANDED_OFF

    def send_now(self, data: bytes) -> int:
        """Send what the socket takes, keep the rest; how much is unsent. Raises ``ClientGone``."""
        # PERF: without the lock of what is unsent: a worker writes only what was not handed off.
        if not self.connected:
            raise ClientGone
        sent = 0
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
        """The response is complete: close, or go on with the next request."""
        self.writer = None
        requests = self.requests
        if not requests:
            return
        if close or self.request is not None or len(requests) > 1:
            self._end(close=close)
        else:
            # PERF: what the end comes to where nothing else waits, as on most connections.
            request = requests.pop()
            if request.reserved:
                request.close()
            progress, watch = self.progress, self.watch
            unsent = self.total_outbufs_len or progress.unsent_since is not None
            if not unsent and watch is not None and watch.interest == READ:
                progress.idle_since = self.loop.now  # it is settled
                return
        if not self._settles:
            self.settle()

    @property
    def draining(self) -> bool:
        """Whether the connection is to end with the response that is being written."""
        ending = self.server.draining or self.reserved
        return bool(ending) and len(self.requests) <= 1  # else more was pipelined

    # A refused upload: answer, say that no more comes, read the rest and drop it, then close.
