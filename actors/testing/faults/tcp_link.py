"""One connection through the proxy: two pipes, each with the shape of its direction."""

from __future__ import annotations

import errno
import math
import selectors
import socket
import struct
import time
from collections import deque
from contextlib import suppress
from typing import Any, Final, Protocol

from actors.testing.faults.shaping import CLEAN, Passage, Shape, end_due, plan, struck

__all__ = ["Host", "Link", "linger_to_reset"]

PIECE: Final = 65536
HELD: Final = 1 << 20
"""Bytes that a pipe holds back at most; beyond it nothing more is read, as TCP does."""
NEVER: Final = math.inf
IDLE: Final = 3600.0
"""Seconds until a link that waits for nothing has something to do."""

RST_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class Host(Protocol):
    """What a link needs of its proxy."""

    sick: Any
    passed: int

    @property
    def selector(self) -> Any:
        """What tells when a socket is ready."""
        ...

    @property
    def links(self) -> Any:
        """Every open link."""
        ...

    @property
    def random(self) -> Any:
        """What jitter is drawn from."""
        ...

    @property
    def upstream(self) -> tuple[str, int]:
        """Where links lead."""
        ...

    def note(self, direction: str, *fields: str) -> None:
        """Those fields of a direction's shape have struck once."""
        ...


class Pipe:
    """One direction: reads from ``source``, holds what is not due, writes to ``target``."""

    def __init__(self, direction: str, source: socket.socket, target: socket.socket) -> None:
        self.direction = direction
        self.source, self.target = source, target
        self.passage = Passage()
        self.held: deque[tuple[float, memoryview]] = deque()
        self.size = 0
        self.ended = False
        """The source said that nothing more comes."""
        self.broken = False
        """The source said so by a reset."""
        self.end_due = NEVER
        """When the target is told; ``inf`` for never."""
        self.closed = False
        """The target was told so."""


