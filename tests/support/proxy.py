"""A TCP proxy that a test can cut or freeze: the network between two parts, not the parts."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Final, Self

__all__ = ["TcpProxy"]

CHUNK: Final = 64 * 1024
"""Bytes that are passed on at once."""
CONNECT: Final = 5.0
"""Seconds for the far side to accept."""


class TcpProxy:
    """Passes bytes between its own port and ``target``; a context manager, safe from any thread.

    While frozen, connections stay open and nothing passes; while cut, they end, and new ones end
    at once.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self._target: Final = target
        self._listener: Final = socket.create_server(("127.0.0.1", 0))
        self._flow: Final = threading.Event()
        self._flow.set()
        self._lock: Final = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._cut = False
        self.port: int = self._listener.getsockname()[1]
        """Where it listens on 127.0.0.1."""

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        self._flow.set()

    def freeze(self) -> None:
        """Let nothing pass from now on."""
        self._flow.clear()

    def thaw(self) -> None:
        """Let everything pass that waited."""
        self._flow.set()

    def cut(self) -> None:
        """End every connection, and each new one at once."""
        with self._lock:
            self._cut = True
            ended, self._sockets = self._sockets, set()
        for each in ended:
            with contextlib.suppress(OSError):  # the peer was quicker
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def mend(self) -> None:
        """Let connections through again."""
        with self._lock:
            self._cut = False

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        self._flow.wait()
        try:
            far = socket.create_connection(self._target, timeout=CONNECT)
        except OSError:
            near.close()
            return
        far.settimeout(None)
        with self._lock:
            cut = self._cut
            if not cut:
                self._sockets |= {near, far}
        if cut:
            near.close()
            far.close()
            return
        for source, sink in ((near, far), (far, near)):
            threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):  # either side is gone
            while data := source.recv(CHUNK):
                self._flow.wait()
                sink.sendall(data)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._sockets -= {source, sink}
        source.close()
        sink.close()
