"""What outlives the actor that serves HTTP: the listening socket, the connections, their answers.

The actor may be killed at any moment: nothing here belongs to it, so that no client notices. Only
:meth:`HttpServer.drain` and :meth:`HttpServer.close` end anything.

The listening socket is bound once, and kept while whatever accepts from it comes and goes.

How the server ends is a literal table of what happens to a connection, and when. Order: take what
the kernel accepted already, close the listening socket, close idle connections, serve every request
that is being received or comes on a connection in use (the answer says ``Connection: close``) until
the deadline, then tell every request still running that the service is going, and close what is
left.
"""

from __future__ import annotations

import errno
import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Any, Final, Protocol

from actors.eventloop import EventLoop
from actors.shutdown import ABORT_GRACE
from http_service.config import HttpServiceConfig
from http_service.errors import Draining
from http_service.server.limits import BodyAdmission
from http_service.server.waitress_server import WaitressServer
from http_service.streaming.exchange import InflightRequests

__all__ = ["BindFailed", "Drain", "HttpServer", "Listener", "Verdict", "verdict"]


BACKLOG: Final = 2048
"""Connections that wait for us: enough for a burst while the server restarts."""


class BindFailed(Exception):
    """The service can't listen where it should; the message names the address and the cure."""


class Listener:
    """A bound, listening TCP socket with a stable address.

    A server gets a duplicate from :meth:`share`: closing that one closes nothing else, and
    until the next one comes the kernel keeps new connections waiting instead of refusing them.
    Thread-safe apart from :meth:`close`.
    """

    def __init__(self, host: str, port: int) -> None:
        """Bind and listen; port 0 lets the system pick one. Raises :class:`BindFailed`."""
        self._socket = _bound(host, port)
        name = self._socket.getsockname()
        self.host: Final[str] = name[0]
        self.port: Final[int] = name[1]

    def share(self) -> socket.socket:
        """A duplicate to accept from. Raises ``OSError`` once the listener is closed."""
        return self._socket.dup()

    def close(self) -> None:
        """Refuse connections from now on (once every share is closed too). Idempotent."""
        self._socket.close()