class Link:
    """A client's connection and the one to the server. Only the proxy's thread calls it."""

    def __init__(self, host: Host, client: socket.socket) -> None:
        self._host = host
        self._client = client
        self._server = socket.socket()
        self._born = time.monotonic()
        self._open = True
        self._connected = False
        for each in (client, self._server):
            each.settimeout(0)
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._up = Pipe("up", client, self._server)
        self._down = Pipe("down", self._server, client)
        self._masks: dict[socket.socket, int] = {}
        self._dialled = False
        self.timed = True
        self._dial()

    def due_in(self) -> float:
        """Seconds until :meth:`tick` has something to do."""
        now = time.monotonic()
        moments = [now + IDLE, *(self._born + after for after in self._deadlines())]
        for pipe in self._pipes():
            if self._shape(pipe).blocked:
                continue
            if not pipe.held:
                moments += [pipe.end_due] if pipe.ended and not pipe.closed else []
            elif not self._masks.get(pipe.target, 0) & selectors.EVENT_WRITE:
                moments.append(pipe.held[0][0])  # else the selector says when it can be sent
        return max(0.0, min(moments) - now)

    def tick(self) -> None:
        """Do what has fallen due."""
        now = time.monotonic()
        for shape in (self._host.sick.up, self._host.sick.down):
            if shape.reset is not None and now >= self._born + shape.reset:
                self._host.note("down", "reset")
                self.close(reset=True)
                return
            if shape.swallow and now >= self._born + shape.swallow:
                self.close()
                return
        for pipe in self._pipes():
            self._pump_out(pipe)
        self._rearm()

    def reshaped(self) -> None:
        """The proxy's network changed."""
        if not self._dialled:
            self._dial()
        self._born = time.monotonic()
        self.tick()

    def half_close(self) -> bool:
        """Tell the server that nothing more comes from this client; whether it was connected."""
        if self._connected:
            with suppress(OSError):
                self._server.shutdown(socket.SHUT_WR)
            self._up.ended = self._up.closed = True
            self._rearm()
        return self._connected

    def close(self, *, reset: bool = False) -> None:
        """End both connections, with RST if so wanted."""
        if not self._open:
            return
        self._open = False
        self._host.links.discard(self)
        for each in (self._client, self._server):
            if self._masks.get(each):
                self._host.selector.unregister(each)
            if reset:
                linger_to_reset(each)
            each.close()

    def _pipes(self) -> tuple[Pipe, Pipe]:
        return self._up, self._down

    def _shape(self, pipe: Pipe) -> Shape:
        shape: Shape = self._host.sick.up if pipe is self._up else self._host.sick.down
        return shape

    def _deadlines(self) -> list[float]:
        shapes = (self._host.sick.up, self._host.sick.down)
        return [s.reset for s in shapes if s.reset is not None] + [
            s.swallow for s in shapes if s.swallow
        ]

    def _dial(self) -> None:
        """Connect to the server, unless a partition lets no packet through."""
        if self._host.sick.up.blocked:
            self._host.note("up", "blocked")
            return
        self._dialled = True
        code = self._server.connect_ex(self._host.upstream)
        if code not in (0, errno.EINPROGRESS):
            self.close()
            return
        self._rearm()

    def _on_client(self, mask: int) -> None:
        self._on(self._up, self._down, mask)

    def _on_server(self, mask: int) -> None:
        if not self._connected:
            if self._server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self.close(reset=True)
                return
            self._connected = True
        self._on(self._down, self._up, mask)

    def _on(self, reading: Pipe, writing: Pipe, mask: int) -> None:
        if self._open and mask & selectors.EVENT_WRITE:
            self._pump_out(writing)
        if self._open and mask & selectors.EVENT_READ:
            self._pump_in(reading)
        self._rearm()

    def _pump_in(self, pipe: Pipe) -> None:
        shape = self._shape(pipe)
        try:
            data = pipe.source.recv(PIECE)
        except BlockingIOError:
            return
        except OSError:
            data, pipe.broken = b"", True
        if pipe.closed and not pipe.ended and data:
            return  # the target is gone, and the way back does not say so
        now = time.monotonic()
        if shape is not CLEAN:
            self._host.note(pipe.direction, *struck(shape, data))
        if not data:
            moment = end_due(shape, pipe.passage, now, self._host.random)
            pipe.ended, pipe.end_due = True, NEVER if moment is None else moment
        for due, piece in plan(shape, pipe.passage, data, now, self._host.random):
            pipe.held.append((due, memoryview(piece)))
            pipe.size += len(piece)
        self._pump_out(pipe)
        if shape.limit is not None and pipe.passage.passed >= shape.limit and not pipe.held:
            self._host.note(pipe.direction, "limit")
            self.close()

    def _pump_out(self, pipe: Pipe) -> None:
        if (
            not self._open
            or self._shape(pipe).blocked
            or (pipe is self._up and not self._connected)
        ):
            return
        now = time.monotonic()
        while pipe.held and pipe.held[0][0] <= now:
            due, piece = pipe.held[0]
            try:
                sent = pipe.target.send(piece)
            except BlockingIOError:
                return
            except OSError:
                self._lost(pipe)
                return
            self._host.passed += sent
            pipe.size -= sent
            if sent < len(piece):
                pipe.held[0] = (due, piece[sent:])
                return
            pipe.held.popleft()
        if pipe.ended and not pipe.held and not pipe.closed and now >= pipe.end_due:
            self._end(pipe)

    def _lost(self, pipe: Pipe) -> None:
        """The target has reset; its source hears of it only if the way back lets that pass."""
        back = self._down if pipe is self._up else self._up
        shape = self._shape(back)
        if shape.swallow is None and not shape.blocked:
            self.close(reset=True)
            return
        pipe.closed, pipe.size = True, 0
        pipe.held.clear()
        back.ended = back.broken = True
        back.end_due = NEVER if shape.swallow is not None else 0.0

    def _end(self, pipe: Pipe) -> None:
        if pipe.broken:
            self.close(reset=True)
            return
        pipe.closed = True
        with suppress(OSError):
            pipe.target.shutdown(socket.SHUT_WR)
        if self._up.closed and self._down.closed:
            self.close()

    def _rearm(self) -> None:
        """Ask the selector for exactly what can go on."""
        if not self._open:
            return
        self.timed = any(
            pipe.held or (pipe.ended and not pipe.closed) for pipe in self._pipes()
        ) or bool(self._deadlines())
        self._arm(self._client, self._up, self._down, self._on_client)
        if self._dialled:
            self._arm(self._server, self._down, self._up, self._on_server)

    def _arm(self, sock: socket.socket, reading: Pipe, writing: Pipe, on_event: Any) -> None:
        wants = 0
        if not (reading.ended or reading.size >= HELD):
            wants |= selectors.EVENT_READ
        due = writing.held and writing.held[0][0] <= time.monotonic()
        if (due and not self._shape(writing).blocked) or (
            sock is self._server and not self._connected
        ):
            wants |= selectors.EVENT_WRITE
        had = self._masks.get(sock, 0)
        self._masks[sock] = wants
        if wants and not had:
            self._host.selector.register(sock, wants, on_event)
        elif had and not wants:
            self._host.selector.unregister(sock)
        elif wants != had:
            self._host.selector.modify(sock, wants, on_event)


def linger_to_reset(sock: socket.socket) -> None:
    """Make the close of ``sock`` a reset."""
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST_ON_CLOSE)