def _bound(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise BindFailed(
            f"the host {host!r} can't be resolved: give an address of this machine with --host"
        ) from error
    family, kind, protocol, _, address = found[0]
    listening = socket.socket(family, kind, protocol)
    try:
        # Else a restart would have to wait until the old connections' TIME_WAIT is over.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
        listening.setblocking(False)  # noqa: FBT003  # the socket module's signature
    except OSError as error:
        listening.close()
        raise BindFailed(_explained(error, host, port)) from error
    return listening


def _explained(error: OSError, host: str, port: int) -> str:
    explain = _CURES.get(error.errno or 0)
    if explain is None:
        return f"can't listen on port {port} of {host}: {error.strerror or error}"
    return explain(host, port)


_CURES: Final[Mapping[int, Callable[[str, int], str]]] = {
    errno.EADDRINUSE: lambda host, port: (
        f"port {port} on {host} is in use: choose another with --port, or stop the other process"
    ),
    errno.EACCES: lambda host, port: (
        f"port {port} on {host} needs privileges: choose one above 1023 with --port"
    ),
    errno.EADDRNOTAVAIL: lambda host, port: (
        f"{host} is not an address of this machine, so port {port} can't be opened there: "
        "choose another with --host"
    ),
}


_drain_log: Final = logging.getLogger("http_service.drain")

IDLE_GRACE: Final = 0.2
"""Seconds without a request after which a connection is closed. One that was in use may have its
next request on the wire already, and no proxy repeats a POST; others are closed at once."""


class Verdict(Enum):
    """What a drain does with one connection now."""

    KEEP = auto()
    CLOSE = auto()
    """Close it once it is flushed: nothing is lost."""
    ABORT = auto()
    """Close it whatever is unsent: its time is over."""


class DrainedConnection(Protocol):
    """What a drain sees of a connection."""

    @property
    def idle_since(self) -> float | None:
        """When its last answer was sent; ``None`` while something is received, answered or sent."""
        ...

    def close_if_silent(self) -> None:
        """Close it, unless a request has come that was not read yet: that one is served."""
        ...

    def cancel(self) -> None:
        """Drop its requests, and close it at the next chance."""
        ...


def verdict(*, idle: float | None, since: float, timeout: float) -> Verdict:
    """What to do with a connection ``since`` seconds after the drain began; pure.

    ``idle`` is for how many seconds it has had nothing to do, ``None`` if it has.
    """
    if since > timeout + ABORT_GRACE:
        return Verdict.ABORT
    if idle is not None and idle > IDLE_GRACE:
        return Verdict.CLOSE
    return Verdict.KEEP


class Drain:
    """One drain of a server's connections, advanced by the loop that owns them.

    ``timeout`` is in seconds; ``clock`` is injected by tests.
    """

    def __init__(
        self,
        inflight: InflightRequests,
        timeout: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inflight = inflight
        self._timeout = timeout
        self._clock = clock
        self._began = clock()
        self._aborted = False
        self.finished = False

    def step(self, connections: list[DrainedConnection]) -> None:
        """Judge every open connection; finished once nothing is open and nothing runs."""
        now = self._clock()
        since = now - self._began
        if since > self._timeout and not self._aborted:
            self._aborted = True
            self._abort_running()
        for connection in connections:
            last = connection.idle_since
            idle = None if last is None else now - last
            judged = verdict(idle=idle, since=since, timeout=self._timeout)
            if judged is Verdict.CLOSE:
                connection.close_if_silent()
            elif judged is Verdict.ABORT:
                connection.cancel()
        over = since > self._timeout + 2 * ABORT_GRACE
        self.finished = over or not (connections or self._inflight)

    def _abort_running(self) -> None:
        cut = self._inflight.terminate_all(Draining())
        if cut:
            _drain_log.warning(
                "drain timeout: aborted %d requests",
                len(cut),
                extra={"requests": [f"{each.request_id} ({each.model})" for each in cut]},
            )


_log: Final = logging.getLogger("http_service.server")

DRAIN_TICK: Final = 0.05
"""Seconds between two looks at the connections while draining."""

OPEN_TIMEOUT: Final = 5.0
"""Seconds that the event loop gets to take a server in: a busy loop needs milliseconds."""


class HttpServer:
    """Serves ``app`` on ``listener``, on ``loop``'s thread. Every method may be called from any."""

    def __init__(
        self,
        app: Callable[..., Any],
        listener: Listener,
        config: HttpServiceConfig,
        inflight: InflightRequests,
        loop: EventLoop,
        intake: BodyAdmission,
    ) -> None:
        self.listener: Final = listener
        self.config: Final = config
        self._app = app
        self._inflight = inflight
        self._loop = loop
        self._intake = intake
        self._server: WaitressServer | None = None
        self._ended = threading.Event()

    def open(self, on_failure: Callable[[BaseException], None]) -> None:
        """Accept connections, again or for the first time.

        ``on_failure(error)`` is called when accepting fails. Raises ``OSError`` once the listener
        is closed, ``TimeoutError`` if the event loop hangs.
        """
        self._on_loop(lambda: self._open(on_failure))

    @property
    def connections(self) -> tuple[int, int]:
        """How many are open now, and how many were refused until now."""
        server = self._server
        return (0, 0) if server is None else (len(server.active_channels), server.refused)

    def pause(self) -> None:
        """Accept no more for now; what is open is served on, new connections wait."""
        self._on_loop(self._pause)

    def drain(self, timeout: float) -> threading.Event:
        """Begin to end, gracefully for ``timeout`` seconds; the event is set when it has ended."""
        self._loop.call(lambda: self._begin_drain(timeout))
        return self._ended

    def close(self) -> None:
        """End at once, whatever is being answered. Idempotent."""
        self.listener.close()
        if self._server is not None:
            self._on_loop(self._end)

    def _open(self, on_failure: Callable[[BaseException], None]) -> None:
        if self._server is None:
            self._server = WaitressServer(
                self._app, self.listener.share(), self.config, self._loop, self._intake
            )
        self._server.on_failure = on_failure
        self._server.resume_accepting()

    def _pause(self) -> None:
        if self._server is not None:
            self._server.pause()

    def _begin_drain(self, timeout: float) -> None:
        server = self._server
        if server is None or server.draining:
            self._end()
            return
        server.stop_accepting()
        server.begin_drain()
        _log.info("draining", extra={"inflight": len(self._inflight)})
        self._step(Drain(self._inflight, timeout, self._loop.clock))

    def _step(self, drain: Drain) -> None:
        server = self._server
        if server is None:
            return
        drain.step([*server.channels()])
        server.close_lingering()
        if drain.finished:
            self._end()
        else:
            self._loop.call_later(DRAIN_TICK, lambda: self._step(drain))

    def _end(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
        self._ended.set()

    def _on_loop(self, work: Callable[[], object]) -> None:
        """Do ``work`` on the loop's thread and wait for it; raise what it raised."""
        if self._loop.on_loop:
            work()
            return
        done = threading.Event()
        raised: list[BaseException] = []

        def run() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001  # raised on the caller's thread
                raised.append(error)
            done.set()

        self._loop.call(run)
        if not done.wait(OPEN_TIMEOUT):
            raise TimeoutError("the event loop did not answer; it hangs in a handler")
        if raised:
            raise raised[0]
